"""The kernel is built where a C compiler is, and missed nowhere else; the doctor says which it is."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from penstock.doctor import examine
from penstock.native import kernel as loading
from penstock.native.kernel import SWITCH, VERSION
from tools.build_kernel import LIBRARY, SOURCES, build, platform_tag

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources alone, and no setting of whoever runs the tests."""
    for variable in ("CC", "CFLAGS", "PENSTOCK_KERNEL"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(ROOT / SOURCES, tmp_path / SOURCES, ignore=shutil.ignore_patterns("*.so.1"))
    return tmp_path


def test_a_library_for_every_python(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built without a warning; it needs no Python, and its wheel says which platform it is for."""
    monkeypatch.setenv("PENSTOCK_KERNEL", "require")
    library = build(tree)
    assert library == tree / SOURCES / LIBRARY
    assert ctypes.CDLL(str(library)).penstock_kernel_version() == VERSION
    assert re.fullmatch(r"manylinux_2_\d\d_\w+|musllinux_\w+|linux_\w+|macosx_\w+", platform_tag(library))
    assert b"PyObject" not in library.read_bytes()
    assert [p.name for p in (tree / SOURCES).glob("*.so.1")] == [LIBRARY]


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compiler: str
) -> None:
    """There is no library, an older one neither, and the build goes on; when one is required, it does not."""
    (tree / SOURCES / LIBRARY).write_bytes(b"of other sources")
    monkeypatch.setenv("CC", compiler)
    assert build(tree) is None
    assert not list((tree / SOURCES).glob("*.so.1"))
    assert "native lane: not built" in capsys.readouterr().err
    monkeypatch.setenv("PENSTOCK_KERNEL", "require")
    with pytest.raises(SystemExit, match="cannot be built"):
        build(tree)


def test_none_is_wanted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PENSTOCK_KERNEL=none builds none."""
    monkeypatch.setenv("PENSTOCK_KERNEL", "none")
    assert build(tree) is None


def test_the_doctor_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Built, switched off, or not built, of which the last two cost CPU and stop nothing."""
    assert examine.check_native_lane().detail == "built"
    assert not examine.check_native_lane().warns
    monkeypatch.setenv(SWITCH, "0")
    off = examine.check_native_lane()
    assert (off.ok, off.warns, off.detail) == (True, True, f"{SWITCH}=0, loads take about twice the CPU")
    monkeypatch.delenv(SWITCH)
    loading._loaded.cache_clear()
    with patch.object(loading, "LIBRARY", tmp_path / LIBRARY):
        missing = examine.check_native_lane()
        assert loading.kernel() is None
    loading._loaded.cache_clear()
    assert (missing.ok, missing.warns, missing.detail) == (True, True, "not built, loads take about twice the CPU")
    assert "C compiler" in missing.fix


def test_a_library_of_other_sources_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that this package does not agree with is as good as none."""
    loading._loaded.cache_clear()
    monkeypatch.setattr(loading, "VERSION", VERSION + 1)
    assert loading.kernel() is None
    monkeypatch.undo()
    loading._loaded.cache_clear()
    assert loading.kernel() is not None
