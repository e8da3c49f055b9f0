"""Models on Spark: a step beside the same ``merge`` by hand, by table and by cores; and all models of the example."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.figures import Figure
from benchmarks.growth import ALL, MORE, Step, write_days
from benchmarks.lakes import Lake
from benchmarks.process import ChildFailed, Worker, run
from benchmarks.projects import load_command, worker_command, write_project
from benchmarks.spark_landing import lake
from benchmarks.spark_plain import STATE

MINE, PLAIN = "Penstock's model", "plain Spark, merge by hand"
LEAST = 0.9
BATCH, ORGANIZATIONS = 1_000, 500
DAILY = 1_000
WARM_UP = 5
CORES = (1, 2)
_SECONDS = 900.0
_MODEL = f"""{{{{ config(scope='user_id', sources={{'user_events': 'id'}}, unique_key='user_id') }}}}
{STATE} from {{{{ source('raw', 'user_events') }}}} where id is not null group by id
"""
_SOURCES = "version: 2\nsources:\n  - {name: raw, schema: raw, tables: [{name: user_events}]}\n"
_SAME = "select count(*) || ' ' || sum(events) || ' ' || max(last_at) || ' ' || sum(hash(user_id) % 65536) from {}"


def job(cores: int) -> str:
    """What is compared."""
    return f"step of a model after {BATCH:,} new events, local[{cores}]"


def measure_steps(bench: Bench, sizes: Sequence[int], rounds: int) -> None:
    """Measure steps by the size of the raw table, with one core and with two."""
    for size in sizes:
        bench.say(f"  {size:,} events in the raw table")
        _steps(bench, size, rounds)
    for cores in CORES:
        ratios = []
        for size in sizes:
            mine, plain = (bench.results.figure(job(cores), _named(who, size), BATCH) for who in (MINE, PLAIN))
            ratios.append((size, mine.faster_than(plain)))
        told = ", ".join(f"{ratio:.2f} at {size / 1e6:g} M" for size, ratio in ratios)
        bench.results.judge(
            job(cores), f"at least {LEAST} of the speed of the same merge by hand", told, "",
            all(ratio >= LEAST for _, ratio in ratios),
        )  # fmt: skip


def _named(who: str, size: int) -> str:
    return f"{who}, {size / 1e6:g} M events"


def _steps(bench: Bench, size: int, rounds: int) -> None:
    """One table, first with the sessions of one core, then with those of two."""
    each = WARM_UP + rounds
    history, batches = inputs.history(
        size, len(CORES) * each * BATCH, bench.folder("batches"), events_per_day=DAILY, organizations=ORGANIZATIONS
    )
    tables = lake(bench, f"steps_{size}")
    incoming = bench.folder("incoming")
    new = iter(batches)
    for cores in CORES:
        with_cores = Lake(tables.path, tables.books, f"local[{cores}]")
        project = _project(bench.folder(f"steps_{size}_{cores}") / "project", with_cores, [history, incoming])
        figures = [bench.results.figure(job(cores), _named(who, size), BATCH) for who in (MINE, PLAIN)]
        with ExitStack() as stack:
            models = stack.enter_context(Worker(worker_command(project), timeout_seconds=_SECONDS))
            plain = stack.enter_context(Worker(_plain_command(project), timeout_seconds=_SECONDS))
            models.ask(do="load", stream="user_events", source="event_files")
            took = models.ask(do="transform")["seconds"], plain.ask(do="build")["seconds"]
            bench.say(f"    local[{cores}], {size / 1e6:g} M: first {took[0]:.1f} s, by hand {took[1]:.1f} s")
            for number in range(each):
                after = int(tables.answer("select max(_pen_load) from raw.user_events"))
                _put(next(new), incoming)
                models.ask(do="load", stream="user_events", source="event_files")
                measured = number >= WARM_UP
                _step(bench, figures[0], models, {"do": "transform"}, measured=measured)
                _step(bench, figures[1], plain, {"do": "step", "after": after}, measured=measured)
        mine, theirs = (tables.answer(_SAME.format(table)) for table in ("modelled.users", "plain.users"))
        if mine != theirs:
            raise ChildFailed(f"the model has {mine}, plain Spark {theirs}")
    tables.drop()


def _step(bench: Bench, figure: Figure, worker: Worker, request: Mapping[str, object], *, measured: bool) -> None:
    spent = worker.session_cpu_seconds
    built = worker.ask(**request)
    if request["do"] == "transform" and built["models"] != 1:
        raise ChildFailed(f"{built['models']} models built: {built['reason']}")
    if measured:
        figure.seconds.append(built["seconds"])
        figure.cpu_seconds.append(worker.session_cpu_seconds - spent)
        figure.peak_bytes = max(figure.peak_bytes, worker.session_peak_bytes)
        bench.say(f"    {figure.contender}: {figure.seconds[-1]:.2f} s, CPU {figure.cpu_seconds[-1]:.2f} s")


def _project(folder: Path, tables: Lake, files: Sequence[Path]) -> Path:
    """The one model, and no other of the example's."""
    history, incoming = files
    organizations = inputs.organizations(ORGANIZATIONS)
    write_project(folder, tables, [history, incoming / "*.ndjson"], organizations=organizations)
    for part in ("models", "tests"):
        shutil.rmtree(folder / part)
    (folder / "models").mkdir()
    (folder / "models" / "users.sql").write_text(_MODEL, encoding="utf-8")
    (folder / "models" / "sources.yml").write_text(_SOURCES, encoding="utf-8")
    (folder / "dbt_project.yml").write_text(
        "name: steps\nversion: 1.0.0\nconfig-version: 2\nprofile: penstock\nmodel-paths: [models]\n"
        "macro-paths: [macros]\npackages-install-path: .penstock/dbt_packages\n"
        "models: {steps: {+materialized: penstock, +schema: modelled}}\n",
        encoding="utf-8",
    )
    return folder


def _plain_command(project: Path) -> list[str]:
    return [*worker_command(project)[:2], "benchmarks.spark_plain", str(project)]


def _put(batch: Path, incoming: Path) -> None:
    part = incoming / f".{batch.name}"
    shutil.copyfile(batch, part)
    part.rename(incoming / batch.name)


def measure_days(bench: Bench, rows: int) -> Iterator[Step]:
    """All models of the example: after so many events, and after a tenth more; what landing and modelling took."""
    folder = bench.folder("days")
    days = write_days(folder, rows)
    tables = lake(bench, "days_lake", "local[2]")
    for which, files, events in ((ALL, [days.first], days.rows), (MORE, [days.first, days.last], days.more)):
        project = write_project(folder / "project", tables, files, organizations=days.organizations)
        served = tables.server_cpu_seconds()
        ran = run(load_command(project), timeout_seconds=_SECONDS)
        yield _day(tables, f"load {which}", events, ran.cpu_seconds, served, ran.peak_bytes)
        served = tables.server_cpu_seconds()
        with Worker(worker_command(project), timeout_seconds=_SECONDS) as worker:
            built = worker.ask(do="transform")
            spent, peak = worker.session_cpu_seconds, worker.session_peak_bytes
        bench.say(f"  model {which}: {built['seconds']:.1f} s, CPU {spent:.1f} s, {built['models']} models")
        if built["reason"] or not built["models"]:
            raise ChildFailed(f"models of {which}: {built['reason']}")
        yield _day(tables, f"model {which}", events, spent, served, peak)
    tables.drop()
    shutil.rmtree(folder)


def _day(tables: Lake, name: str, events: int, spent: float, served: float, peak: int) -> Step:
    return Step(
        warehouse="spark",
        name=name,
        events=events,
        cpu_seconds=spent,
        server_cpu_seconds=tables.server_cpu_seconds() - served,
        peak_bytes=peak,
        held_bytes=tables.data_bytes(),
        wal_bytes=None,
    )
