"""Small loads: ten rows in a whole process, and batches of 1,000 rows in a running one."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from benchmarks import environments, inputs
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, Figure
from benchmarks.process import ChildFailed, Worker
from benchmarks.projects import load_command, worker_command, write_project

TEN = "a 10-row file, whole process, without dbt"
BATCH = "one more batch of 1,000 rows in a running process"
WARM_UP = 5
BATCHES = 40
NOISE = 1.1
"""What one median may be above another and still count as no slower."""
_ANSWER_SECONDS = 120.0


def ten_rows(bench: Bench) -> None:
    """Ten rows into an empty DuckDB file, from the start of the process to its end."""
    path = inputs.user_events(10)
    warehouse = bench.warehouse("duckdb", "ten")
    project = write_project(bench.folder("ten-project"), warehouse, [path])
    commands: dict[str, tuple[list[str], dict[str, str]]] = {PENSTOCK: (load_command(project), {})}
    states = bench.folder("ten-states")
    if bench.dlt:
        command = environments.dlt_load(bench.dlt, path, warehouse, states / "dlt")
        commands[f"{bench.dlt.name} Arrow"] = (command, bench.dlt.environment)
    if bench.ingestr:
        command = environments.ingestr_load(bench.ingestr, path, warehouse, states / "ingestr")
        commands[bench.ingestr.name] = (command, bench.ingestr.environment)
    for _ in range(3 * bench.runs):
        for name, (command, environment) in commands.items():
            figure = bench.results.figure(TEN, name, 10)
            warehouse.fresh()
            shutil.rmtree(states, ignore_errors=True)
            states.mkdir()
            if not figure.trouble and bench.measure(figure, command, warehouse, environment):
                bench.expect(figure, warehouse, inputs.distinct(10))
    found = bench.results.at(TEN)
    mine = found.pop(PENSTOCK, None)
    if mine is None:
        bench.results.unmeasured(TEN, "under 0.4 s", bench.results.troubles(TEN))
        return
    others = "; ".join(f"{f.contender} {f.median:.2f} s" for f in sorted(found.values(), key=lambda f: f.median))
    bench.results.judge(TEN, "under 0.4 s", f"{mine.median:.2f} s", others, mine.median < 0.4)


def batches(bench: Bench, kind: str) -> None:
    """Batches into a small and a large table by turns, so that what else the machine does meets both alike."""
    sizes = (bench.rows // 10, bench.rows * (10 if kind == "duckdb" else 1))
    new = inputs.batches(inputs.user_events((WARM_UP + BATCHES) * 1_000, seed=2), bench.folder(f"batches-{kind}"))
    job = f"{BATCH}, {kind}"
    figures = [bench.results.figure(job, f"{PENSTOCK}, {size / 1e6:g} M rows in the table", 1_000) for size in sizes]
    bar = f"under 50 ms, and no slower at {sizes[1] / 1e6:g} M rows in the table than at {sizes[0] / 1e6:g} M"
    try:
        with ExitStack() as stack:
            projects = [bench.loaded(kind, size)[0] for size in sizes]
            workers = [
                stack.enter_context(Worker(worker_command(p), timeout_seconds=_ANSWER_SECONDS)) for p in projects
            ]
            for number, path in enumerate(new):
                for worker, project, figure in zip(workers, projects, figures, strict=True):
                    _one_more(worker, project, path, figure, measured=number >= WARM_UP)
        theirs = _dlt_batches(bench, kind, sizes[0], new, job)
    except ChildFailed as e:
        bench.say(f"  {job}: {e}")
        bench.results.unmeasured(job, bar, str(e))
        return
    small, large = figures
    slower = large.median / small.median
    reached = (
        f"{small.median * 1e3:.0f} ms at {sizes[0] / 1e6:g} M, {large.median * 1e3:.0f} ms at {sizes[1] / 1e6:g} M"
    )
    bench.results.judge(
        job,
        bar,
        f"{reached} ({slower:.2f}×; up to {NOISE}× is noise)",
        f"{theirs.contender} {theirs.median * 1e3:.0f} ms" if theirs else "",
        max(small.median, large.median) < 0.05 and slower <= NOISE,
    )


def _one_more(worker: Worker, project: Path, path: Path, figure: Figure, *, measured: bool) -> None:
    incoming = project / "incoming"
    incoming.mkdir(exist_ok=True)
    part = incoming / f".{path.name}"
    shutil.copyfile(path, part)
    part.rename(incoming / path.name)
    answer = worker.ask(do="load", stream="user_events", source="event_files")
    if not answer["landed"]:
        raise ChildFailed(f"{path.name}: nothing landed")
    if measured:
        figure.seconds.append(answer["seconds"])


def _dlt_batches(bench: Bench, kind: str, size: int, new: list[Path], job: str) -> Figure | None:
    """dlt's Arrow path at the small size, over fewer batches."""
    if not bench.dlt:
        return None
    figure = bench.results.figure(job, f"{bench.dlt.name} Arrow, {size / 1e6:g} M rows in the table", 1_000)
    warehouse = bench.warehouse(kind, f"dlt_batches_{kind}")
    state = bench.folder(f"dlt-batches-{kind}")
    try:
        bench.setup(environments.dlt_load(bench.dlt, inputs.user_events(size), warehouse, state))
        with Worker(environments.dlt_batches(bench.dlt, warehouse, state), timeout_seconds=_ANSWER_SECONDS) as worker:
            for number, path in enumerate(new[:15]):
                seconds = worker.ask(path=str(path))["seconds"]
                if number >= WARM_UP:
                    figure.seconds.append(seconds)
    except ChildFailed as e:
        bench.fail(figure, str(e))
        return None
    return figure
