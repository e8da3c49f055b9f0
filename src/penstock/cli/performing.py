"""A run that a command plans, performed: its progress, its report, and who is told of its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from penstock.cli.bars import doing
from penstock.cli.command import Call
from penstock.cli.locked import explained
from penstock.cli.printing import print_json, print_warnings
from penstock.cli.stopping import stoppable
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.runs.plan import RunPlan


def perform_plan(
    call: Call,
    project: Project,
    plan: Callable[[], RunPlan],
    *,
    kind: str,
    subjects: Sequence[str],
    notify: bool,
    nodes: bool = False,
) -> None:
    """Make the plan and perform it. With ``notify``, tell when that fails, and when it is well again.

    Args:
        kind: the command's name.
        subjects: the streams or the layer that were named, by which those who are told tell runs apart.
        nodes: print each model and test with its outcome.
    """
    if not notify:
        _perform(call, project, plan, nodes=nodes)
        return
    from penstock.cli.alerting import tell_run, warn_nobody

    warn_nobody(project)
    begun: list[int] = []
    try:
        _perform(call, project, plan, nodes=nodes, began=begun.append)
    except Exception as e:
        tell_run(project, kind, subjects, e, begun)
        raise
    tell_run(project, kind, subjects, None, begun)


def _perform(
    call: Call,
    project: Project,
    make_plan: Callable[[], RunPlan],
    *,
    nodes: bool,
    began: Callable[[int], None] = lambda _: None,
) -> None:
    from penstock.cli.progress import Printing, report_json
    from penstock.land.session import Session
    from penstock.runs.batch import perform

    plan = make_plan()
    if not call.silent:
        print_warnings(plan.warnings)
    with Session(project) as session, stoppable() as stop:
        listener = Printing(session, began=began, nodes=nodes, silent=call.silent)
        report = perform(plan, session, listener, stop=stop)
    error = report.error
    if call.json and (error is None or isinstance(error, PenstockError)):
        failed = {} if error is None else {"error": explained(error).as_dict()}
        print_json({**report_json(project, report), **failed})
    report.raise_for_error()
    if stop:
        if not call.silent:
            print("stopped: what was landed is committed, the rest waits for the next run", flush=True)
        sys.exit(stop.exit_code)


def scheduled(project: Project, streams: Sequence[str]) -> tuple[list[str], list[str]]:
    """The streams that are scheduled, those named or all of them, and the claims on their schedules."""
    from penstock.runs.schedules import named_streams, plan_schedules
    from penstock.up.running_process import running_process

    schedules = named_streams(project, plan_schedules(project), streams, up=running_process(project) is not None)
    return list(dict.fromkeys(step.stream for loads in schedules for step in loads.steps)), [
        loads.claim for loads in schedules
    ]


@contextmanager
def claimed(project: Project, names: Sequence[str], *, quiet: bool) -> Iterator[None]:
    """Wait until no process on any machine runs these, and say so meanwhile."""
    from penstock.destinations import open_destination

    with ExitStack() as held:
        with doing("waiting", quiet=quiet) as progress:

            def wait(seconds: float) -> None:
                progress(f"for {name}, which another process runs")
                time.sleep(seconds)

            for name in sorted(names):
                held.enter_context(open_destination(project.destination).claim(name, wait))
        yield
