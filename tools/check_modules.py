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
    ("orchestrate",),
    ("watch",),
    ("inspect", "privacy", "reset", "quarantine", "scaffold", "consume", "publish", "samples"),
    ("alerts",),
    ("diagnose",),
    ("runs",),
    ("transform",),
    ("session",),
    ("lineage",),
    ("run", "plan", "presence", "broken", "project", "isolate"),
    ("sources", "destinations", "lake"),
    ("ledger",),
    ("shape",),
    (
        "ports",
        "pseudonym",
        "errors",
        "engine_errors",
        "engine_words",
        "logs",
        "faults",
        "backoff",
        "draws",
        "jsonpath",
        "plural",
        "spans",
        "sql",
        "stored",
        "troubles",
    ),
)
"""From the top: a layer imports from itself and from below."""

FREE = {"testing", "generate", "dbt", "templates", "__init__", "__main__"}
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
    "stamina",
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
    found = [*sizes(), *directions(), *start_up(), *residue()]
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


def _imports(path: Path) -> list[tuple[str, int]]:
    """The parts of penstock that a module imports, outside of ``if TYPE_CHECKING``, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if id(node) in typed or not isinstance(node, ast.ImportFrom | ast.Import):
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
