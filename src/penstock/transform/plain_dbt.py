"""What lets people call ``dbt`` itself in a project: Penstock's package in ``packages.yml``, and a ``profiles.yml``.

What people wrote there themselves is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from penstock.logs import get_log
from penstock.system import link_folder

PACKAGE = ".penstock/package"
"""Where ``packages.yml`` finds Penstock's package, in every environment: a link to the installed one."""
_OWN = "# Written by penstock from penstock.yml; changes are lost."
_PROFILES = f"""{_OWN} Without this line the file is yours, and stays as it is.
# Of this machine only. A password is never in it: dbt takes that from DBT_ENV_SECRET_PENSTOCK_PASSWORD or PGPASSWORD.
"""
_ENTRY = f"- local: {PACKAGE}  # penstock's macros, as installed\n"
_PACKAGES = f"packages:\n  {_ENTRY}"
_FILES = ("dependencies.yml", "packages.yml")
_LOCK = "package-lock.yml"
_LIST = re.compile(r"(?m)^packages:[ \t]*(?:#.*)?\n(?=(?:[ \t]*(?:#.*)?\n)*(?P<indent>[ \t]*)-)")
"""The head of a list of packages, with how far its entries are indented."""

_log = get_log("transform")


def link_package(directory: Path, installed: Path) -> None:
    """Have dbt find the package, and ``packages.yml`` name it, so that ``dbt deps`` puts it where it is.

    A file in which people name packages gets one more entry, and otherwise stays as it is.
    """
    packages = _install_path(directory)
    if packages is None:
        return
    (directory / PACKAGE).parent.mkdir(exist_ok=True)
    link_folder(directory / PACKAGE, installed)
    try:
        packages.mkdir(parents=True, exist_ok=True)
        link_folder(packages / "penstock", directory / PACKAGE)
    except OSError:  # in a container nobody can write beside .penstock
        return
    texts = {name: _text(directory / name) for name in _FILES}
    if any(PACKAGE in text for text in texts.values()):
        return
    name = next((name for name, text in texts.items() if re.search(r"(?m)^packages:", text)), "packages.yml")
    text = texts[name]
    if not re.search(r"(?m)^packages:", text):
        text += ("\n" if text and not text.endswith("\n") else "") + _PACKAGES
    else:
        text = _LIST.sub(lambda head: f"{head[0]}{head['indent']}{_ENTRY}", text, count=1)
    if text == texts[name]:
        _log.warning(
            "dbt deps would remove penstock's package",
            file=name,
            fix=f"add to its packages: {_ENTRY.partition('  #')[0]}",
        )
        return
    with suppress(OSError):  # likewise, and nobody calls dbt deps there
        (directory / name).write_text(text, encoding="utf-8")


def _install_path(directory: Path) -> Path | None:
    """Where the project has dbt's packages; None where only dbt can tell."""
    named = _yaml(_text(directory / "dbt_project.yml")).get("packages-install-path", "dbt_packages")
    return directory / named if isinstance(named, str) and "{{" not in named else None


def write_profile(directory: Path, profile: str, target: str, output: Mapping[str, Any]) -> None:
    """Have plain dbt find the warehouse: by the outputs of the targets used so far, the first of which is the default.

    Left out where people have a profile of this name in their home, which this one would hide.
    """
    path = directory / "profiles.yml"
    known = _yaml(_text(path)).get(profile) or {}
    if not known and profile in _profiles_at_home():
        return
    outputs = {**known.get("outputs", {}), target: dict(output)}
    text = _PROFILES + yaml.safe_dump(
        {profile: {"target": known.get("target", target), "outputs": outputs}}, sort_keys=False
    )
    if text != _text(path):
        with suppress(OSError):  # as above
            replacement = path.with_name(f".profiles.{os.getpid()}.tmp")
            replacement.write_text(text, encoding="utf-8")
            replacement.replace(path)


def _profiles_at_home() -> dict[str, Any]:
    try:
        return _yaml(_text(Path.home() / ".dbt" / "profiles.yml"))
    except RuntimeError:  # a user without a home
        return {}


def is_written_here(path: Path) -> bool:
    """Whether a ``profiles.yml`` is one of :func:`write_profile`'s."""
    return _text(path).startswith(_OWN)


def own_content(path: Path) -> bytes:
    """What people wrote in a file that dbt reads."""
    content = path.read_bytes()
    if path.name == _LOCK:
        locked = [each for each in _packages(path) if each.get("local") != PACKAGE]
        return yaml.safe_dump(locked).encode() if locked else b""
    if path.name not in _FILES:
        return content
    entry = _ENTRY.strip().encode()
    kept = b"".join(line for line in content.splitlines(keepends=True) if line.strip() != entry)
    return b"" if kept.strip() == b"packages:" else kept


def local_packages(directory: Path) -> list[Path]:
    """The folders of the packages that a project takes from this machine; Penstock's own is none of them."""
    entries = (each.get("local") for name in _FILES for each in _packages(directory / name))
    named = [str(local) for local in entries if local and local != PACKAGE]
    return [folder for folder in (Path(os.path.normpath(directory / local)) for local in named) if folder.is_dir()]


def _packages(path: Path) -> list[dict[str, Any]]:
    """The packages that a file lists."""
    listed = _yaml(_text(path)).get("packages")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _yaml(text: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return document if isinstance(document, dict) else {}
