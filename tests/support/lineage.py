"""What tests of lineage share: a receiver of events over HTTP, and a judge of events.

The published JSON Schema comes in no package; the classes of ``openlineage-python`` are generated from it, one for each
object in it, with its required fields, types and choices. The judge holds events against those classes, field by field.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import threading
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import attr
from openlineage.client import generated
from openlineage.client.generated.base import BaseFacet, RunEvent

Event = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_URIS = ("producer", "schemaURL", "_producer", "_schemaURL", "uri")
_TIMES = ("eventTime", "nominalStartTime", "nominalEndTime")
LAST = ("COMPLETE", "FAIL", "ABORT")


class Receiver:
    """A server of lineage: keeps what is posted. ``answers`` are the statuses of the next requests, then 201."""

    def __init__(self, port: int = 0) -> None:
        self.events: list[Event] = []
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 201
                receiver.paths.append(self.path)
                receiver.authorizations.append(self.headers.get("Authorization"))
                if status == 201:
                    receiver.events.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """A receiver for the block."""
    receiver = Receiver(port)
    try:
        yield receiver
    finally:
        receiver.close()


def read_events(path: Path) -> list[Event]:
    """The events of a file, each on a line of its own."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def judge(events: Sequence[Event], *, ended: bool = True) -> None:
    """Each event is as OpenLineage has it; each run starts once, ends at most once (exactly once when ``ended``), and
    its times do not go back."""
    for event in events:
        _conforms(event, RunEvent, "event")
        assert event["schemaURL"].endswith("#/$defs/RunEvent")
    for run in {e["run"]["runId"] for e in events}:
        own = [e for e in events if e["run"]["runId"] == run]
        kinds = [e["eventType"] for e in own]
        assert kinds[0] == "START" and kinds.count("START") == 1, kinds
        assert not [k for k in kinds[:-1] if k in LAST], kinds
        assert not ended or kinds[-1] in LAST, kinds
        assert len({(e["job"]["namespace"], e["job"]["name"]) for e in own}) == 1
        times = [datetime.fromisoformat(e["eventTime"]) for e in own]
        assert times == sorted(times)


def named(events: Sequence[Event], kind: str, job: str) -> Event:
    """The one event of a kind of the one run of a job, whose name ends so."""
    (found,) = [e for e in events if e["eventType"] == kind and e["job"]["name"].endswith(job)]
    return found


@cache
def _facets() -> Mapping[str, type]:
    """Facet classes by the address of their schema."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for one in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(one, type) and issubclass(one, BaseFacet):
                found[one._get_schema()] = one
    return found


def _conforms(value: Any, kind: Any, at: str) -> None:
    origin = typing.get_origin(kind)
    if kind is Any:
        return
    if origin in (typing.Union, types.UnionType):
        wrong = []
        for option in typing.get_args(kind):
            try:
                return _conforms(value, option, at)
            except AssertionError as e:
                wrong.append(e)
        raise wrong[0]
    if origin is list:
        assert isinstance(value, list), f"{at} is no list"
        for i, one in enumerate(value):
            _conforms(one, typing.get_args(kind)[0], f"{at}[{i}]")
    elif origin is dict:
        assert isinstance(value, dict), f"{at} is no object"
        for name, one in value.items():
            _conforms(one, typing.get_args(kind)[1], f"{at}.{name}")
    elif isinstance(kind, type) and issubclass(kind, Enum):
        assert value in [e.value for e in kind], f"{at} is {value!r}"
    elif attr.has(kind):
        _object(value, kind, at)
    elif kind is type(None):
        assert value is None, f"{at} is not null"
    else:
        assert type(value) is kind, f"{at} is {value!r}, no {kind}"


def _object(value: Any, kind: type, at: str) -> None:
    assert isinstance(value, dict), f"{at} is no object"
    if issubclass(kind, BaseFacet):
        actual = _facets().get(value.get("_schemaURL", ""))
        assert actual is not None, f"{at} has no published schema: {value.get('_schemaURL')}"
        assert issubclass(actual, kind), f"{at} is no {kind.__name__}"
        kind = actual
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in attr.fields(typing.cast("Any", kind))}
    assert set(value) <= set(fields), f"{at} has {set(value) - set(fields)}, which {kind.__name__} has not"
    written = ("producer", "schemaURL", "_producer", "_schemaURL")
    required = {n for n, f in fields.items() if f.default is attr.NOTHING or n in written}
    assert required <= set(value), f"{at} lacks {required - set(value)}"
    for name, one in value.items():
        _conforms(one, hints[name], f"{at}.{name}")
        if name in _URIS:
            assert urlsplit(one).scheme, f"{at}.{name} is no URI: {one}"
        elif name in _TIMES:
            assert _TIME.fullmatch(one), f"{at}.{name} is no time: {one}"
        elif name == "runId":
            assert str(UUID(one)) == one
