"""Cuts the records out of an answer's bytes, as they were sent, without parsing them.

What is left of a JSON answer, with its records taken out, is small: the envelope, which tells how to go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from penstock.jsonpath import Step
from penstock.sources.splitters import element_ends, elements, value_end

MAX_PENDING_BYTES = 1 << 28
"""A record longer than this, or so much around the records, stops the load: the answer is not what was declared."""

_TOKEN = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+)', re.DOTALL)
_BLANK = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class BadPage(Exception):
    """An answer that is not what was declared; asked for again, it may be."""


class _Frame:
    """An open object or list on the way to the records."""

    __slots__ = ("inside", "is_list", "key", "wanted")

    def __init__(self, is_list: bool, wanted: bool) -> None:
        self.is_list = is_list
        self.wanted = wanted
        """Whether all steps down to here are the path's."""
        self.key: Step = 0 if is_list else None
        self.inside = is_list
        """Whether a value is expected next: always in a list, after a colon in an object."""


class RecordSplitter:
    """Cuts what stands at ``path``: the elements of each list there, and each object there.

    Takes the answer in chunks of any size and holds no more than one record and the envelope.
    """

    def __init__(self, path: Sequence[Step]) -> None:
        self._path = tuple(path[:-1]) if path and path[-1] is None else tuple(path)
        self._rest = b""
        self._envelope: list[bytes] = []
        self._envelope_bytes = 0
        self._frames: list[_Frame] = []
        self._mode: Literal["start", "seek", "elements", "value", "end"] = "start"
        self._other = ""
        self.found = False
        """Whether there was something at the path: records, an empty list, or null."""

    def cut(self, chunk: bytes) -> list[pa.Array]:
        """The records complete with this chunk.

        Raises:
            BadPage: this is not JSON, or one record goes on for ever.
        """
        block = self._rest + chunk if self._rest else chunk
        if self._mode == "start":
            if len(block) < len(_BOM) and _BOM.startswith(block):
                self._rest = block
                return []
            block, self._mode = block.removeprefix(_BOM), "seek"
        cuts: list[pa.Array] = []
        while block:
            size = len(block)
            if self._mode == "elements":
                block = self._elements(block, cuts)
            elif self._mode == "value":
                block = self._value(block, cuts)
            else:
                block = self._seek(block)
            if len(block) == size:
                break
        self._rest = block
        if len(block) > MAX_PENDING_BYTES or self._envelope_bytes > MAX_PENDING_BYTES:
            raise BadPage(f"more than {MAX_PENDING_BYTES >> 20} MiB without an end of the record")
        return cuts

    def finish(self) -> Any:
        """The envelope: the answer as a value, its lists of records empty and its records ``{}``.

        Raises:
            BadPage: the answer ends too early, or is not JSON.
        """
        if self._mode in ("elements", "value"):
            raise BadPage("the answer ends in the middle of a record or of the list")
        if self._rest:
            self._keep(self._rest)
        try:
            envelope = json.loads(b"".join(self._envelope))
        except (ValueError, RecursionError):
            what = "the answer ends too early" if self._frames else "the answer is not JSON"
            raise BadPage(what) from None
        if self._other:
            raise BadPage(f"there is {self._other} where the records should be")
        return envelope

    def _elements(self, block: bytes, cuts: list[pa.Array]) -> bytes:
        ends, closed = element_ends(block)
        if not len(ends):
            return block
        last = int(ends[-1])
        cuts.append(elements(block[:last], ends))
        if closed:
            self._keep(b"]")
            self._mode = "seek"
        return block[last:]

    def _value(self, block: bytes, cuts: list[pa.Array]) -> bytes:
        end = value_end(block)
        if end is None:
            return block
        cuts.append(pa.array([block[:end]], pa.binary()))
        self._keep(b"{}")
        self._mode = "seek"
        return block[end:]

    def _seek(self, block: bytes) -> bytes:
        """Go on to where records begin."""
        at = start = 0
        while match := _TOKEN.match(block, at):
            token = match[1]
            if match.end() == len(block) and token[:1] not in b"[]{},:\"":
                break  # a number or word may go on in the next chunk
            frame = self._frames[-1] if self._frames else None
            if frame is not None and not frame.is_list and token[:1] == b'"' and not frame.inside:
                frame.key = _text(token) if frame.wanted else None
            elif token == b":" and frame is not None:
                frame.inside = True
            elif token == b"," and frame is not None:
                frame.inside = frame.is_list
                if frame.is_list and isinstance(frame.key, int):
                    frame.key += 1
            elif token in (b"]", b"}") and frame is not None:
                self._frames.pop()
            else:
                wanted = self._wanted()
                if wanted and len(self._frames) == len(self._path):
                    self.found = True
                    if token in (b"[", b"{"):
                        self._mode = "elements" if token == b"[" else "value"
                        taken = match.end() if token == b"[" else match.start(1)
                        self._keep(block[start:taken])
                        return block[taken:]
                    if token != b"null":
                        self._other = "a text" if token[:1] == b'"' else f"`{token[:20].decode(errors='replace')}`"
                elif token in (b"[", b"{"):
                    self._frames.append(_Frame(token == b"[", wanted))
            at = match.end()
        self._keep(block[start:at])
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
        return frame.is_list if step is None else frame.is_list == isinstance(step, int) and frame.key == step

    def _keep(self, part: bytes) -> None:
        self._envelope.append(part)
        self._envelope_bytes += len(part)


def _text(token: bytes) -> str | None:
    try:
        found: str = json.loads(token)
    except ValueError:
        return None
    return found


def joined(cuts: Sequence[pa.Array]) -> pa.Array:
    """One array of records."""
    found = [c for c in cuts if len(c)]
    if not found:
        return pa.array([], pa.binary())
    if len(found) == 1:
        return found[0]
    if sum(c.nbytes for c in found) >= np.iinfo(np.int32).max:
        found = [c.cast(pa.large_binary()) for c in found]
    return pa.concat_arrays(found)
