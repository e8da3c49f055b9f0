"""Cuts the records out of an answer's bytes, as they were sent, without parsing them.

What is left of a JSON answer, with its records taken out, is small: the envelope, which tells how to go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from penstock.errors import redact
from penstock.jsonpath import Step, value_at
from penstock.records.splitters import Cut, LineSplitter, element_ends, elements, value_end

MAX_PENDING_BYTES = 1 << 28
"""A record longer than this, or so much around the records, stops the load: the answer is not what was declared."""

_TOKEN = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+)', re.DOTALL)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_SHOWN_LETTERS = 200


class BadPage(Exception):
    """An answer that is not what was declared; asked for again, it may be."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix or "run it again; what landed before stays, and the load goes on from there"


class Cutter(Protocol):
    """Cuts one answer, which comes in chunks of any size."""

    def cut(self, chunk: bytes) -> list[Cut]:
        """The records complete with this chunk.

        Raises:
            BadPage: the answer is not what was declared.
        """
        ...

    def finish(self) -> tuple[list[Cut], Any]:
        """The records left at the end, and the envelope: None where the format has none.

        Raises:
            BadPage: the answer ends too early, or has no records where they should be.
        """
        ...


class JsonCutter:
    """Cuts what stands at ``path``: the elements of each list there, and each object there.

    Holds no more than one record and the envelope. With ``optional``, there may be nothing at ``path``.
    """

    def __init__(self, path: Sequence[Step], *, shown: str = "$", optional: bool = False) -> None:
        self._path = tuple(path[:-1]) if path and path[-1] is None else tuple(path)
        self._shown = shown
        self._optional = optional
        self._rest = b""
        self._envelope: list[bytes] = []
        self._envelope_bytes = 0
        self._frames: list[_Frame] = []
        self._mode: Literal["start", "seek", "elements", "value"] = "start"
        self._other = ""
        self._found = False
        self._count = 0

    def cut(self, chunk: bytes) -> list[Cut]:
        block = self._rest + chunk if self._rest else chunk
        if self._mode == "start":
            begun = block.removeprefix(_BOM).lstrip(_BLANK)
            if not begun or begun in _BOM:
                self._rest = block
                return []
            _check_markup(begun, "JSON")
            block, self._mode = begun, "seek"
        cuts: list[Cut] = []
        while block:
            before = (self._mode, len(block))
            if self._mode == "elements":
                block = self._elements(block, cuts)
            elif self._mode == "value":
                block = self._value(block, cuts)
            else:
                block = self._seek(block)
            if (self._mode, len(block)) == before:
                break
        self._rest = block
        if len(block) > MAX_PENDING_BYTES or self._envelope_bytes > MAX_PENDING_BYTES:
            raise BadPage(
                f"more than {MAX_PENDING_BYTES >> 20} MiB without the end of a record", "check records: of the endpoint"
            )
        return cuts

    def finish(self) -> tuple[list[Cut], Any]:
        """No records are left; the envelope is the answer with its lists of records empty and its records ``{}``."""
        if self._mode in ("elements", "value"):
            raise BadPage("the answer ends in the middle of its records")
        self._keep(self._rest)
        try:
            envelope = json.loads(b"".join(self._envelope))
        except (ValueError, RecursionError) as e:
            if "Extra data" in str(e):
                raise BadPage("the answer is several JSON values", "set format: ndjson for one on each line") from None
            empty = not any(part.strip(_BLANK) for part in self._envelope)
            what = "is empty" if empty else "ends too early" if self._frames else "is not JSON"
            raise BadPage(f"the answer {what}") from None
        if self._other:
            raise BadPage(f"{self._shown} is {self._other}, neither a list nor an object", "check records:")
        if not self._found and not self._optional:
            raise BadPage(
                f"there is nothing at {self._shown}; {described(envelope)}",
                "check records: of the endpoint; where the API leaves out empty lists, set allow_missing: true there",
            )
        return [], envelope

    def _elements(self, block: bytes, cuts: list[Cut]) -> bytes:
        ends, closed = element_ends(block)
        if not len(ends):
            return block
        last = int(ends[-1])
        self._add(elements(block[:last], ends), last, cuts)
        if closed:
            self._keep(b"]")
            self._mode = "seek"
        return block[last:]

    def _value(self, block: bytes, cuts: list[Cut]) -> bytes:
        end = value_end(block)
        if end is None:
            return block
        self._add(pa.array([block[:end]], pa.binary()), end, cuts)
        self._keep(b"{}")
        self._mode = "seek"
        return block[end:]

    def _add(self, bodies: pa.Array, consumed: int, cuts: list[Cut]) -> None:
        if len(bodies):
            numbers = np.arange(self._count + 1, self._count + 1 + len(bodies))
            self._count += len(bodies)
            cuts.append(Cut(bodies, numbers, consumed))

    def _seek(self, block: bytes) -> bytes:
        """Go on to where records begin."""
        at = 0
        while match := _TOKEN.match(block, at):
            token = match[1]
            if match.end() == len(block) and token[0] not in b'[]{},:"':
                break  # a number or a word may go on in the next chunk
            frame = self._frames[-1] if self._frames else None
            if frame is not None and not frame.is_list and not frame.behind_colon and token[:1] == b'"':
                frame.key = _text(token) if frame.wanted else None
            elif token == b":" and frame is not None:
                frame.behind_colon = True
            elif token == b"," and frame is not None:
                frame.behind_colon = False
                frame.place += 1
            elif token in (b"]", b"}"):
                if frame is not None:
                    self._frames.pop()
            else:
                wanted = self._wanted()
                if wanted and len(self._frames) == len(self._path):
                    self._found = True
                    if token in (b"[", b"{"):
                        self._mode = "elements" if token == b"[" else "value"
                        taken = match.end() if token == b"[" else match.start(1)
                        self._keep(block[:taken])
                        return block[taken:]
                    if token != b"null":
                        self._other = "a text" if token[:1] == b'"' else token[:20].decode(errors="replace")
                elif token in (b"[", b"{"):
                    self._frames.append(_Frame(token == b"[", wanted))
            at = match.end()
        self._keep(block[:at])
        return block[at:]

    def _wanted(self) -> bool:
        """Whether the value that begins here is on the path."""
        if not self._frames:
            return True
        frame = self._frames[-1]
        depth = len(self._frames) - 1
        if not frame.wanted or depth >= len(self._path):
            return False
        step = self._path[depth]
        if step is None or isinstance(step, int):
            return frame.is_list and step in (None, frame.place)
        return not frame.is_list and frame.key == step

    def _keep(self, part: bytes) -> None:
        self._envelope.append(part)
        self._envelope_bytes += len(part)


class _Frame:
    """An open object or list on the way to the records."""

    __slots__ = ("behind_colon", "is_list", "key", "place", "wanted")

    def __init__(self, is_list: bool, wanted: bool) -> None:
        self.is_list = is_list
        self.wanted = wanted
        """Whether all steps down to here are the path's."""
        self.key: str | None = None
        self.place = 0
        self.behind_colon = False


class LineCutter:
    """One record a line."""

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._begun = False

    def cut(self, chunk: bytes) -> list[Cut]:
        if not self._begun and chunk.strip(_BLANK):
            self._begun = True
            _check_markup(chunk.lstrip(_BLANK), "NDJSON")
        cut = self._lines.cut(chunk)
        if len(self._lines.rest) > MAX_PENDING_BYTES:
            raise BadPage(f"a line of more than {MAX_PENDING_BYTES >> 20} MiB", "check format: of the endpoint")
        return [] if cut is None else [cut]

    def finish(self) -> tuple[list[Cut], Any]:
        rest = self._lines.rest
        cut = self._lines.finish()
        if cut is not None and _text(rest) is None:
            raise BadPage("the answer ends in the middle of a line")
        return [] if cut is None else [cut], None


def described(envelope: Any) -> str:
    """What an answer is instead, and what it says went wrong."""
    if not isinstance(envelope, dict):
        return f"the answer is {'a list' if isinstance(envelope, list) else 'one value'}"
    error = next((envelope[k] for k in ("error", "errors", "message", "detail") if envelope.get(k)), None)
    there = f"the answer has {', '.join(list(envelope)[:20]) or 'no keys'}"
    return there if error is None else f"{there}, and says: {in_short(error)}"


def in_short(error: Any) -> str:
    """A value as a few words, without secrets."""
    return redact(error if isinstance(error, str) else json.dumps(error))[:_SHOWN_LETTERS]


def error_in(envelope: Any, path: Sequence[Step]) -> str | None:
    """What an answer says went wrong; None when it says nothing."""
    error = value_at(envelope, path)
    return in_short(error) if error else None


def _check_markup(begun: bytes, expected: str) -> None:
    if begun[:1] == b"<":
        title = _TITLE.search(begun[:65_536])
        words = " ".join(title[1].decode(errors="replace").split())[:_SHOWN_LETTERS] if title else ""
        raise BadPage(
            f"the answer is a web page, not {expected}" + (f": {words}" if words else ""),
            "check base_url and the path; a gateway or a login page may stand before the API",
        )


def _text(token: bytes) -> Any:
    try:
        return json.loads(token)
    except (ValueError, RecursionError):
        return None
