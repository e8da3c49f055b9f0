"""The models' step of the example project after 1,000 new events, at several sizes of history with equal daily volume.

*Wide* histories are of very many users with few events each, as they are generated; *deep* ones of 4,096 users.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import inputs
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, Figure
from benchmarks.process import ROOT, ChildFailed, Worker
from benchmarks.projects import python_of, worker_command, write_project
from benchmarks.warehouses import Warehouse

JOB = "models' step after 1,000 new events"
BATCH = 1_000
DAILY = 1_000
ORGANIZATIONS = 500
WARM_UP = 2
MOST = 1.2
_ANSWER_SECONDS = 3_000.0


@dataclass(slots=True)
class Side:
    """One size of history: its project and warehouse, its worker, and the batches that will follow."""

    project: Path
    warehouse: Warehouse
    worker: Worker
    new: list[Path]
    figure: Figure

    def step(self, path: Path, *, measured: bool) -> dict[str, Any]:
        """Land a batch, then build: what the build alone took.

        Raises:
            ChildFailed: nothing landed, or no model was built.
        """
        incoming = self.project / "incoming"
        incoming.mkdir(exist_ok=True)
        part = incoming / f".{path.name}"
        shutil.copyfile(path, part)
        part.rename(incoming / path.name)
        landed = self.worker.ask(do="load", stream="user_events", source="event_files")["landed"]
        spent, served = self.worker.cpu_seconds, self.warehouse.server_cpu_seconds()
        built = self.worker.ask(do="transform")
        if not landed or not built["models"]:
            raise ChildFailed(f"{path.name}: {landed} rows landed, {built['models']} models built: {built['reason']}")
        if measured:
            self.figure.seconds.append(built["seconds"])
            self.figure.cpu_seconds.append(self.worker.cpu_seconds - spent)
            self.figure.server_cpu_seconds.append(self.warehouse.server_cpu_seconds() - served)
            self.figure.peak_bytes = self.worker.peak_bytes
        return built


def measure(bench: Bench, kind: str, users: inputs.Users, sizes: Sequence[int]) -> None:
    """Load and build each history, then measure what 1,000 more events cost, the sizes by turns."""
    job = f"{JOB}, {kind}, {users}"
    names = [f"{size / 1e6:g} M" for size in sizes]
    bar = f"the CPU at {names[-1]} events at most {MOST} times that at {names[0]}"
    try:
        with ExitStack() as stack:
            sides = [_side(bench, kind, users, size, job, stack) for size in sizes]
            for number in range(rounds(bench)):
                for side in sides:
                    built = side.step(side.new[number], measured=number >= WARM_UP)
                    if number >= WARM_UP:
                        took = f"{built['seconds']:.2f} s, CPU {side.figure.whole_cpu_seconds[-1]:.2f} s"
                        bench.say(f"  {side.figure.contender}: {took}; slowest: {built['slowest']}")
        for side in sides:
            side.warehouse.drop()
    except ChildFailed as e:
        bench.say(f"  {job}: {e}")
        bench.results.unmeasured(job, bar, str(e))
        return
    figures = [side.figure for side in sides]
    dearer = ratio(figures[0], figures[-1])
    told = ", ".join(f"{median(f.whole_cpu_seconds):.2f} s at {n}" for f, n in zip(figures, names, strict=True))
    bench.results.judge(job, bar, f"{dearer:.2f} times ({told})", "", dearer <= MOST)


def rounds(bench: Bench) -> int:
    """Steps of each size, those that warm up too."""
    return WARM_UP + 2 * bench.runs


def ratio(small: Figure, large: Figure) -> float:
    """How many times the CPU of the process and its server, round by round."""
    return median(more / less for more, less in zip(large.whole_cpu_seconds, small.whole_cpu_seconds, strict=True))


def begun(
    stack: ExitStack,
    warehouse: Warehouse,
    project: Path,
    past: tuple[Path, list[Path]],
    figure: Figure,
    *,
    tree: Path = ROOT,
) -> tuple[Side, dict[str, Any]]:
    """A history landed and modelled by a work tree's code and models, and what the first build took.

    Args:
        project: the folder of its project, to be made.
        past: the file of the history, and those of the batches after it.
    """
    history, new = past
    write_project(
        project,
        warehouse,
        [history, project / "incoming" / "*.ndjson"],
        organizations=inputs.organizations(ORGANIZATIONS),
        example=tree / "examples" / "user_events",
    )
    worker = stack.enter_context(
        Worker(
            worker_command(project, python_of(tree)),
            timeout_seconds=_ANSWER_SECONDS,
            environment={"PYTHONPATH": str(tree / "src")},
            directory=tree,
        )
    )
    for stream, source in (("organizations", "organization_files"), ("user_events", "event_files")):
        worker.ask(do="load", stream=stream, source=source)
    return Side(project, warehouse, worker, new, figure), worker.ask(do="transform")


def past(size: int, batches: int, folder: Path, users: inputs.Users) -> tuple[Path, list[Path]]:
    """The file of a history, and so many batches after it."""
    return inputs.history(size, batches * BATCH, folder, events_per_day=DAILY, organizations=ORGANIZATIONS, users=users)


def _side(bench: Bench, kind: str, users: inputs.Users, size: int, job: str, stack: ExitStack) -> Side:
    name = f"{users}_{kind}_{size}"
    side, built = begun(
        stack,
        bench.warehouse(kind, name),
        bench.folder(f"{name}-project"),
        past(size, rounds(bench), bench.folder(f"{name}-new"), users),
        bench.results.figure(job, f"{PENSTOCK}, {size / 1e6:g} M events", BATCH),
    )
    bench.say(f"  {job}: {size:,} events: the first build took {built['seconds']:.1f} s, {built['models']} models")
    return side
