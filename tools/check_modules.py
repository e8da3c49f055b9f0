"""Checks what ruff and mypy do not: module sizes, import direction, and what must not be in the tree.

Usage: python tools/check_modules.py
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
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
    found = [*sizes(), *directions(), *circles(), *start_up(), *residue()]
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
    imports = {
        name: {other for other in _modules_imported(path, modules) if other != name} for name, path in modules.items()
    }
    while True:
        last = {name for name, others in imports.items() if not others}
        if not last:
            break
        imports = {name: others - last for name, others in imports.items() if name not in last}
    imported = set().union(*imports.values()) if imports else set()
    while imports.keys() - imported:
        imports = {name: others for name, others in imports.items() if name in imported}
        imported = set().union(*imports.values()) if imports else set()
    return [f"modules import each other in a circle: {', '.join(sorted(imports))}"] if imports else []


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


def _modules_imported(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of penstock that one imports by their whole names."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= inner & modules.keys() or {node.module} & modules.keys()
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names} & modules.keys()
    return imported


def _imports(path: Path) -> list[tuple[str, int]]:
    """The parts of penstock that a module imports, for types too, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if not isinstance(node, ast.ImportFrom | ast.Import):
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            package = ["penstock", *path.relative_to(SOURCE).parts[:-1]]
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            names = [f"{base}.{a.name}" for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" if node.module == "penstock" else node.module for a in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "penstock" and len(parts) > 1:
                found.append((parts[1], node.lineno))
    return found


if __name__ == "__main__":
    sys.exit(main())
