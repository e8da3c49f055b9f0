"""What tells a person in texts that were not made to be searched: an error, a position, a log, a report."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

from penstock.errors import MASK

SHORTEST = 5
"""Characters of a value by which a text is taken for the person's."""

_SHORTEST_NUMBER = 7
_BEGINS = r"(?:(?<!\w)|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9a-f]{2}))"
"""Where a value begins: at a word, or behind a character that JSON or an address has escaped."""
_NOBODYS = frozenset({"false", "true"})


class Traces:
    """The person's id and what the person's rows hold; ``own`` are the values that nobody else's rows hold.

    Shorter values are in too many texts to say anything. An id is looked for as a word of its own; a short one only
    where it is quoted or stands for a value, as in ``customer_id=42``.
    """

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.own: set[str] = set()
        self.longest = 0
        """The most bytes that one of them takes in a file."""
        self._values: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values, key=lambda v: (-len(v), v)))

    def add(self, values: Iterable[Any], *, shared: Iterable[str] | None = None) -> None:
        """Take in values of the person's: texts, and what is in JSON. ``shared`` are those that others have too, if
        that is known; what stands inside of JSON others may have as well, but for addresses."""
        if shared is not None:
            values = list(values)
            others = set(shared)
            texts = {text for value in values if value not in others for text in _texts(value)}
            self.own.update(t for t in texts if _tells(t) and (t in values or "@" in t))
        before = len(self._values)
        for value in values:
            self._values.update(text for text in _texts(value) if _tells(text))
        if len(self._values) != before:
            for name in ("_in_text", "_in_bytes"):
                self.__dict__.pop(name, None)

    @cached_property
    def _in_text(self) -> re.Pattern[str]:
        words = [re.escape(form) for value in self for form in _spellings(value)]
        patterns = [rf"{_BEGINS}(?:{'|'.join(words)})(?!\w)"] if words else []
        id_ = re.escape(self.id)
        if len(self.id) >= SHORTEST:
            patterns.append(rf"(?<![\w.-]){id_}(?![\w-])")
        else:
            patterns.append(rf"(?<=[\"'=(/]){id_}(?=[\"')\s,;&/?]|$)")
        return re.compile("|".join(patterns), re.IGNORECASE)

    @cached_property
    def _in_bytes(self) -> re.Pattern[bytes]:
        # a short number is the size or the number of something in any file
        values = [v for v in (*self, self.id) if len(v) >= (_SHORTEST_NUMBER if v.isdecimal() else SHORTEST)]
        forms = sorted({form.encode() for v in values for form in _spellings(v)}, key=lambda f: (-len(f), f))
        self.longest = max(map(len, forms), default=0)
        if not forms:
            return re.compile(rb"(?!)")
        return re.compile(rb"%s(?:%s)(?!\w)" % (_BEGINS.encode(), b"|".join(map(re.escape, forms))), re.IGNORECASE)

    def masked(self, text: str) -> str:
        """The text without them."""
        return self._in_text.sub(MASK, text)

    def are_in(self, text: str) -> bool:
        """Whether a text names the person."""
        return self._in_text.search(text) is not None

    def masked_bytes(self, content: bytes) -> bytes:
        """The content of a file without them, in whatever way they are escaped."""
        return self._in_bytes.sub(MASK.encode(), content)

    def are_in_bytes(self, content: bytes) -> bool:
        """Whether the content of a file names the person."""
        return self._in_bytes.search(content) is not None


def _tells(text: str) -> bool:
    return len(text.strip()) >= SHORTEST and text.lower() not in _NOBODYS


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value; numbers that are long enough to be somebody's are texts too."""
    if isinstance(value, str):
        inner = None
        if value[:1] in ("{", "["):
            try:
                inner = json.loads(value)
            except ValueError:
                inner = None
        if inner is None:
            yield value
        else:
            yield from _texts(inner)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)


def _spellings(value: str) -> set[str]:
    """A value as JSON, HTML, SQL and addresses write it."""
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        value.replace("'", "''"),
        quote(value, safe=""),
        quote(value),
    }
