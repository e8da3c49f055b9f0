"""Builds the kernel of the native lane (src/penstock/native): a hook of hatchling for wheels and editable installs.

One library serves every Python, so the wheel is one of ``py3-none`` and the platform. Where there is no C compiler, or
it cannot build this, the wheel is pure, and the native lane is missing from it. ``CC`` names the compiler, and
``CFLAGS`` adds to its flags. ``PENSTOCK_KERNEL=require``, as in continuous integration, makes a failure one of the
whole build, and a warning a failure; ``PENSTOCK_KERNEL=none`` builds no kernel.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path("src/penstock/native")
LIBRARY = "libkernel.so.1"
"""Not ``.so`` at its end: what walks through the package would take it for a module."""
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
"""None of them is for this processor: the library runs on any of its kind, and looks for more when it is used."""

_OLDEST_GLIBC = (2, 17)
"""What wheels of Linux are for at least (PEP 600)."""


class KernelHook(BuildHookInterface[Any]):
    """Compiles, and tells hatchling what has become of it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling names it
        """Called before a wheel is put together, or an editable install is made."""
        if self.target_name != "wheel":
            return
        library = build(Path(self.root))
        if library is None:
            return
        build_data["artifacts"].append(f"/{SOURCES / LIBRARY}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(library)}"


def build(root: Path) -> Path | None:
    """The library, made anew beside its sources; None when there is none."""
    wanted = os.environ.get("PENSTOCK_KERNEL", "")
    library = root / SOURCES / LIBRARY
    compiler = _compiler()
    if wanted == "none":
        problem = "PENSTOCK_KERNEL=none"
    elif compiler is None:
        problem = "no C compiler"
    else:
        problem = _compiled(compiler, root / SOURCES, library, strict=wanted == "require")
    if not problem:
        return library
    library.unlink(missing_ok=True)  # it would be of other sources
    if wanted == "require":
        raise SystemExit(f"the native lane cannot be built: {problem}")
    print(f"native lane: not built ({problem.splitlines()[0]}); loads take about twice the CPU", file=sys.stderr)
    return None


def platform_tag(library: Path) -> str:
    """The platform that the library is for, as wheels name it; of Linux by the newest symbol of glibc that it needs."""
    from packaging.tags import platform_tags

    tags = list(platform_tags())
    if not any(tag.startswith("manylinux") for tag in tags):
        return tags[0]
    needed = [(int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", library.read_bytes())]
    major, minor = max([_OLDEST_GLIBC, *needed])
    return f"manylinux_{major}_{minor}_{platform.machine()}"


def _compiler() -> list[str] | None:
    if "CC" in os.environ:
        return shlex.split(os.environ["CC"])
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def _compiled(compiler: list[str], sources: Path, library: Path, *, strict: bool) -> str:
    """Compile all sources into the library, in one step, so that nobody sees half of it. Returns what went wrong."""
    flags = [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    if strict:
        flags.append("-Werror")
    handle, name = tempfile.mkstemp(dir=sources, prefix=".kernel-", suffix=".so.1")
    os.close(handle)
    made = Path(name)
    try:
        command = [*compiler, *flags, *map(str, sorted(sources.glob("*.c"))), "-o", name, "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip() or f"{compiler[0]} ended with {done.returncode}"
        made.chmod(0o755)
        made.replace(library)
    except OSError as e:
        return str(e)
    finally:
        made.unlink(missing_ok=True)
    return ""
