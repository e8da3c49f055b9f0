"""The map of the house in ``CONTRIBUTING.md``: what each folder is for, how large it is, on which floor it stands."""

from __future__ import annotations

import ast
import tokenize
from pathlib import Path

from tools.check_modules import LAYERS, SOURCE
from tools.reference.markdown import code, table
from tools.way import ways

_BEGIN, _END = "<!-- the map: made by `make reference` -->", "<!-- the map ends -->"


def house_map(page: str) -> str:
    """The page with its map drawn anew, between the two marks."""
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n\n{_drawn()}\n\n{_END}{after}"


def _drawn() -> str:
    files = sorted(SOURCE.rglob("*.py"))
    lines = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    whole = (
        f"{len(files)} modules, {sum(lines):,} lines of Python, {sum(map(_lines_of_code, files)):,} of them code; "
        f"half of the modules have at most {lines[len(lines) // 2]} lines, nine of ten at most "
        f"{lines[len(lines) * 9 // 10]}, the largest {lines[-1]}; {len(LAYERS)} floors."
    )
    _, way = ways()
    travel = f"From the loop to DuckDB, a batch makes {way}; `python -m tools.way --list` names them."
    rows = [_row(floor, name) for floor, layer in enumerate(LAYERS, 1) for name in layer if (SOURCE / name).is_dir()]
    single = ", ".join(code(f"{name}.py") for layer in LAYERS for name in layer if (SOURCE / f"{name}.py").exists())
    head = ("floor", "`src/penstock/`", "what is in it", "modules", "lines")
    return "\n".join([whole, "", travel, "", *table(head, rows), "", f"Single modules: {single}."])


def _row(floor: int, name: str) -> tuple[str, str, str, str, str]:
    files = list((SOURCE / name).rglob("*.py"))
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    return str(floor), code(f"{name}/"), _subject(SOURCE / name / "__init__.py"), str(len(files)), f"{lines:,}"


def _subject(path: Path) -> str:
    """The first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("``", "`").replace(":class:", "").rstrip(".")


def _lines_of_code(path: Path) -> int:
    """Lines that are neither blank, nor comments, nor docstrings."""
    with path.open("rb") as file:
        lines: set[int] = set()
        skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
        for token in tokenize.tokenize(file.readline):
            if token.type not in skipped and token.type != tokenize.ENDMARKER:
                lines.update(range(token.start[0], token.end[0] + 1))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)
