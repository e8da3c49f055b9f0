"""Pseudonyms: what stands for personal data where nobody may read it.

A pseudonym is ``<version>:<hex>``, the HMAC-SHA-256 (RFC 2104) of the value's UTF-8 text under the key of that
version. Equal values have equal pseudonyms in every stream, so they join; without the key nobody can tell from a
pseudonym what it stands for, nor try values until one fits.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from penstock.errors import UsageError

_BLOCK_BYTES = 64
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keys:
    """The keys by their version, and the version that new pseudonyms have. Never shown.

    Args:
        current: the version in use.
        secrets: version → key, of the versions that are known here.
    """

    current: str
    secrets: Mapping[str, bytes]

    def pseudonym(self, text: str, version: str | None = None) -> str:
        """The pseudonym of a text under the current key, or under that of another version.

        Raises:
            UsageError: there is no key of that version.
        """
        version = version or self.current
        return f"{version}:{hmac.digest(self._secret(version), text.encode(), 'sha256').hex()}"

    def pads(self) -> tuple[bytes, bytes]:
        """The blocks that the inner and the outer hash of the current key begin with."""
        secret = self._secret(self.current)
        block = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(_BLOCK_BYTES, b"\0")
        return bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)

    def _secret(self, version: str) -> bytes:
        if version not in self.secrets:
            raise UsageError(
                f"the privacy key {version} is not known here",
                where="penstock.yml",
                fix=f"put {version} back under privacy: keys:, and set the variable that it names",
            )
        return self.secrets[version]


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What a stream says about the people in its records.

    ``subjects`` has, for each kind of person, the field that holds the id of one.
    """

    subjects: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    keys: Keys | None = None

    def needed_keys(self) -> Keys:
        """The keys, to tell who was erased.

        Raises:
            UsageError: there are none.
        """
        if self.keys is None:
            raise UsageError(
                "people were erased, and without a privacy key nobody can tell who",
                where="penstock.yml",
                fix="put the keys back under privacy:, and set the variables that they name",
            )
        return self.keys


def subject_text(kind: str, id_: str) -> str:
    """A person in one word, as the command line takes it: ``customer:42``."""
    return f"{kind}:{id_}"


def id_text(value: object) -> str:
    """An id as text, the same for every type that it may have: ``42`` for 42, 42.0 and "42"; UUIDs in small letters."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    text = str(value)
    return text.lower() if _UUID.fullmatch(text) else text
