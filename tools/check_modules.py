"""Checks what ruff and mypy do not: module sizes, import direction, and what must not be in the tree.

Usage: python tools/check_modules.py
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "penstock"
MAX_LINES = 600
MAX_TEST_LINES = 800

LAYERS = (
    ("cli",),
    ("bi",),
    ("report",),
    ("up", "airflow"),
    ("doctor",),
    ("alerts",),
    ("runs", "publish", "privacy", "scaffold", "samples"),
    ("transform",),
    ("land",),
    ("lineage",),
    ("destinations",),
    ("sources",),
    ("lake",),
    ("records",),
    ("ledger",),
    ("project",),
    ("shape",),
    ("ports", "logs"),
    (
        "pseudonym",
        "errors",
        "engine_errors",
        "extras",
        "engine_words",
        "faults",
        "backoff",
        "jsonpath",
        "plural",
        "schema",
        "spans",
        "sql",
        "stored",
        "system",
        "troubles",
        "version",
    ),
)
"""From the top: a layer imports from itself and from below."""

FREE = {"testing", "dbt", "templates", "__init__", "__main__"}
HEAVY = (
    "duckdb",
    "pyarrow",
    "numpy",
    "dbt",
    "psycopg",
    "adbc_driver_postgresql",
    "pydantic",
    "pika",
    "yaml",
    "watchfiles",
    "prompt_toolkit",
    "httpx2",
    "starlette",
    "uvicorn",
    "jinja2",
    "vl_convert",
    "structlog",
    "openlineage",
    "prometheus_client",
    "requests",
)
FORBIDDEN = re.compile(r"/(?:work|root|home)/[a-z]|files\.pythonhosted\.org|pypi\.org|--index-url")
BINARY = {".png", ".gz", ".zst", ".parquet"}


def main() -> int:
    """Print each finding; 1 when there is any."""
    found = [*sizes(), *directions(), *circles(), *borrowed(), *start_up(), *residue()]
    for line in found:
        print(line)
    print(f"modules: {'clean' if not found else f'{len(found)} findings'}")
    return 1 if found else 0


def sizes() -> list[str]:
    """Modules over the limit."""
    found = []
    for folder, limit in ((SOURCE, MAX_LINES), (ROOT / "tests", MAX_TEST_LINES), (ROOT / "benchmarks", MAX_LINES)):
        for path in sorted(folder.rglob("*.py")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > limit:
                found.append(f"{path.relative_to(ROOT)}: {lines} lines, {limit} at most: make it a folder of concepts")
    return found


def directions() -> list[str]:
    """Imports that go up."""
    rank = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part in FREE:
            continue
        if part not in rank:
            found.append(f"{path.relative_to(ROOT)}: {part} has no layer in tools/check_modules.py")
            continue
        for other, line in _imports(path):
            if other in rank and rank[other] < rank[part]:
                found.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {other}, which is above it")
    return found


def circles() -> list[str]:
    """Modules that import each other, directly or by way of others, for types too."""
    modules = {_module(path): path for path in SOURCE.rglob("*.py")}
    edges = {(name, other) for name, path in modules.items() for other in _modules_imported(path, modules)}
    while edges:
        importing, imported = {name for name, _ in edges}, {other for _, other in edges}
        kept = {(name, other) for name, other in edges if name in imported and other in importing}
        if kept == edges:
            break
        edges = kept
    names = sorted({name for name, _ in edges})
    return [f"modules import each other in a circle: {', '.join(names)}"] if names else []


def borrowed() -> list[str]:
    """Imports from a test module: what two of them use is in ``tests/support``."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                if name.rpartition(".")[2].startswith("test_"):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: imports {name}: move it to tests/support")
    return found


def start_up() -> list[str]:
    """Heavy libraries that ``penstock --help`` would load."""
    code = f"import sys, penstock.cli.app; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip()
    return [] if loaded == "[]" else [f"penstock.cli.app loads {loaded} at import"]


def residue() -> list[str]:
    """Addresses and paths of the machine it was written on."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or path.suffix in BINARY or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{name}:{number}: {match[0]!r} does not belong here")
    return found


def _module(path: Path) -> str:
    """A file's name as a module."""
    parts = ["penstock", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules_imported(path: Path, modules: Iterable[str]) -> set[str]:
    """The other modules of penstock that one imports. What a package itself gives is that package's."""
    names = {name for name, _ in _names_imported(path)}
    return {name if name in modules else name.rpartition(".")[0] for name in names} & {*modules} - {_module(path)}


def _imports(path: Path) -> list[tuple[str, int]]:
    """The parts of penstock that a module imports, for types too, with the line."""
    named = ((name.split("."), line) for name, line in _names_imported(path))
    return list(dict.fromkeys((parts[1], line) for parts, line in named if parts[0] == "penstock" and len(parts) > 1))


def _names_imported(path: Path) -> Iterator[tuple[str, int]]:
    """What a module imports, with its whole name and the line: ``penstock.sources.files.FilesSource``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["penstock", *path.relative_to(SOURCE).parts[:-1]]
            before = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*before, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


if __name__ == "__main__":
    sys.exit(main())
