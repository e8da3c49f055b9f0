"""``shell``: one prompt for commands and SQL."""

from __future__ import annotations

import sys

import typer

from penstock.cli.command import Call, command


@command("penstock shell --target production")
def shell(call: Call) -> None:
    """One prompt for this project: commands as on the command line, and SQL, which ends with a semicolon."""
    from penstock.cli.commands import make_app
    from penstock.cli.entries import Shell, script

    project = call.open()
    prompt = Shell(project, typer.main.get_command(make_app()))
    if sys.stdin.isatty():
        from penstock.cli.prompt import typed

        print(f"project {project.name}, destination {project.target}; help, or SQL that ends with ;")
        prompt.run(typed(project, prompt))
    elif code := prompt.run(script(iter(sys.stdin), prompt)):
        raise typer.Exit(code)
