"""Quarantine holds what came, whole, each record apart, and with its headers; replayed, it stays what it is."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pika
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from penstock import Session, load_project
from penstock.errors import SourceError
from penstock.land.loop import load
from penstock.ports import Batch, Destination, Target
from penstock.privacy.masking import masked
from penstock.project import RabbitMQ
from penstock.runs.quarantined import Entry, entries
from penstock.runs.replay import replay
from penstock.shape.shaper import Shaper
from penstock.sources.rabbitmq.inbox import Run
from penstock.sources.rabbitmq.message_headers import headers_of
from penstock.sources.rabbitmq.source import RabbitMQSource
from penstock.spec import StreamSpec
from tests.support.examples import examples
from tests.support.fixtures import SLOW
from tests.support.warehouse import land, ledger, table, write_files

PROPERTY = hypothesis_settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = itertools.count(1)
_EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}

Message = tuple[bytes, bytes]
"""Properties and body, as they are on the wire."""


def message(body: bytes, **properties: Any) -> Message:
    """A message with these properties."""
    encoded: Any = pika.BasicProperties(**properties)  # type: ignore[no-untyped-call]
    return b"".join(encoded.encode()), body


class Queue:
    """Messages that were received, as a source."""

    name = "queue"

    def __init__(self, messages: Sequence[Message]) -> None:
        self.failures: list[SourceError] = []
        run = Run(1, 0.0, [body for _, body in messages], [head for head, _ in messages], list(range(len(messages))))
        settings = RabbitMQ.model_validate({"type": "rabbitmq", "url": URL, "queue": "q"})
        self._reader = RabbitMQSource("queue", settings, message_ids=True)
        self._batch = self._reader._batch([run])

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """All of them."""
        del known
        yield self._batch

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """Nobody waits for it."""


URL = "amqp://guest:guest@127.0.0.1:1/"
bodies = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b" \n", b"{", b" {", b'{"n":1}', b'[{"n": 1 },7, {"n":"\\u0000"} ]', b'{"n":NaN} {"n":2}']),
)
headers = st.none() | st.dictionaries(
    st.sampled_from(["a", "b"]), st.none() | st.integers(0, 2) | st.binary(max_size=2) | st.text(max_size=2), max_size=2
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Plain, compressed, broken, in an envelope."""
    body, beside = draw(bodies), draw(headers)
    kind = draw(st.sampled_from(["plain", "gzip", "said gzip", "event"]))
    if kind == "plain":
        return message(body, headers=beside)
    if kind == "event":
        data = body.decode("latin-1")
        event = json.dumps({**_EVENT, "data": data}).encode()
        return message(event, headers=beside, content_type="application/cloudevents+json")
    return message(gzip.compress(body, mtime=0) if kind == "gzip" else body, headers=beside, content_encoding="gzip")


def _loaded(destination: Destination, source: Any, rules: StreamSpec) -> tuple[int, int, int, int]:
    shaper = Shaper(rules, threads=1)
    try:
        landed = load(source, destination, shaper, Target(spec=rules, source="queue"))
    finally:
        shaper.close()
    return tuple(landed.total(n) for n in ("read", "landed", "duplicates", "quarantined"))  # type: ignore[return-value]


@PROPERTY
@given(came=st.lists(messages(), min_size=1, max_size=12))
def test_messages(destination: Destination, came: list[Message]) -> None:
    """Each message or part of one that is refused is an entry, as it came, with its headers, unless it came before."""
    stream = f"s{next(_numbers)}"
    read, landed, duplicates, refused = _loaded(destination, Queue(came), StreamSpec(stream=stream))
    kept = entries(destination.query, stream=stream)
    assert read == landed + duplicates + refused
    assert refused == len(kept)
    whole = {(body, json.dumps(headers_of(head), sort_keys=True)) for head, body in came}
    for entry in kept:
        beside = dict(entry.headers or {})
        part = beside.pop("part", None)
        for ours in ("form", "id"):
            beside.pop(ours, None)
        body = entry.body
        assert entry.bytes == len(body)
        if part is None:
            assert (body, json.dumps(beside, sort_keys=True)) in whole
        else:
            assert body in {b"7", b'{"n":"\\u0000"}'}
    assert len({(e.body, json.dumps(e.headers, sort_keys=True)) for e in kept}) == len(kept)


PROJECT = """
name: held
target: {kind}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
  spark: {{ type: spark, ledger: postgres, warehouse: lake }}
sources:
  queue: {{ type: rabbitmq, url: "amqp://guest:guest@127.0.0.1:1/", queue: q }}
streams:
  s: {{ from: queue, {stream} }}
"""


def _states(session: Session) -> dict[bytes, str]:
    return {e.body: e.state for e in entries(session.destination.query, settled=True)}


def test_replay(destination: Destination, tmp_path: Path, request: Any) -> None:
    """What is refused again stays one entry; once the contract allows it, each message and part lands as itself."""
    kind = destination.kind
    url = request.getfixturevalue("postgres_url") if kind != "duckdb" else "postgresql://nowhere/none"
    destination.close()
    event = json.dumps({**_EVENT, "data": {"n": "x"}}, indent=1).encode()
    came = [
        message(b'[{"n":1}, {"n": "y"}]', message_id="m"),
        message(gzip.compress(b'{"n":"z"}'), message_id="z", content_encoding="gzip"),
        message(event, content_type="application/cloudevents+json"),
        message(gzip.compress(b'[{"n":"v"},{"n":2}]'), message_id="v", content_encoding="gzip"),
        message(b"{", message_id="broken"),
    ]
    strict = "identity: message, columns: {n: bigint}, contract: reject"

    def opened(stream: str) -> Session:
        (tmp_path / "penstock.yml").write_text(PROJECT.format(kind=kind, url=url, stream=stream))
        return Session(load_project(tmp_path))

    with opened(strict) as session:
        target = Target(spec=session.project.spec("s"), source="queue")
        landed = load(Queue(came), session.destination, session.shapers("s"), target)
        assert [landed.total(n) for n in ("read", "landed", "duplicates", "quarantined")] == [7, 2, 0, 5]
        before = _states(session)
        assert before.keys() == {b'{"n": "y"}', came[1][1], event, b'{"n":"v"}', b"{"}
        assert replay(session, entries(session.destination.query)) == [{"stream": "s", "replayed": 0, "waiting": 5}]
        assert _states(session) == before
    with opened("identity: message, columns: {n: bigint}, contract: rescue") as session:
        assert replay(session, entries(session.destination.query)) == [{"stream": "s", "replayed": 4, "waiting": 1}]
        assert sorted(r["_pen_rescued"]["n"] for r in table(session.destination, "s") if r["_pen_rescued"]) == [
            "v",
            "x",
            "y",
            "z",
        ]
        assert {state for body, state in _states(session).items() if body != b"{"} == {"replayed"}


@pytest.mark.parametrize(
    "sizes", [[1_700_000, 4_000_000], pytest.param([17_000_000, 40_000_000], marks=SLOW)], ids=["some", "many"]
)
def test_large_bodies(destination: Destination, tmp_path: Path, sizes: list[int]) -> None:
    """Several large records are quarantined whole in one commit; a list of them knows their sizes without them."""
    lines = [b'{"n":%d,"x":"' % i + b"x" * size + b'"}' for i, size in enumerate(sizes)]
    write_files(tmp_path / "in", {"f.ndjson": b"\n".join([*lines, b'{"n":9}']) + b"\n"})
    land(destination, tmp_path / "in", StreamSpec(stream="s", max_record_bytes=1 << 20), commit_bytes=1 << 30)
    assert ledger(destination, "s") == [(3, 1, 0, 2)]
    kept = sorted(entries(destination.query), key=lambda e: e.origin)
    assert [e.bytes for e in kept] == [len(line) for line in lines]
    assert kept[1].body == lines[1]


def test_the_size_of_a_masked_body(tmp_path: Path) -> None:
    """A list shows how large a body is, whatever is shown of it."""
    (tmp_path / "penstock.yml").write_text(
        "name: p\ndestinations: {d: {type: duckdb, path: w.duckdb}}\nsources: {f: {type: files, path: data}}\n"
        "streams: {s: {from: f, pii: [email]}}\nprivacy: {keys: {v1: '" + "0" * 64 + "'}}\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.ndjson").write_bytes(b'{"email":"ada@example.com"\n')
    project = load_project(tmp_path)
    with Session(project) as session:
        from penstock.runs.plan import plan_loads

        for step in plan_loads(project):
            session.load(step)
        (entry,) = entries(session.destination.query)
        shown: Entry = masked(project, entry)
        assert b"ada" in entry.body and b"ada" not in shown.body
        assert shown.bytes == entry.bytes == 26


def test_entries_of_an_older_ledger(destination: Destination, tmp_path: Path) -> None:
    """Entries that were kept before their sizes were get them."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"n":\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    destination.query("alter table penstock.quarantine drop column bytes")
    assert not destination.is_prepared()
    destination.prepare()
    assert [e.bytes for e in entries(destination.query)] == [5]
