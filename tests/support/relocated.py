"""A library of Java under names of another prefix, for a jar that has all of its own so and leaves out one it uses."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
"""The bytes of each constant of a class file after its tag, but for texts (JVM specification, 4.4)."""
_TEXT, _OF_TWO_PLACES = 1, (5, 6)


def relocated(jar: Path, package: str, prefix: str, made: Path) -> Path:
    """Make a jar of the classes of ``package``, such as ``org/apache/commons/lang3``, that begin with ``prefix``."""
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            if name.startswith(package) and name.endswith(".class"):
                target.writestr(prefix + name, _renamed(source.read(name), package.encode(), prefix.encode()))
    return made


def _renamed(content: bytes, package: bytes, prefix: bytes) -> bytes:
    """A class file whose texts name the package so."""
    count = struct.unpack_from(">H", content, 8)[0]
    parts, at, place = [content[:10]], 10, 1
    while place < count:
        tag = content[at]
        if tag == _TEXT:
            end = at + 3 + struct.unpack_from(">H", content, at + 1)[0]
            text = content[at + 3 : end].replace(package, prefix + package)
            parts.append(struct.pack(">BH", tag, len(text)) + text)
        else:
            end = at + 1 + _SIZES[tag]
            parts.append(content[at:end])
        place += 2 if tag in _OF_TWO_PLACES else 1
        at = end
    return b"".join([*parts, content[at:]])
