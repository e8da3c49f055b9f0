"""The command line with all its commands."""

from penstock.cli.commands import make_app

app = make_app()
