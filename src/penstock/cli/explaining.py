"""``explain``: the plans of ``run`` and of ``up``, as they would be performed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Day, From, Lookback, NoFingerprint, Streams, To, window_of
from penstock.cli.printing import count, print_json, print_table
from penstock.errors import UsageError
from penstock.transform.manifest import TESTS

if TYPE_CHECKING:
    from penstock.doctor.forecast import LoadPlan
    from penstock.project import Project
    from penstock.transform.plan import TransformPlan

_VERBS = {"read": "read", "resume": "read on in", "skip": "skip, landed before:", "fail": "cannot read"}
_MOST_FILES = 20


@command("penstock explain --date 2020-12-07", "json")
def explain(
    call: Call,
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    up: Annotated[bool, typer.Option("--up", help="What penstock up would run, in place of a run.")] = False,
) -> None:
    """Print what a run would do, and the settings in force, secrets masked. Does nothing."""
    project = call.open()
    if up:
        if streams or day or start or end or lookback or no_fingerprint:
            raise UsageError("--up is about the whole project", fix="leave the other options out, or leave out --up")
        _explain_up(project, json=call.json)
        return
    from penstock.doctor.forecast import explain_loads
    from penstock.runs.plan import plan_run

    window = window_of(day, start, end)
    plan = plan_run(
        project, streams or (), window=window, fingerprint=not no_fingerprint, lookback=timedelta(days=lookback)
    )
    loads = explain_loads(project, [*plan.loads, *plan.left_out], dated=window is not None)
    coming = {load.stream for load in loads if any(file.action in ("read", "resume") for file in load.files)}
    models = _models_to_build(project, coming) if plan.models else None
    if call.json:
        steps = [load.as_dict() for load in loads]
        planned = {} if models is None else {"models": list(map(asdict, models.steps)), "notes": list(models.notes)}
        print_json({"settings": project.masked(), "steps": steps, "transform": plan.models, **planned})
        return
    print(_head(project))
    for load in loads:
        _print_load(load)
    if models is None:
        print("\ntransform: no dbt project")
    else:
        _print_models(models)


def _models_to_build(project: Project, coming: Collection[str]) -> TransformPlan:
    """What a run would have dbt build."""
    from penstock.doctor.status import existing_destination
    from penstock.transform.explained import explain_transform

    destination = existing_destination(project)
    try:
        return explain_transform(project, destination, coming)
    finally:
        if destination is not None:
            destination.close()


def _print_models(plan: TransformPlan) -> None:
    built = [step for step in plan.steps if step.kind not in TESTS]
    summary = f"dbt builds {count(len(built), 'model')} and asks {count(len(plan.steps) - len(built), 'test')}"
    print(f"\ntransform: {plan.reason or summary}")
    for step in built:
        print(f"  {step.name}: {step.why}")
    for note in plan.notes:
        print(f"  {note}")
    if plan.waiting:
        print(f"  what reads {', '.join(plan.waiting)} waits for its first load")


def _explain_up(project: Project, *, json: bool) -> None:
    from penstock.up.parts import plan_up

    parts = plan_up(project)
    if json:
        print_json({"settings": project.masked(), "parts": [part.as_dict() for part in parts]})
        return
    print(_head(project))
    print_table(("part", "what it does"), [(part.name, part.what) for part in parts])


def _head(project: Project) -> str:
    return f"project {project.name}, destination {project.target} ({project.destination.type})"


def _print_load(load: LoadPlan) -> None:
    print(f"\nload {load.stream} from {load.source}: {load.how}")
    if load.problem:
        print(f"  {load.problem}")
    for action, verb in _VERBS.items():
        files = [file for file in load.files if file.action == action]
        if files:
            print(f"  {verb} {count(len(files), 'file')}, {sum(f.size - f.offset for f in files):,} bytes")
            for file in files[:_MOST_FILES]:
                print(f"    {file.place}" if file.error is None else f"    {file.place}: {file.error.what}")
            if len(files) > _MOST_FILES:
                print(f"    and {len(files) - _MOST_FILES} more")
