"""What publishing promises: every message is confirmed or told, and says what it is."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from penstock.errors import SourceError, UsageError
from penstock.project import load_project
from penstock.publish import Published, Request, publish
from penstock.publish.outgoing import Encoder, Format
from penstock.sources.rabbitmq.messages import Message, read_message
from penstock.testing.proxy import Proxy
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support import commands

PROJECT = """
name: trial
destinations:
  duckdb: { type: duckdb, path: warehouse.duckdb }
sources:
  queue: { type: rabbitmq, url: "URL", QUEUE }
  files: { type: files, path: "*.ndjson", csv: { delimiter: ";" } }
streams:
  events: { from: [queue, files], STREAM }
"""
MISSING = {"id": 3, "at": "later"}


@pytest.fixture
def make(tmp_path: Path, rabbitmq_url: str) -> Callable[..., Path]:
    """Makes a project, by default with a classic queue ``q``."""

    def make(queue: str = "queue: q, queue_type: classic", stream: str = "identity: content", url: str = "") -> Path:
        text = PROJECT.replace("URL", url or rabbitmq_url).replace("QUEUE", queue).replace("STREAM", stream)
        (tmp_path / "penstock.yml").write_text(text)
        return tmp_path

    return make


@pytest.fixture
def channel(rabbitmq_url: str) -> Iterator[Any]:
    """A channel of the test's own."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        yield connection.channel()


def _write(folder: Path, records: Iterable[Any], name: str = "in.ndjson") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _publish(folder: Path, *files: Path, **options: Any) -> Published:
    return publish(load_project(folder), Request(stream="events", files=files, **options))


def _taken(channel: Any, queue: str = "q") -> list[tuple[Any, bytes]]:
    """All that waits in a queue: properties and bodies, in order."""
    found = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        found.append((got[1], got[2]))
    return found


def _penstock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.penstock(folder, *arguments, environ={"COLUMNS": "200"}, timeout=120)


@pytest.mark.parametrize("kind", [pytest.param("classic", marks=pytest.mark.slow), "quorum", "stream"])
def test_all_records_arrive_in_order_and_are_confirmed(make: Callable[..., Path], channel: Any, kind: str) -> None:
    """More of them than the window, to each type of queue, which is declared; bodies are the records as they came."""
    folder = make(f"queue: q, queue_type: {kind}")
    published = _publish(folder, _write(folder, ({"id": i} for i in range(5_000))))
    assert (published.sent, published.confirmed, published.error) == (5_000, 5_000, None)
    if kind != "stream":
        assert [body for _, body in _taken(channel)] == [b'{"id": %d}' % i for i in range(5_000)]


def test_a_message_says_what_it_is(make: Callable[..., Path], channel: Any) -> None:
    """Persistent JSON of Penstock's, whose id is the same for the same record however it is written."""
    folder = make()
    (folder / "in.ndjson").write_text('{"b": 1.50, "a": [1]}\n{"a":[1],"b":1.50}\n{"a": [1], "b": 1.5}\n')
    _publish(folder, folder / "in.ndjson")
    messages = _taken(channel)
    for said, _ in messages:
        assert (said.content_type, said.delivery_mode, said.app_id) == ("application/json", 2, "penstock")
    first, second, other = [said.message_id for said, _ in messages]
    assert first == second != other
    assert len(first) == 64


def test_key_fields_are_the_message_id(make: Callable[..., Path], channel: Any) -> None:
    """Records of one key have one id, whatever else they hold; one without its key has its content's."""
    folder = make(stream="identity: [id, at]")
    records = [{"id": 1, "at": 2, "x": 1}, {"x": 2, "at": 2, "id": 1}, {"id": 2, "at": 1}, {"id": 1}, {"id": 1, "y": 0}]
    _publish(folder, _write(folder, records))
    ids = [said.message_id for said, _ in _taken(channel)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_what_is_no_record_is_published_as_it_came(make: Callable[..., Path], channel: Any) -> None:
    """Whoever consumes it has a quarantine; nothing is left out silently."""
    folder = make()
    (folder / "in.ndjson").write_bytes(b'{"id": 1}\n{"id":\n[1]\nnope\xff\n')
    assert _publish(folder, folder / "in.ndjson").confirmed == 4
    assert sorted(body for _, body in _taken(channel)) == sorted([b'{"id": 1}', b'{"id":', b"[1]", b"nope\xff"])


def test_any_file_can_be_published(make: Callable[..., Path], channel: Any) -> None:
    """Several at once, JSON and CSV, which is read as the stream's own files are."""
    folder = make()
    (folder / "a.json").write_text('[{"id": 1},\n {"id": 2}]')
    (folder / "b.csv").write_text("id;name\n3;x\n")
    assert _publish(folder, folder / "a.json", folder / "b.csv").confirmed == 3
    records = [json.loads(body) for _, body in _taken(channel)]
    assert records == [{"id": 1}, {"id": 2}, {"id": "3", "name": "x"}]


def test_a_large_record_takes_several_frames(make: Callable[..., Path], channel: Any) -> None:
    """Around the frame size of 128 KiB, and well beyond."""
    folder = make()
    records = [{"x": "y" * size} for size in (131_055, 131_056, 131_057, 1_000_000)]
    assert _publish(folder, _write(folder, records)).confirmed == 4
    assert [json.loads(body) for _, body in _taken(channel)] == records


def test_repeat_limit_and_shuffle(make: Callable[..., Path], channel: Any) -> None:
    """Each pass has every record once; a seed gives one order; the limit counts over all passes."""
    folder = make()
    path = _write(folder, ({"id": i} for i in range(600)))

    def numbers(**options: Any) -> list[int]:
        _publish(folder, path, **options)
        return [json.loads(body)["id"] for _, body in _taken(channel)]

    everything = list(range(600))
    assert numbers(repeat=3) == everything * 3
    assert numbers(repeat=3, limit=700) == (everything * 2)[:700]
    shuffled = numbers(shuffle=True, seed=1, repeat=2)
    assert shuffled == numbers(shuffle=True, seed=1, repeat=2) != numbers(shuffle=True, seed=2, repeat=2)
    assert sorted(shuffled[:600]) == sorted(shuffled[600:]) == everything
    assert everything != shuffled[:600] != shuffled[600:]


def test_rate_is_kept(make: Callable[..., Path], channel: Any) -> None:
    """100 messages at 100 a second take a second, not less."""
    folder = make()
    started = time.monotonic()
    assert _publish(folder, _write(folder, ({"id": i} for i in range(100))), rate=100).confirmed == 100
    assert 0.9 < time.monotonic() - started < 30


@pytest.mark.parametrize("format", ["cloudevents", "cloudevents-binary"])
def test_cloudevents(make: Callable[..., Path], channel: Any, format: Format) -> None:
    """Both modes carry the same attributes and the same data; the time is there where the record has one."""
    folder = make(stream="event_time: at")
    records = [
        {"id": 1, "at": "2020-12-07 10:11:12.5+01:00", "x": 0.10},
        {"id": 2, "at": "2020-12-07T10:11:12"},
        MISSING,
    ]
    _publish(folder, _write(folder, records), format=format)
    times = []
    for (said, body), record in zip(_taken(channel), records, strict=True):
        if format == "cloudevents":
            event = json.loads(body)
            assert said.content_type.startswith("application/cloudevents+json")
            assert event.pop("data") == record
            assert event.pop("datacontenttype") == "application/json"
        else:
            assert said.content_type == "application/json"
            event = {name.removeprefix("cloudEvents:"): value for name, value in said.headers.items()}
            assert json.loads(body) == record
        times.append(event.pop("time", None))
        assert event == {
            "specversion": "1.0",
            "id": said.message_id,
            "source": "/penstock/trial/events",
            "type": "io.penstock.events",
        }
    assert times == ["2020-12-07T09:11:12.500000Z", "2020-12-07T10:11:12Z", None]


def test_both_modes_are_read_as_one_event() -> None:
    """By the code that consumes: same record, same identity; also when the record is no JSON."""

    def read(format: Format, body: bytes) -> Message:
        message = Encoder(event_time="at", format=format, source="/s", type="t").message(body)
        return read_message(message.properties, message.body, cloudevents="data", max_bytes=1_000)

    for body in (b'{"id": 1, "at": "2020-12-07T10:11:12Z"}', b'{"id": ', b"nope\xff"):
        binary, structured = read("cloudevents-binary", body), read("cloudevents", body)
        assert binary == structured
        assert binary.body == body


def test_unroutable_messages_are_an_error_with_their_count(make: Callable[..., Path], channel: Any) -> None:
    """Exit code 1; no message is lost without a word, and none waits for its answer for ever."""
    folder = make()
    _write(folder, ({"id": i} for i in range(3_000)))
    run = _penstock(folder, "publish", "events", "in.ndjson", "--queue", "nowhere", "--json")
    assert run.returncode == 1, run.stderr
    assert "3,000 of 3,000 messages came back" in run.stderr
    assert "NO_ROUTE" in run.stderr
    told = json.loads(run.stdout)
    assert (told["sent"], told["confirmed"], told["returned"], told["nacked"]) == (3_000, 0, 3_000, 0)


def test_refused_messages_are_an_error_with_their_count(make: Callable[..., Path], channel: Any) -> None:
    """A queue that is full says so."""
    folder = make("queue: q, queue_type: classic, arguments: { x-max-length: 10, x-overflow: reject-publish }")
    published = _publish(folder, _write(folder, ({"id": i} for i in range(3_000))))
    assert published.sent == 3_000
    assert published.nacked == 3_000 - published.confirmed > 0
    assert len(_taken(channel)) == 10 <= published.confirmed
    assert published.error is not None and f"{published.nacked:,} of 3,000" in str(published.error)


def test_an_exchange_takes_them_to_its_queues(make: Callable[..., Path], channel: Any) -> None:
    """The stream's exchange by a key that its binding takes; another, and another key, when they are named."""
    folder = make("queue: q, queue_type: classic, exchange: things, routing_keys: 'a.*.#'")
    path = _write(folder, [{"id": 1}])
    published = _publish(folder, path)
    assert str(published.route) == "exchange things by key a.events.events"
    assert len(_taken(channel)) == 1
    assert _publish(folder, path, routing_key="b.c").returned == 1
    channel.exchange_declare("others", "fanout")
    channel.queue_declare("elsewhere")
    channel.queue_bind("elsewhere", "others")
    assert _publish(folder, path, exchange="others", routing_key="any").confirmed == 1
    assert _publish(folder, path, queue="elsewhere").confirmed == 1
    assert len(_taken(channel, "elsewhere")) == 2
    assert _taken(channel) == []


def test_wrong_calls_send_nothing(make: Callable[..., Path], tmp_path: Path) -> None:
    """Each says what to do instead."""
    folder = make(stream="identity: content }\n  others: { from: files")
    path = _write(folder, [{"id": 1}])
    project = load_project(folder)
    calls: tuple[tuple[dict[str, Any], str], ...] = (
        ({"stream": "event"}, "did you mean 'events'"),
        ({"stream": "others"}, "fed by no queue"),
        ({"source": "files"}, "there is queue"),
        ({"queue": "q", "exchange": "x"}, "--queue stands alone"),
        ({"routing_key": "k"}, "--routing-key needs an exchange"),
    )
    for options, words in calls:
        with pytest.raises(UsageError, match=words):
            publish(project, Request(**{"stream": "events", "files": [path], **options}))
    assert publish(project, Request(stream="others", files=[path], source="queue")).confirmed == 1
    with pytest.raises(SourceError, match=r"no file matches .*none\.ndjson"):
        _publish(folder, tmp_path / "none.ndjson")
    with pytest.raises(SourceError, match="no exchange 'none'"):
        _publish(folder, path, exchange="none", routing_key="k")


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_a_lost_connection_tells_how_many_are_confirmed(
    make: Callable[..., Path], channel: Any, rabbitmq_url: str, fault: str
) -> None:
    """Those are in the queue."""
    parts = urlsplit(rabbitmq_url)
    with Proxy(parts.hostname or "", parts.port or 5672) as proxy:
        folder = make(url=proxy.url_of(rabbitmq_url))
        path = _write(folder, ({"id": i} for i in range(20_000)))
        sent = 0

        def strike(messages: int, _: int) -> None:
            nonlocal sent
            sent += messages
            if sent == 10_000:
                getattr(proxy, fault)()

        with pytest.raises(SourceError, match="messages sent are confirmed") as raised:
            publish(load_project(folder), Request(stream="events", files=[path]), progress=strike)
    assert raised.value.exit_code == 4
    confirmed = int(str(raised.value).split("; ")[1].split()[0].replace(",", ""))
    assert 0 < confirmed <= len(_taken(channel)) <= 20_000


@pytest.mark.slow
def test_a_killed_broker_is_exit_code_4(make: Callable[..., Path]) -> None:
    """With what is confirmed, and all of that is there when the broker is back."""
    with PrivateRabbitMQ() as broker:
        folder = make("queue: q, queue_type: quorum", url=broker.url)
        _write(folder, ({"id": random.random()} for _ in range(1_000)))
        run = subprocess.Popen(
            [sys.executable, "-m", "penstock", "publish", "events", "in.ndjson", "--rate", "2000", "--repeat", "1000"],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _wait(lambda: _waiting(broker.url) > 500)
            broker.kill()
            _, errors = run.communicate(timeout=60)
        finally:
            run.kill()
            run.wait()
        assert run.returncode == 4, errors
        error = next(line for line in errors.splitlines() if line.startswith("error: "))
        confirmed = int(error.split("; ")[1].split()[0].replace(",", ""))
        broker.start()
        assert confirmed > 500
        _wait(lambda: _waiting(broker.url) >= confirmed)


def test_ctrl_c_waits_for_what_was_sent(make: Callable[..., Path], channel: Any, rabbitmq_url: str) -> None:
    """Exit code 130, and as many messages in the queue as it says."""
    folder = make()
    _write(folder, ({"id": i} for i in range(1_000)))
    run = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "penstock",
            "publish",
            "events",
            "in.ndjson",
            "--rate",
            "100",
            "--repeat",
            "9",
            "--json",
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _wait(lambda: _waiting(rabbitmq_url) > 10)
        run.send_signal(signal.SIGINT)
        printed, _ = run.communicate(timeout=60)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 130
    assert json.loads(printed)["confirmed"] == json.loads(printed)["sent"] == len(_taken(channel)) < 9_000


def _waiting(url: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        try:
            return int(connection.channel().queue_declare("q", passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0


def _wait(holds: Callable[[], bool], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.1)
