"""What must not be seen, and texts without it."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from penstock.errors import MASK

_SECRET_NAME = re.compile(
    r"(?:^|[_.-])auth(?:$|[_.-]|oriz|entic)|(?:^|[_.-]|api|access)key$|(?:^|[_.-])sig$"
    r"|token|secret|passw|pwd|signature|credential|session|cookie",
    re.IGNORECASE,
)
_SHORTEST = 4
"""A shorter value is found everywhere: it is masked where its name gives it away."""


def is_secret(name: str) -> bool:
    """Whether a header or a parameter of that name mostly holds a secret."""
    return _SECRET_NAME.search(name) is not None


def basic(user: str, password: str) -> str:
    """The value of ``Authorization`` for HTTP basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


class Secrets:
    """The secret values of one connection, and the parameters that hold them."""

    def __init__(self, values: Iterable[str] = (), parameters: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._parameters = {name.lower() for name in parameters}
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask this from now on, in all the ways in which it may be written."""
        if len(value) >= _SHORTEST:
            escaped = json.dumps(value)[1:-1]
            self._values |= {value, escaped, quote(value), quote(value, safe=""), quote_plus(value)}

    def mask(self, text: str) -> str:
        """``text`` with ``*****`` for each secret."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def mask_url(self, url: str) -> str:
        """An address with ``*****`` for the values of parameters that hold secrets, by their name or their value."""
        parts = urlsplit(url)
        if parts.query:
            pieces = []
            for piece in parts.query.split("&"):
                name, equals, _ = piece.partition("=")
                plain = unquote_plus(name)
                secret = equals and (plain.lower() in self._parameters or is_secret(plain))
                pieces.append(f"{name}={MASK}" if secret else piece)
            parts = parts._replace(query="&".join(pieces))
        return self.mask(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))


class MaskedLog(logging.Filter):
    """For loggers of libraries that write addresses and headers."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask what the arguments hold; let everything through."""
        if isinstance(record.args, tuple):
            record.args = tuple(self._masked(a) for a in record.args)
        return True

    def _masked(self, argument: object) -> object:
        text = str(argument)
        masked = self._secrets.mask_url(text) if text.startswith(("http://", "https://")) else self._secrets.mask(text)
        return argument if masked == text else masked
