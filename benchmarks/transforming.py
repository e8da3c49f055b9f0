"""The dbt step of the example project after 1,000 new events, at two sizes of history with equal daily volume."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, Figure
from benchmarks.process import ChildFailed, Worker
from benchmarks.projects import worker_command, write_project

JOB = "dbt step after 1,000 new events"
BATCH = 1_000
DAILY = 1_000
ORGANIZATIONS = 500
WARM_UP = 2
MOST = 1.5
_ANSWER_SECONDS = 1_500.0


@dataclass(slots=True)
class Side:
    """One size of history: its project, its worker, and the batches that will follow."""

    project: Path
    worker: Worker
    new: list[Path]
    figure: Figure


def dbt_step(bench: Bench, kind: str) -> None:
    """Load and build the history, then measure what 1,000 more events cost, the two sizes by turns."""
    sizes = (bench.rows // 10, bench.rows * 5)
    job = f"{JOB}, {kind}"
    bar = f"the time at {sizes[1] / 1e6:g} M events at most {MOST} times that at {sizes[0] / 1e6:g} M"
    try:
        with ExitStack() as stack:
            sides = [_side(bench, kind, size, job, stack) for size in sizes]
            for number in range(WARM_UP + 2 * bench.runs):
                for side in sides:
                    built = _step(side, side.new[number])
                    if number >= WARM_UP:
                        side.figure.seconds.append(built["seconds"])
                        bench.say(f"  {side.figure.contender}: {built['seconds']:.2f} s; slowest: {built['slowest']}")
    except ChildFailed as e:
        bench.say(f"  {job}: {e}")
        bench.results.unmeasured(job, bar, str(e))
        return
    small, large = (side.figure for side in sides)
    ratio = 1 / large.faster_than(small)
    bench.results.judge(
        job,
        bar,
        f"{ratio:.2f} times ({small.median:.2f} s, {large.median:.2f} s)",
        "",
        ratio <= MOST,
    )


def _side(bench: Bench, kind: str, size: int, job: str, stack: ExitStack) -> Side:
    name = f"dbt_{kind}_{size}"
    history, new = inputs.history(
        size,
        (WARM_UP + 2 * bench.runs) * BATCH,
        bench.folder(f"{name}-new"),
        events_per_day=DAILY,
        organizations=ORGANIZATIONS,
    )
    warehouse = bench.warehouse(kind, name)
    project = bench.folder(f"{name}-project")
    write_project(
        project,
        warehouse,
        [history, project / "incoming" / "*.ndjson"],
        organizations=inputs.organizations(ORGANIZATIONS),
    )
    worker = stack.enter_context(Worker(worker_command(project), timeout_seconds=_ANSWER_SECONDS))
    side = Side(project, worker, new, bench.results.figure(job, f"{PENSTOCK}, {size / 1e6:g} M events", BATCH))
    for stream, source in (("organizations", "organization_files"), ("user_events", "event_files")):
        worker.ask(do="load", stream=stream, source=source)
    built = worker.ask(do="transform")
    bench.say(f"  {job}: {size:,} events: the first build took {built['seconds']:.1f} s, {built['models']} models")
    return side


def _step(side: Side, path: Path) -> dict[str, Any]:
    """Land a batch, then build: what the dbt step alone took."""
    incoming = side.project / "incoming"
    incoming.mkdir(exist_ok=True)
    part = incoming / f".{path.name}"
    shutil.copyfile(path, part)
    part.rename(incoming / path.name)
    landed = side.worker.ask(do="load", stream="user_events", source="event_files")["landed"]
    built = side.worker.ask(do="transform")
    if not landed or not built["models"]:
        raise ChildFailed(f"{path.name}: {landed} rows landed, {built['models']} models built: {built['reason']}")
    return built
