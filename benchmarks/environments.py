"""The peers, each installed from the package index into an environment of its own under ``.bench/``.

Of each, the newest version that can be had: some take their program from elsewhere at their first use, and where that
cannot be reached, the last version that came with its program takes their place.
"""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.inputs import BENCH
from benchmarks.process import ChildFailed, run
from benchmarks.warehouses import DuckDBFile, Warehouse

DLT = "1.31.0"
INGESTR = ("1.1.76", "1.1.22")
"""The newest, whose program comes from GitHub at its first use; the last that has it in its wheel."""
SLING = "1.4.11"
"""The last with its program on the package index; that of the newest comes from GitHub too."""
SLING_NEWEST = "1.6.5"
_SCRIPTS = Path(__file__).resolve().parent / "peers"
_INSTALL_SECONDS = 300
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_KEY = ("id", "received_at")
"""What tells one event from another, for tools that have to be told."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool in its environment: how it is started, under which variables; and why it is not the newest, if so."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    older: str = ""


def dlt() -> Peer:
    """dlt, with the same DuckDB and pyarrow as Penstock.

    Raises:
        ChildFailed: it cannot be installed.
    """
    same = [f"{name}=={version(name)}" for name in ("duckdb", "pyarrow", "adbc-driver-postgresql")]
    python = _installed("dlt", [f"dlt[duckdb,postgres]=={DLT}", *same])
    return Peer(f"dlt {DLT}", (str(python),))


def ingestr() -> Peer:
    """ingestr, with the driver of DuckDB it would otherwise fetch at its first use: that of the same DuckDB.

    Raises:
        ChildFailed: it cannot be installed.
    """
    environment = {"INGESTR_DISABLE_TELEMETRY": "true", "INGESTR_BINARY_CACHE_DIR": str(BENCH / "ingestr")}
    trouble = None
    for release in INGESTR:
        try:
            python = _installed(f"ingestr-{release}", [f"ingestr=={release}", f"duckdb=={version('duckdb')}"])
            run([python.parent / "ingestr", "--version"], timeout_seconds=_INSTALL_SECONDS, environment=environment)
        except ChildFailed as e:
            trouble = e
            continue
        environment |= _duckdb_driver(python)
        older = "" if release == INGESTR[0] else _fetched("ingestr", INGESTR[0])
        return Peer(f"ingestr {release}", (str(python.parent / "ingestr"), "ingest"), environment, older)
    assert trouble is not None
    raise trouble


def sling() -> Peer:
    """Sling's program, which its package for this machine holds.

    Raises:
        ChildFailed: it cannot be installed.
    """
    machine = f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    python = _installed("sling", [f"sling-{machine}=={SLING}"])
    program = next(python.parent.parent.glob(f"lib/python*/site-packages/sling_*/bin/sling-{machine}"), None)
    if program is None:
        raise ChildFailed(f"sling-{machine} {SLING} has no program")
    program.chmod(0o755)
    home = BENCH / "sling"
    home.mkdir(exist_ok=True)
    environment = {"SLING_DISABLE_TELEMETRY": "true", "HOME": str(home)}
    return Peer(f"Sling {SLING}", (str(program), "run"), environment, _fetched("Sling", SLING_NEWEST))


def _fetched(name: str, newest: str) -> str:
    return f"{name} {newest}, the newest, was not measured: it fetches its program from GitHub at its first use"


def _duckdb_driver(python: Path) -> dict[str, str]:
    """Variables that lead ingestr to the DuckDB of an environment; none where it is not to be had that way."""
    driver = next(python.parent.parent.glob("lib/python*/site-packages/_duckdb*.so"), None)
    library = _libpython()
    if driver is None or library is None:
        return {}
    drivers = BENCH / "drivers"
    drivers.mkdir(exist_ok=True)
    machine = _MACHINES.get(platform.machine(), platform.machine())
    (drivers / "duckdb.toml").write_text(
        f'manifest_version = 1\nname = "DuckDB"\nversion = "{version("duckdb")}"\n'
        '[ADBC]\nversion = "1.1.0"\n[Driver]\nentrypoint = "duckdb_adbc_init"\n'
        f'[Driver.shared]\nlinux_{machine} = "{driver}"\n',
        encoding="utf-8",
    )
    return {"ADBC_DRIVER_PATH": str(drivers), "LD_PRELOAD": library}


def dlt_load(peer: Peer, path: Path, warehouse: Warehouse, state: Path) -> list[str]:
    """The command that loads a file by dlt's Arrow path."""
    return [*peer.command, str(_SCRIPTS / "dlt_load.py"), str(path), _dlt_address(warehouse), str(state)]


def dlt_batches(peer: Peer, warehouse: Warehouse, state: Path) -> list[str]:
    """The command that keeps dlt at work in one process."""
    return [*peer.command, str(_SCRIPTS / "dlt_batches.py"), _dlt_address(warehouse), str(state)]


def dlt_rest(peer: Peer, url: str, path: Path, state: Path, workers: int) -> list[str]:
    """The command that loads an API by dlt's rest_api source into a DuckDB file."""
    return [*peer.command, str(_SCRIPTS / "dlt_rest.py"), url, str(path), str(state), str(workers)]


def ingestr_load(peer: Peer, path: Path, warehouse: Warehouse, state: Path) -> list[str]:
    """The command that loads a file by ingestr: merged by the fields that tell one event from another."""
    keys = [part for name in _KEY for part in ("--primary-key", name)]
    return [
        *(*peer.command, "--yes", "--progress", "log", "--pipelines-dir", str(state)),
        *("--source-uri", f"{'csv' if path.suffix == '.csv' else 'jsonl'}://{path}", "--source-table", "user_events"),
        *("--dest-uri", warehouse.peer_url, "--dest-table", "raw.user_events"),
        *("--columns", "received_at:timestamp_ntz", "--incremental-strategy", "merge", *keys),
    ]


def sling_load(peer: Peer, path: Path, warehouse: Warehouse) -> list[str]:
    """The command that loads a file by Sling: merged by the same fields."""
    return [
        *(*peer.command, "--src-stream", f"file://{path}", "--src-options", "{format: jsonlines, flatten: true}"),
        *("--tgt-conn", warehouse.peer_url, "--tgt-object", "raw.user_events"),
        *("--mode", "incremental", "--primary-key", ",".join(_KEY)),
    ]


def _dlt_address(warehouse: Warehouse) -> str:
    return str(warehouse.path) if isinstance(warehouse, DuckDBFile) else warehouse.peer_url


def _installed(name: str, requirements: list[str]) -> Path:
    """The Python of the peer's environment, made at the first use and whenever the requirements change."""
    folder = BENCH / f"venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(requirements)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    if not Path(uv).is_file():
        raise ChildFailed("uv is neither on PATH nor beside this Python: pip install uv")
    BENCH.mkdir(exist_ok=True)
    run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], timeout_seconds=_INSTALL_SECONDS)
    run([uv, "pip", "install", "--quiet", "--python", python, *requirements], timeout_seconds=_INSTALL_SECONDS)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _libpython() -> str | None:
    """Python's own shared library, which DuckDB's driver asks for when Python is not what loads it."""
    configured = Path(sysconfig.get_config_var("LIBDIR") or "") / str(sysconfig.get_config_var("INSTSONAME"))
    if configured.is_file() and ".so" in configured.name:
        return str(configured)
    found = ctypes.util.find_library(f"python{sys.version_info.major}.{sys.version_info.minor}")
    if found and not os.path.isabs(found):
        listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
        return next((line.split("=> ")[1].strip() for line in listed.splitlines() if f"\t{found} " in line), None)
    return found
