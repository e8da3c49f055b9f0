"""Tables of text, as wide as the terminal allows."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from penstock.cli.terminal import console

if TYPE_CHECKING:
    from rich.table import Table

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
    longest = [max(_longest(text) for text in (name, *(row[i] for row in texts))) for i, name in enumerate(columns)]
    least = [
        size if number else max(min(size, LEAST_TEXT_WIDTH), _longest(name))
        for name, size, number in zip(columns, longest, numeric, strict=True)
    ]
    shown = _shown(columns, least, spare, width)
    if shown is None:
        _print_blocks(columns, texts, title, width)
        return
    table = _table([columns[i] for i in shown], [[row[i] for i in shown] for row in texts], title)
    for column, i in zip(table.columns, shown, strict=True):
        column.justify, column.min_width = "right" if numeric[i] else "left", least[i]
    _print_rich(table, width, whole=_width([longest[i] for i in shown]))
    left_out = [name for i, name in enumerate(columns) if i not in shown]
    if left_out:
        print(f"too narrow for: {', '.join(left_out)}")


def _shown(columns: Sequence[str], least: Sequence[int], spare: Sequence[str], width: int) -> list[int] | None:
    """Places of the columns that have room; None when even without those to spare there is too little."""
    shown = list(range(len(columns)))
    for name in (None, *spare):
        shown = [i for i in shown if columns[i] != name]
        if not width or _width([least[i] for i in shown]) <= width:
            return shown
    return None


def _width(widths: Sequence[int]) -> int:
    """How wide a table of such columns is."""
    return sum(widths) + _GAP * (len(widths) - 1) + _EDGES


def _longest(text: str) -> int:
    """How wide the widest line of a text is."""
    from rich.cells import cell_len

    return max(cell_len(line) for line in text.split("\n"))


def _table(columns: Sequence[str], texts: Sequence[Sequence[str]], title: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in texts:
        table.add_row(*(Text(text) for text in row))
    return table


def _print_rich(table: Table, width: int, *, whole: int) -> None:
    """Print for a terminal of that ``width``, or the ``whole`` of it for a pipe."""
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
