"""``metrics``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.runs import asked
from penstock.errors import UsageError


@command("penstock metrics --output /var/lib/node_exporter/my_project.prom")
def metrics(
    call: Call,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write this file, whole or not at all.")
    ] = None,
) -> None:
    """Print what the ledger says as Prometheus' metrics, for commands that end before anybody could ask them."""
    from penstock.up.figures import LedgerFigures, text_page

    project = call.open()
    with asked(project) as query:
        page = text_page({} if query is None else LedgerFigures(project.name).read(query))
    if output is None:
        sys.stdout.write(page.decode())
        return
    try:
        # a reader never sees half of it: it may come at any moment
        handle, name = tempfile.mkstemp(dir=output.absolute().parent, prefix=f".{output.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(page)
        Path(name).chmod(0o644)
        Path(name).replace(output)
    except OSError as e:
        raise UsageError(f"cannot be written: {e.strerror}", where=str(output), fix="name another file") from None
