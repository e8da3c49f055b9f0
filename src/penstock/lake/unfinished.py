"""What loads that were killed left unfinished in the lake: completed when it was committed, and else removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.lake.sink import is_abandoned, publish
from penstock.records.lake_files import SOURCE, name_of_hidden, warehouse_mark

Positions = Callable[[str, str], dict[str, dict[str, Any]]]
"""The ledger's positions of a stream and source, as ``Destination.positions`` gives them."""


def settle(folder: Path, stream: str, *, warehouse: str, positions: Positions) -> None:
    """Complete or remove what loads of a stream into ``warehouse`` left unfinished in the lake in ``folder``.

    A file that is among the ledger's positions was committed. Those of running loads, and of other warehouses, are left
    alone. Ask only while the ledger is whole.
    """
    mark = warehouse_mark(warehouse)
    hidden = (folder / stream).glob("date=*/.*.part")
    final = {p: p.with_name(name) for p in hidden if (name := name_of_hidden(mark, p.name)) and is_abandoned(p)}
    committed = positions(stream, SOURCE) if final else {}
    for temporary, path in final.items():
        if path.relative_to(folder).as_posix() in committed:
            publish(temporary, path)
        else:
            temporary.unlink()
