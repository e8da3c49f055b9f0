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
MAX_LINES = 500
MAX_TEST_LINES = 800

LAYERS = (
    ("cli", "api"),
    ("bi",),
    ("report",),
    ("up", "airflow"),
    ("doctor",),
    ("alerts",),
    ("runs", "publish", "privacy", "scaffold", "samples", "verify", "copying"),
    ("transform",),
    ("land",),
    ("lineage",),
    ("destinations",),
    ("sources", "lake"),
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
        "findings",
        "backoff",
        "compression",
        "editor",
        "jsonpath",
        "layout",
        "native",
        "plural",
        "schema",
        "spans",
        "spec",
        "sql",
        "stored",
        "system",
        "troubles",
        "upkeep",
        "version",
    ),
)
"""From the top: a layer imports from itself and from below."""

APART = (("lake", "sources"),)
"""Parts of one floor that do not import each other: what both know stands below them."""

KINDS = ("files", "http", "rabbitmq", "lake", "duckdb", "postgres")
"""Kinds of source or of engine. Only the folder of its name knows what one is, and ``project/``, for its settings."""
SETTINGS = ("Files", "Http", "RabbitMQ", "Lake", "DuckDB", "Postgres")
"""The classes of their settings."""

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
    "sqlglot",
    "structlog",
    "openlineage",
    "prometheus_client",
    "requests",
)
FORBIDDEN = re.compile(r"/(?:work|root|home)/[a-z]|files\.pythonhosted\.org|pypi\.org|--index-url")
BINARY = {".png", ".gz", ".zst", ".parquet"}


def main() -> int:
    """Print each finding; 1 when there is any."""
    findings = [*sizes(), *directions(), *circles(), *kinds_asked(), *borrowed(), *start_up(), *residue()]
    for line in findings:
        print(line)
    print(f"modules: {'clean' if not findings else f'{len(findings)} findings'}")
    return 1 if findings else 0


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
    """Imports that go up, and those between parts that stay apart."""
    rank = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    apart = {pair for one, other in APART for pair in ((one, other), (other, one))}
    findings = []
    for path in sorted(SOURCE.rglob("*.py")):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part in FREE:
            continue
        if part not in rank:
            findings.append(f"{path.relative_to(ROOT)}: {part} has no layer in tools/check_modules.py")
            continue
        for other, line in _imports(path):
            if (part, other) in apart:
                findings.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {other}, and they stay apart")
            elif other in rank and rank[other] < rank[part]:
                findings.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {other}, which is above it")
    return findings


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


def kinds_asked() -> list[str]:
    """Places that look which kind something is, instead of asking its kind."""
    findings = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).parts
        own = {parts[1]} if len(parts) > 2 and parts[0] in ("sources", "destinations") else set()
        if parts[0] == "project":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        asked = {(line, name) for node in ast.walk(tree) for line, name in _kinds_in(node) if name.lower() not in own}
        where = path.relative_to(ROOT)
        findings += [
            f"{where}:{line}: asks for {name}: what that is, its own folder says" for line, name in sorted(asked)
        ]
    return findings


def _kinds_in(node: ast.AST) -> list[tuple[int, str]]:
    """The kinds that a comparison, a ``match`` or an ``isinstance`` asks for by name."""
    sides: list[ast.AST] = []
    about = ("type", "kind")
    if isinstance(node, ast.Compare):
        compared = [node.left, *node.comparators]
        if any(isinstance(side, ast.Attribute) and side.attr in about for side in compared):
            sides += compared
    elif isinstance(node, ast.Match) and isinstance(node.subject, ast.Attribute) and node.subject.attr in about:
        sides += [case.pattern for case in node.cases]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        sides += node.args[1:]
    named = [inner for side in sides for inner in ast.walk(side)]
    texts = [(n.lineno, str(n.value)) for n in named if isinstance(n, ast.Constant) and n.value in KINDS]
    return texts + [(n.lineno, n.id) for n in named if isinstance(n, ast.Name) and n.id in SETTINGS]


def borrowed() -> list[str]:
    """Imports from a test module: what two of them use is in ``tests/support``."""
    findings = []
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
                    findings.append(f"{path.relative_to(ROOT)}:{node.lineno}: imports {name}: move it to tests/support")
    return findings


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
