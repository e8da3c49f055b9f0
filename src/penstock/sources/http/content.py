"""What an answer holds: its records, and what is around them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.jsonpath import parse_path
from penstock.records.opening import CsvDialect
from penstock.sources.http.pages import Answer
from penstock.sources.http.parents import Additions
from penstock.sources.http.records import BadPage, Cutter, JsonCutter, LineCutter, error_in
from penstock.sources.http.streaming import csv_parts, rows_of_stream

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.project.http import Endpoint
    from penstock.records.splitters import Cut
    from penstock.sources.http.responses import Page

_CHUNK_BYTES = 4 << 20
_CSV_BLOCK_BYTES = 1 << 20


class Content:
    """Cuts the answers of one endpoint into records."""

    def __init__(self, endpoint: Endpoint, *, where: str) -> None:
        assert endpoint.pagination is not None and endpoint.records is not None and endpoint.csv is not None
        self._endpoint = endpoint
        self._pagination = endpoint.pagination
        self._shown_records = endpoint.records
        self._records = parse_path(endpoint.records)
        self._error = None if endpoint.error is None else parse_path(endpoint.error)
        csv = endpoint.csv
        self._dialect = CsvDialect(
            delimiter=csv.delimiter, quote=csv.quote, header=csv.header, null_values=tuple(csv.null_values)
        )
        self._where = where

    def split(self, page: Page, place: str, fields: Mapping[str, str]) -> Answer:
        """The records of a whole answer, with the ``fields`` of their parent.

        Raises:
            BadPage: it is not what the settings say.
        """
        rejects: list[Reject] = []
        cuts: list[Cut] = []
        envelope: Any = None
        if self._endpoint.format == "csv":
            for cut, wrong in rows_of_stream(io.BytesIO(page.body), place, self._dialect, _CSV_BLOCK_BYTES):
                cuts.append(cut)
                rejects.extend(wrong)
        else:
            cutter = self._cutter()
            cuts = cutter.cut(page.body)
            rest, envelope = cutter.finish()
            cuts += rest
        answer = Answer(
            cuts=cuts,
            rejects=rejects,
            envelope=envelope,
            headers=page.headers,
            url=page.url,
            size_bytes=len(page.body),
            digest=_digest(cuts, rejects),
        )
        self._check_envelope(answer)
        return replace(answer, cuts=Additions(fields, where=self._where).to(answer.cuts, place))

    def _check_envelope(self, answer: Answer) -> None:
        whole = answer.envelope
        if not self._records and whole == {} and answer.last is not None:
            # the one record is all of the answer
            try:
                whole = json.loads(answer.last)
            except (ValueError, RecursionError):
                raise BadPage("the answer is not JSON") from None
            if self._pagination.type != "none":
                keys = ", ".join(list(whole)[:20]) or "nothing"
                raise BadPage(f"the answer is one object, with {keys}", "say with records: where in it the records are")
        if self._error is not None and (error := error_in(whole, self._error)) is not None:
            raise BadPage(f"the API says: {error}")

    def _cutter(self) -> Cutter:
        if self._endpoint.format == "ndjson":
            return LineCutter()
        return JsonCutter(self._records, shown=self._shown_records, optional=self._endpoint.allow_missing)

    async def parts(
        self, chunks: AsyncGenerator[bytes], place: str, url: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The records of an answer as it comes, in parts of a page.

        Raises:
            BadPage: it is not what the settings say.
        """
        if self._endpoint.format == "csv":
            async with aclosing(csv_parts(chunks, place, self._dialect)) as rows:
                async for cut, rejects in rows:
                    yield {"cuts": [cut], "rejects": rejects, "bytes": cut.consumed, "whole": False}
            return
        cutter = self._cutter()
        held: list[bytes] = []
        size = 0
        async with aclosing(chunks) as coming:
            async for chunk in coming:
                held.append(chunk)
                size += len(chunk)
                if size >= _CHUNK_BYTES:
                    cuts = await asyncio.to_thread(cutter.cut, b"".join(held))
                    yield {"cuts": cuts, "bytes": size, "whole": False}
                    held, size = [], 0
        cuts = await asyncio.to_thread(cutter.cut, b"".join(held))
        rest, envelope = await asyncio.to_thread(cutter.finish)
        cuts = [*cuts, *rest]
        answer = Answer(cuts=cuts, rejects=(), envelope=envelope, headers=headers, url=url, size_bytes=size)
        self._check_envelope(answer)
        yield {"cuts": cuts, "bytes": size, "whole": False}


def _digest(cuts: Sequence[Cut], rejects: Sequence[Reject]) -> bytes:
    """Tells pages with other records apart. Of a page at once: a call for each record takes as long as cutting."""
    digest = hashlib.blake2b(digest_size=16)
    for cut in cuts:
        _, offsets, data = cut.bodies.buffers()
        ends = np.frombuffer(offsets, np.int64 if pa.types.is_large_binary(cut.bodies.type) else np.int32)
        ends = ends[cut.bodies.offset : cut.bodies.offset + len(cut.bodies) + 1]
        digest.update(np.diff(ends).astype(np.int64).tobytes())
        if data is not None:
            digest.update(memoryview(data)[ends[0] : ends[-1]])
    for reject in rejects:
        digest.update(b"%d %b" % (len(reject.body), reject.body))
    return digest.digest()
