"""``python -m penstock``."""

from penstock.cli.process import run

run()
