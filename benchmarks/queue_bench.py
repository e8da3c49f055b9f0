"""How fast queues land: each kind of queue into PostgreSQL, beside what people write and what is possible.

Usage: python -m benchmarks.queue_bench [--messages N] [--only JOB…] [--output PATH]

One run, everything on this machine one after the other. Writes ``benchmarks/RESULTS-queue.md``.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psycopg

from benchmarks import inputs, provenance, queue_report
from benchmarks.process import ROOT, ChildFailed, resident_bytes, run
from benchmarks.projects import write_queue_project
from benchmarks.queue import by_pika, by_socket
from benchmarks.queue_fresh import measure
from benchmarks.queue_report import Line, Results
from benchmarks.warehouses import DuckDBFile, PostgresDatabase, Warehouse, postgres_server
from penstock.project import RabbitMQ
from penstock.testing.rabbitmq import PrivateRabbitMQ

if TYPE_CHECKING:
    from penstock.testing.postgres import PrivatePostgres

MESSAGES = 100_000
ROUNDS = 3
RESULTS = ROOT / "benchmarks" / "RESULTS-queue.md"
_FEW = 5_000
"""So many are enough for what goes one by one."""
_VERY_FEW = 1_000
_TIMES = 4
"""So many times over the messages are published to a stream."""
_SECONDS = 900
_SAMPLE_SECONDS = 0.1


@dataclass(slots=True)
class Drained:
    """What consumers took: seconds of the whole processes, and without those that they take for a few messages."""

    whole: float
    work: float
    messages: int
    loads: int
    peak_bytes: int
    residents: list[int]
    """The memory of the first process while it was at work."""


class QueueBench:
    """A broker, a PostgreSQL, and what is measured with them."""

    def __init__(self, broker: PrivateRabbitMQ, server: PrivatePostgres, messages: int, work: Path) -> None:
        self.broker = broker
        self.messages = messages
        self.work = work
        self.file = inputs.user_events(messages)
        self.database = PostgresDatabase(server, "queue")
        self.results = Results(messages=messages, measured=provenance.now(RESULTS.name))
        self._queues = 0
        self._few: dict[tuple[str, str, int], float] = {}

    def settings(self, kind: str, **more: str | int) -> RabbitMQ:
        """A queue of its own."""
        self._queues += 1
        said = {"url": self.broker.url, "queue": f"{kind}_{self._queues}", "queue_type": kind, **more}
        return RabbitMQ.model_validate({"type": "rabbitmq", "stream_port": self.broker.stream_port, **said})

    def publish(self, settings: RabbitMQ, messages: int | None = None, *, times: int = 1) -> float:
        """Fill a queue by ``penstock publish``, durable and confirmed; returns the seconds of the whole command."""
        file = self.file if messages is None else inputs.user_events(messages)
        folder = self._project(settings)
        command = [sys.executable, "-m", "penstock", "publish", "user_events", str(file), "--project-dir", str(folder)]
        return run([*command, "--quiet", "--repeat", str(times)], timeout_seconds=_SECONDS).seconds

    def published(self, settings: RabbitMQ) -> Line:
        """Fill a queue, and say how fast: without what the command takes for a few messages, and with it."""
        few = self.publish(self.settings(settings.queue_type), _VERY_FEW)
        seconds = self.publish(settings)
        rate = (self.messages - _VERY_FEW) / (seconds - few)
        return Line("penstock publish, confirmed", settings.queue_type, rate, whole=self.messages / seconds)

    def drain(self, settings: RabbitMQ, *, processes: int = 1, times: int = 1) -> Drained:
        """Consume a queue that holds the messages so many times into an empty database, by so many
        ``penstock consume --until-empty`` at once."""
        few = self._seconds_of_few(settings, processes)
        whole, peak, samples = self._consumed(settings, processes)
        with psycopg.connect(self.database.url) as connection:
            loads = connection.execute(
                "select extract(epoch from committed_at)::float8, read from penstock.loads where read > 0 order by seq"
            ).fetchall()
        messages = sum(read for _, read in loads)
        landed = self.database.count()
        expected = inputs.distinct(self.messages)
        if landed != expected or messages < times * self.messages:
            raise ChildFailed(f"{messages:,} read of {times * self.messages:,}, and {landed:,} landed of {expected:,}")
        first, last = loads[0][0], loads[-1][0]
        return Drained(
            whole=whole,
            work=whole - few,
            messages=messages,
            loads=len(loads),
            peak_bytes=peak,
            residents=[size for moment, size in samples if first < moment < last],
        )

    def _consumed(self, settings: RabbitMQ, processes: int) -> tuple[float, int, list[tuple[float, int]]]:
        """Have a queue emptied into a database made anew: the seconds of it, and what :func:`watch` saw."""
        self.database.fresh()
        folder = self._project(settings)
        started = time.monotonic()
        peak, samples = watch([[*_consume(folder), "--until-empty"]] * processes)
        return time.monotonic() - started, peak, samples

    def _seconds_of_few(self, settings: RabbitMQ, processes: int) -> float:
        """What the same commands take for a few messages, by the median of three: the start of the processes, their
        connections, a new table, and the wait for more."""
        key = (settings.queue_type, settings.protocol, processes)
        if key not in self._few:
            taken = []
            for _ in range(3):
                few = self.settings(settings.queue_type, protocol=settings.protocol)
                self.publish(few, _VERY_FEW)
                taken.append(self._consumed(few, processes)[0])
            self._few[key] = median(taken)
        return self._few[key]

    def script(self, size: int) -> Line:
        """What people write, with a commit and an acknowledgement each ``size`` messages."""
        settings = self.settings("classic")
        self.publish(settings, _FEW)
        self.database.fresh()
        command = [sys.executable, "-m", "benchmarks.queue_peers", str(size), str(_FEW)]
        ran = run([*command, self.broker.url, settings.queue, self.database.url], timeout_seconds=_SECONDS)
        name = "the script people write" if size == 1 else f"the same, batches of {size}"
        return Line(name, "classic", _FEW / float(ran.output), peak_bytes=ran.peak_bytes)

    def _project(self, settings: RabbitMQ) -> Path:
        return write_queue_project(self.work, self.database, settings)


def watch(commands: Sequence[Sequence[str]]) -> tuple[int, list[tuple[float, int]]]:
    """Run commands at once; returns the largest peak of memory, and the first one's memory at moments."""
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    samples: list[tuple[float, int]] = []
    peaks = [0] * len(children)
    try:
        while any(child.poll() is None for child in children):
            for i, child in enumerate(children):
                peaks[i] = max(peaks[i], resident_bytes(child.pid, "VmHWM"))
            samples.append((time.time(), resident_bytes(children[0].pid, "VmRSS")))
            time.sleep(_SAMPLE_SECONDS)
        codes = [child.wait(_SECONDS) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    if any(codes):
        raise ChildFailed(f"exit codes {codes}: {' '.join(commands[0])}")
    return max(peaks), samples


def scripts(bench: QueueBench) -> None:
    """What people write."""
    for size in (1, 100):
        bench.results.add(bench.script(size))


def queues(bench: QueueBench) -> None:
    """Publish, then consume, each kind of queue by AMQP; in turns with its limits in Python: thrown away, and parsed no
    further than its frames."""
    ways: list[Callable[[RabbitMQ], Line]] = [
        lambda settings: _line(queue_report.CONSUME, settings.queue_type, bench.drain(settings)),
        lambda settings: _received(queue_report.PIKA, by_pika, settings, bench.messages),
        lambda settings: _received("a bare socket that parses frames", by_socket, settings, bench.messages),
    ]
    for kind in ("classic", "quorum"):
        for turn in range(ROUNDS):
            for way in ways[::-1] if turn % 2 else ways:
                settings = bench.settings(kind)
                bench.results.add(bench.published(settings))
                bench.results.add(way(settings))


def streams(bench: QueueBench) -> None:
    """The same stream by both protocols, and by the faster one with larger batches: enough to see memory grow."""
    settings = bench.settings("stream")
    bench.results.add(bench.published(settings))
    bench.publish(settings, times=_TIMES - 1)
    faster = settings.model_copy(update={"protocol": "stream"})
    larger = faster.model_copy(update={"batch_messages": 20_000})
    for name, kind, how in (
        (queue_report.CONSUME, "stream by AMQP", settings),
        (queue_report.CONSUME, "stream protocol", faster),
        (f"{queue_report.CONSUME}, batch_messages: 20000", "stream protocol", larger),
    ):
        bench.results.add(_line(name, kind, bench.drain(how, times=_TIMES)))


def consumers(bench: QueueBench) -> None:
    """Several processes on one classic queue into one table."""
    for processes in (2, 4):
        settings = bench.settings("classic")
        bench.publish(settings)
        drained = bench.drain(settings, processes=processes)
        bench.results.add(_line(f"penstock consume, {processes} processes", "classic", drained))


def freshness(bench: QueueBench) -> None:
    """From published to visible in the models, on each engine."""
    warehouses: tuple[Warehouse, ...] = (bench.database, DuckDBFile(bench.work / "fresh.duckdb"))
    for warehouse in warehouses:
        kind = warehouse.kind
        try:
            fresh = measure(bench.work / f"fresh-{kind}", warehouse, bench.settings("quorum"))
        except ChildFailed as e:
            bench.results.failed(f"freshness on {kind}", e)
            continue
        bench.results.fresh[kind] = fresh
        print(f"  visible in {kind}: median {fresh.middle:.2f} s, 95th percentile {fresh.late:.2f} s", flush=True)


JOBS = {job.__name__: job for job in (scripts, queues, streams, consumers, freshness)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all. 0 when all was measured, whether or not a bar is met."""
    asked = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    with ExitStack() as stack:
        broker = stack.enter_context(PrivateRabbitMQ(eager=True))
        server = stack.enter_context(postgres_server())
        work = stack.enter_context(_folder())
        bench = QueueBench(broker, server, asked.messages, work)
        for name in asked.only:
            print(f"{name} (after {time.monotonic() - started:.0f} s)", flush=True)
            try:
                JOBS[name](bench)
            except ChildFailed as e:
                bench.results.failed(name, e)
    bench.results.seconds = time.monotonic() - started
    queue_report.show(bench.results)
    whole = asked.messages == MESSAGES and asked.only == list(JOBS)
    output = asked.output or (RESULTS if whole else inputs.BENCH / RESULTS.name)
    queue_report.write(bench.results, output)
    print(f"written to {output}")
    return 1 if bench.results.troubles else 0


def _line(name: str, kind: str, drained: Drained) -> Line:
    third = len(drained.residents) // 3
    middle, end = drained.residents[third : 2 * third], drained.residents[2 * third :]
    return Line(
        name,
        kind,
        (drained.messages - _VERY_FEW) / drained.work,
        whole=drained.messages / drained.whole,
        peak_bytes=drained.peak_bytes,
        growth=median(end) - median(middle) if middle and kind.startswith("stream") else None,
        loads=drained.loads,
    )


def _received(name: str, way: Callable[[RabbitMQ, int], float], settings: RabbitMQ, messages: int) -> Line:
    return Line(name, settings.queue_type, messages / way(settings, messages))


def _consume(folder: Path) -> list[str]:
    return [sys.executable, "-m", "penstock", "consume", "user_events", "--project-dir", str(folder), "--quiet"]


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-queue-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue_bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"{MESSAGES:,} by default")
    parser.add_argument(
        "--only", nargs="+", choices=list(JOBS), default=list(JOBS), metavar="JOB", help=", ".join(JOBS)
    )
    parser.add_argument("--output", type=Path, help="where results go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
