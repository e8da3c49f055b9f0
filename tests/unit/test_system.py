"""What differs between operating systems: what Penstock does where there is no ``fcntl`` and no symbolic link."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.system import is_alive, link_folder, lock

IMPORT_ALL = """
import importlib, pkgutil, sys
for module in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[module] = None
import penstock
for module in pkgutil.walk_packages(penstock.__path__, "penstock."):
    if not module.name.startswith("penstock.templates.") and module.name != "penstock.__main__":
        importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_every_module_is_imported_without_what_only_unix_has() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """Until the file is closed."""
    path = tmp_path / "file"
    with path.open("xb") as first:
        lock(first)
        with path.open("rb") as second, pytest.raises(OSError):
            lock(second)
    with path.open("rb") as third:
        lock(third)


def test_a_folder_is_copied_where_it_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And copied anew, so that nothing old stays; once links can be made, the copy makes way."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    (folder / "old").touch()

    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held by the client")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", refuse)
        link_folder(link, folder)
        assert not link.is_symlink() and [p.name for p in link.iterdir()] == ["old"]
        (folder / "old").rename(folder / "new")
        link_folder(link, folder)
        assert [p.name for p in link.iterdir()] == ["new"]
    link_folder(link, folder)
    assert link.is_symlink() and link.readlink() == folder
    link_folder(link, tmp_path)
    assert link.readlink() == tmp_path


def test_a_process_that_is_gone_does_not_live() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert is_alive(os.getpid()) and not is_alive(child.pid)


def test_threads_share_their_memory() -> None:
    """Arrow takes its memory from where everything else does, unless its own variable says otherwise."""
    code = "from penstock.system import share_memory; share_memory(); import pyarrow; "
    code += "print(pyarrow.default_memory_pool().backend_name)"
    for value, backend in ((None, "system"), ("mimalloc", "mimalloc")):
        environment = {name: text for name, text in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
        if value is not None:
            environment["ARROW_DEFAULT_MEMORY_POOL"] = value
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert ended.stdout.strip() == backend
