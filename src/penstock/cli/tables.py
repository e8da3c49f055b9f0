"""Tables of text, as wide as the terminal allows."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from penstock.cli.terminal import console

LEAST_TEXT_WIDTH = 24
"""A column of longer texts is folded down to this, and no further."""
_GAP = 3
_EDGES = 2


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    title: str = "",
    *,
    cell: Callable[[Any], str],
    spare: Sequence[str] = (),
) -> None:
    """A table. A pipe gets it whole, however wide; for a terminal that is too narrow long texts are folded, then the
    columns in ``spare`` are left out, the first one first, and named below it; and when that is not enough, each row is
    a block of lines, ``name value``. ``cell`` writes a value."""
    values = [list(row) for row in rows]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    texts = [[cell(v) for v in row] for row in values]
    numeric = [any(_is_number(row[i]) for row in values) for i in range(len(columns))]
    shown = _shown(columns, texts, numeric, spare, width)
    if shown is None:
        _print_blocks(columns, texts, title, width)
        return
    _print_rich([columns[i] for i in shown], [[row[i] for i in shown] for row in texts], title, width, numeric, shown)
    left_out = [name for i, name in enumerate(columns) if i not in shown]
    if left_out:
        print(f"too narrow for: {', '.join(left_out)}")


def _shown(
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    spare: Sequence[str],
    width: int,
) -> list[int] | None:
    """Places of the columns that have room; None when even without those to spare there is too little."""
    from rich.cells import cell_len

    least = [
        max(
            cell_len(columns[i]),
            min(max((cell_len(line) for row in texts for line in row[i].split("\n")), default=0), LEAST_TEXT_WIDTH)
            if not numeric[i]
            else max(cell_len(row[i]) for row in texts),
        )
        for i in range(len(columns))
    ]
    shown = list(range(len(columns)))
    for name in (None, *spare):
        shown = [i for i in shown if columns[i] != name]
        if not width or sum(least[i] for i in shown) + _GAP * (len(shown) - 1) + _EDGES <= width:
            return shown
    return None


def _print_rich(
    columns: Sequence[str],
    texts: Sequence[Sequence[str]],
    title: str,
    width: int,
    numeric: Sequence[bool],
    shown: Sequence[int],
) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    whole = _EDGES
    for place, (i, name) in enumerate(zip(shown, columns, strict=True)):
        longest = max([cell_len(name), *(cell_len(line) for row in texts for line in row[place].split("\n"))])
        whole += longest + _GAP
        least = longest if numeric[i] else max(min(longest, LEAST_TEXT_WIDTH), cell_len(name))
        table.add_column(Text(name), justify="right" if numeric[i] else "left", overflow="fold", min_width=least)
    for row in texts:
        table.add_row(*(Text(text) for text in row))
    screen = console(width=width or whole)
    if width:
        screen.print(table)
        return
    with screen.capture() as capture:
        screen.print(table)
    print("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def _print_blocks(columns: Sequence[str], texts: Sequence[Sequence[str]], title: str, width: int) -> None:
    """One record after the other, a column a line, as psql's expanded display."""
    from rich.cells import cell_len

    if title:
        print(title)
    beside = max(cell_len(name) for name in columns)
    for number, row in enumerate(texts, 1):
        print(f"─ record {number} ".ljust(min(width, 40), "─"))
        for name, text in zip(columns, row, strict=True):
            lines = text.split("\n")
            print(f"{name}{' ' * (beside - cell_len(name))}  {lines[0]}".rstrip())
            for line in lines[1:]:
                print(f"{' ' * beside}  {line}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
