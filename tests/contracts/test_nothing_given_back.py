"""A message is given back to its queue only by a crash of the process: whatever keeps it from landing is waited for.

Each fault is held for longer than a queue with a delivery limit and no dead-letter exchange would bear restarts of its
consumer; then it is mended. While it lasts nothing says that all is well.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import penstock.runs.consume
from penstock.errors import ContractError, LandingBlocked, PenstockError
from penstock.land import loop
from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.logs import captured, configure
from penstock.project import load_project
from penstock.testing.postgres import PrivatePostgres
from penstock.testing.proxy import Proxy
from penstock.up.supervisor import Supervisor
from tests.support import commands
from tests.support.consuming import consumer, rows, write_project
from tests.support.queues import a_queue, numbered, publish, reading, until, waiting
from tests.support.warehouse_faults import EMBEDDED, SERVER, Fault, a_place, server

__all__ = ["server"]  # a fixture

LIMIT = 5
"""Deliveries after which the queue drops a message."""
LANDED, HELD = 10, 20


ALWAYS = ("full disk", "table gone", "revoked right")
"""One of each kind: of the disk, of a table and of rights; the others are slow, and much the same."""
CASES = [
    pytest.param(kind, *case, id=f"{kind} {name}", marks=() if name in ALWAYS else pytest.mark.slow)
    for kind, cases in (("duckdb", EMBEDDED), ("postgres", SERVER))
    for name, case in cases.items()
]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Short waits; how often a landing was tried."""
    for name in ("_FIRST_WAIT_SECONDS", "_LAST_WAIT_SECONDS", "FIRST_LOOK_SECONDS", "LAST_LOOK_SECONDS"):
        monkeypatch.setattr(penstock.runs.consume, name, 0.05)
    tried: list[int] = []

    def counting(*values: Any, **options: Any) -> Any:
        tried.append(1)
        return loop.load(*values, **options)

    monkeypatch.setattr(penstock.runs.consume, "load", counting)
    return tried


@pytest.mark.parametrize(("kind", "fault", "state", "fix"), CASES)
def test_no_fault_gives_messages_back(
    rabbitmq_url: str,
    tmp_path: Path,
    server: tuple[PrivatePostgres, Path],
    hurry: list[int],
    kind: str,
    fault: Fault,
    state: str,
    fix: str,
) -> None:
    """Each message is delivered once and lands once when the fault is mended, by itself; until then the process is not
    ready, and says why and what to do."""
    folder = tmp_path / "p"
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    settings = f"batch_messages: 5, arguments: {{ x-delivery-limit: {LIMIT} }}"
    with a_place(kind, folder, server) as (place, warehouse):
        write_project(folder, queue, rabbitmq_url, more=settings, **warehouse)
        if kind == "duckdb":
            file = folder / "penstock.yml"
            file.write_text(file.read_text().replace("warehouse.duckdb", "disk/warehouse.duckdb"))
        publish(queue, records(0, LANDED))
        with supervised(folder) as (supervisor, stop):
            one = the_consumer(supervisor)
            until(lambda: one().landed == LANDED, lambda: f"{supervisor.unready()}")
            until(lambda: not supervisor.unready(), "it is ready")
            with fault(place):
                publish(queue, records(LANDED, LANDED + HELD, more=True))
                until(lambda: one().state == state, lambda: f"{one().state}: {one().last_error}")
                tried = len(hurry)
                until(lambda: len(hurry) > tried + LIMIT + 2, "it looks again and again")
                assert fix in one().last_error
                reasons = "\n".join(supervisor.unready())
                assert fix in reasons and f"consume events queue: {state}" in reasons
                part = next(p for p in supervisor.parts if "consume" in p.name).as_dict()
                assert (part["state"], part["restarts"]) == (state, 0) and fix in part["last_error"]
                page = supervisor.figures.page().decode()
                assert f'penstock_lag_messages{{source="queue",stream="events"}} {HELD}.0' in page
                assert 'penstock_part_up{part="consume events queue"} 0.0' in page
                blocked = float(state == "blocked")
                assert f'penstock_landing_blocked{{source="queue",stream="events"}} {blocked}' in page
                assert one().landed == LANDED and waiting(queue) < HELD
            until(lambda: one().read >= LANDED + HELD, lambda: f"{one().last_error}")
            until(lambda: not supervisor.unready(), lambda: f"ready again: {supervisor.unready()}")
            assert one().received == LANDED + HELD, "each message was delivered once"
            assert one().reconnects == one().quarantined == 0
            until(lambda: waiting(queue) == 0 and one().lag() == 0, "all are acknowledged")
            stop.set()
        assert sorted(r["n"] for r in rows(folder)) == list(range(LANDED + HELD))


def records(start: int, end: int, *, more: bool = False) -> list[bytes]:
    """Records that no warehouse can make small, later with a field more."""
    field = b',"more":1' if more else b""
    return [b'{"n":%d,"x":"%s"%s}' % (n, random.randbytes(10_000).hex().encode(), field) for n in range(start, end)]


@contextmanager
def supervised(folder: Path) -> Iterator[tuple[Supervisor, Stop]]:
    """A project that is up, without models."""
    stop = Stop()
    supervisor = Supervisor(load_project(folder, environ={}), models=False, stop=stop, port=0)
    supervisor.start()
    try:
        yield supervisor, stop
    finally:
        stop.set()
        assert supervisor.close() == []


def the_consumer(supervisor: Supervisor) -> Callable[[], Any]:
    """The consumer, once there is one."""
    part = next(p for p in supervisor.parts if "consume" in p.name)
    until(lambda: part.job is not None, "it is started")
    return lambda: part.job


def test_a_frozen_contract_blocks_the_consumer(rabbitmq_url: str, tmp_path: Path, hurry: list[int]) -> None:
    """Good and bad messages stay, however often it looks, until the project is changed: then all of them land."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    settings = f"batch_messages: 5, arguments: {{ x-delivery-limit: {LIMIT} }}"
    frozen = "contract: freeze, columns: {n: bigint, x: text}"
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=settings, stream=frozen)
    publish(queue, [*numbered(0, LANDED), b'{"n":10,"surprise":1}', *numbered(11, 20)])
    with supervised(folder) as (supervisor, _):
        one = the_consumer(supervisor)
        until(lambda: one().state == "blocked", lambda: one().last_error)
        tried = len(hurry)
        until(lambda: len(hurry) > tried + LIMIT + 2, "it looks again and again")
        reasons = "\n".join(supervisor.unready())
        assert "surprise" in reasons and "relax contract:" in reasons
        assert (one().received, one().landed, one().lag()) == (20, LANDED, 10)
    until(lambda: waiting(queue) == 10, "the end of the process gave them back")
    with pytest.raises(ContractError):
        consumer(folder, until_empty=True).run()
    write_project(folder, queue, rabbitmq_url, more=settings)
    consumer(folder, until_empty=True).run()
    assert sorted(r["n"] for r in rows(folder)) == list(range(20))


def test_a_changed_identity_takes_no_message(rabbitmq_url: str, tmp_path: Path, hurry: list[int]) -> None:
    """What can be seen without a message is looked for before one is taken."""
    queue = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", queue, rabbitmq_url)
    publish(queue, numbered(0, 5))
    consumer(folder, until_empty=True).run()
    publish(queue, numbered(5, 10))
    write_project(folder, queue, rabbitmq_url, stream="identity: [n]")
    with supervised(folder) as (supervisor, _):
        one = the_consumer(supervisor)
        until(lambda: one().state == "blocked", lambda: one().last_error)
        assert "put identity: content back" in "\n".join(supervisor.unready())
        assert waiting(queue) == 5
    with pytest.raises(PenstockError, match="identity was content"):
        consumer(folder).run()
    assert not hurry[1:], "nothing was read for it"


@pytest.mark.parametrize("place", ["penstock.land.loop.fault_point", "penstock.sources.rabbitmq.batches.headers_of"])
def test_a_fault_of_ours_gives_nothing_back(
    rabbitmq_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurry: list[int], place: str
) -> None:
    """Where landing, or making a batch, breaks in a way that nobody thought of, messages are kept over it too."""
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    settings = f"batch_messages: 5, arguments: {{ x-delivery-limit: {LIMIT} }}"
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, more=settings)
    publish(queue, [*numbered(0, 7), b"no json", *numbered(7, 14)], content_encoding="nothing known")
    publish(queue, numbered(14, 20))

    def broken(*_: Any) -> None:
        raise RuntimeError("nobody thought of this")

    with monkeypatch.context() as patched:
        module, _, name = place.rpartition(".")
        patched.setattr(import_module(module), name, broken)
        with supervised(folder) as (supervisor, stop):
            one = the_consumer(supervisor)
            until(lambda: one().state == "blocked", lambda: one().last_error)
            tried = len(hurry)
            until(lambda: len(hurry) > tried + LIMIT + 2, "it looks again and again")
            assert "nobody thought of this" in "\n".join(supervisor.unready())
            patched.undo()
            until(lambda: one().read == 21, lambda: one().last_error)
            assert (one().received, one().landed, one().quarantined) == (21, 6, 15)
            stop.set()


def test_a_connection_that_breaks_takes_nothing_anew(
    rabbitmq_url: str, tmp_path: Path, hurry: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can land, connections that are made again, after whatever ended them, are no deliveries."""
    broker = urlsplit(rabbitmq_url)
    queue = a_queue(rabbitmq_url, arguments={"x-delivery-limit": LIMIT})
    monkeypatch.setattr("penstock.sources.rabbitmq.inbox._LAST_BACKOFF_SECONDS", 0.1)
    with Proxy(broker.hostname or "", broker.port or 5672) as proxy:
        settings = f"arguments: {{ x-delivery-limit: {LIMIT} }}"
        folder = write_project(tmp_path / "p", queue, proxy.url_of(rabbitmq_url), more=settings)
        publish(queue, numbered(0, 5))
        with supervised(folder) as (supervisor, stop):
            one = the_consumer(supervisor)
            until(lambda: one().landed == 5, lambda: one().last_error)
            with Session(load_project(folder, environ={})) as session:
                session.destination.query("alter table raw.events rename to moved")
            publish(queue, numbered(5, 10))
            until(lambda: one().state == "blocked", lambda: one().last_error)
            for times in range(1, LIMIT + 3):
                proxy.reset()
                until(lambda times=times: one().reconnects >= times and one().connected, "connected again")  # type: ignore[misc]
            assert one().received == 10 and waiting(queue) == 5 and one().lag() == 5
            with Session(load_project(folder, environ={})) as session:
                session.destination.query("alter table raw.moved rename to events")
            until(lambda: one().read == 15, lambda: one().last_error)
            assert (one().landed, one().duplicates, one().received) == (10, 5, 15), (
                "they came once more, as they had to"
            )
            until(lambda: one().lag() == 0, "all are acknowledged")
            stop.set()


def test_every_wait_ends(rabbitmq_url: str, tmp_path: Path) -> None:
    """At ``--max-seconds`` and at a stop, with an error that says what could not land."""
    queue = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", queue, rabbitmq_url)
    publish(queue, numbered(0, 5))
    consumer(folder, until_empty=True).run()
    for ending in ("seconds", "stop"):
        broken = threading.Event()

        def breaks(_: Exception, __: float, broken: threading.Event = broken) -> None:
            broken.set()

        stop = Stop()
        one = consumer(folder, stop=stop, on_wait=breaks, max_seconds=2 if ending == "seconds" else None)
        failures: list[BaseException] = []
        thread = threading.Thread(target=ended, args=(one, failures))
        thread.start()
        until(lambda one=one: one.connected, "it consumes")  # type: ignore[misc]
        with Session(load_project(folder, environ={})) as session:
            session.destination.query("alter table raw.events rename to moved")
        publish(queue, numbered(5, 10))
        until(broken.is_set, "it waits")
        if ending == "stop":
            stop.set()
        thread.join(30)
        assert not thread.is_alive() and [type(e) for e in failures] == [LandingBlocked]
        assert one.unlanded == 5
        until(lambda: waiting(queue) == 5, "they are in the queue again")
        with Session(load_project(folder, environ={})) as session:
            session.destination.query("alter table raw.moved rename to events")
        consumer(folder, until_empty=True).run()


def ended(one: Any, failures: list[BaseException]) -> None:
    """Run a consumer; what it failed of."""
    try:
        one.run()
    except BaseException as e:  # noqa: BLE001 - looked at by the test
        failures.append(e)


def test_the_command_says_what_could_not_land(rabbitmq_url: str, tmp_path: Path) -> None:
    """By its exit code, and in its line."""
    queue = a_queue(rabbitmq_url)
    folder = write_project(tmp_path / "p", queue, rabbitmq_url, stream="contract: freeze, columns: {n: bigint}")
    publish(queue, [b'{"n":1,"more":2}', b'{"n":2}'])
    done = commands.penstock(folder, "consume", "--max-seconds", "2", timeout=60)
    assert done.returncode == 3
    assert "2 could not land, and are in the queue again" in done.stdout
    assert "'more' has no column" in done.stderr


def test_a_broker_that_is_away_is_logged_once(rabbitmq_url: str, tmp_path: Path) -> None:
    """Not at each attempt, and not in the words of the library that connects; once more when it is back."""
    broker = urlsplit(rabbitmq_url)
    queue = a_queue(rabbitmq_url)
    with Proxy(broker.hostname or "", broker.port or 5672) as proxy, captured() as records:
        configure(serves=True)
        settings = queue.model_copy(update={"port": proxy.port})
        with reading(settings) as (source, batches):
            until(lambda: next(batches).empty and source.connected, "connected")
            proxy.refuse()
            proxy.reset()
            until(lambda: next(batches).empty and not source.connected, "it is noticed")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                next(batches)
            proxy.accept()
            until(lambda: next(batches).empty and source.connected, "connected again")
    configure()
    assert [r["event"] for r in records] == ["connected", "not connected to the broker", "connected again"]
