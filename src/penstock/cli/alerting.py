"""``check`` and ``notify``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.options import Json, ProjectDir, Quiet, Streams, TargetName, open_project
from penstock.cli.printing import count, print_json, print_table
from penstock.cli.runs import asked
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.alerts.delivery import Outcome
    from penstock.alerts.expectations import Verdict
    from penstock.project import Project

NotifyOption = Annotated[
    bool, typer.Option("--notify", help="Tell whom notify: names when it fails, and when it is well again.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: penstock check --notify")(check)
    app.command(epilog="Example: penstock notify --test")(notify)


def check(
    streams: Streams = None,
    notify: NotifyOption = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check that streams are as their expect: says. Fails when one is not."""
    from penstock.alerts.expectations import judge

    project = open_project(project_dir, target)
    with asked(project) as query:
        verdicts = judge(project, query, streams=streams or ())
    failed = [v for v in verdicts if v.state == "failed" and v.severity == "error"]
    if json:
        print_json([v.as_dict() for v in verdicts])
    elif not verdicts:
        print(f"nothing is expected of {' and '.join(streams or ()) or 'the streams'}: add expect: fresh within 1h")
    elif not quiet or failed:
        _print([v for v in verdicts if not quiet or v in failed])
    if notify:
        _notify(project, verdicts)
    if failed:
        raise typer.Exit(1)


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test message on each channel.")] = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Show who is told when something fails; with --test, whether messages arrive."""
    project = open_project(project_dir, target)
    channels = project.notify.channels
    if not channels:
        raise UsageError(
            "nobody is told when something fails",
            where=str(project.file),
            fix="add notify: with - webhook: https://… or - email: {host: …, from: …, to: …}",
        )
    if not test:
        listed = [{"channel": c.name, "only": list(c.only) or None} for c in channels]
        if json:
            print_json(listed)
        else:
            print_table(["channel", "told of"], [[c.name, ", ".join(c.only) or "all"] for c in channels])
            print("\nsee whether messages arrive: penstock notify --test")
        return
    outcomes = _test(project)
    if json:
        print_json([{"channel": o.channel, "arrived": o.error is None, "error": _said(o)} for o in outcomes])
    for outcome in () if json else outcomes:
        print(f"{'ok  ' if outcome.error is None else 'FAIL'}  {outcome.channel}: {_said(outcome) or 'it took a test'}")
        if outcome.error is not None and outcome.error.fix:
            print(f"      fix: {outcome.error.fix}")
    if any(o.error is not None for o in outcomes):
        raise typer.Exit(1)


def tell_run(
    project: Project, kind: str, words: Sequence[str], error: BaseException | None, runs: Sequence[int]
) -> None:
    """Tell of a command that ended, if it began or ceased to fail."""
    from penstock.alerts.notifier import Notifier
    from penstock.alerts.observing import command_subject, ended

    notifier = Notifier(project)
    run = runs[-1] if runs else None
    notifier.see([ended("run_failed", command_subject(kind, words), error, run=run)])
    notifier.tell()


def _print(verdicts: list[Verdict]) -> None:
    words = {"ok": "ok", "waiting": "waits", "failed": "FAILED"}
    rows = [
        [
            v.stream,
            v.expectation,
            "warns" if v.state == "failed" and v.severity == "warn" else words[v.state],
            v.seen,
            "" if v.since is None else v.since.isoformat(sep=" ", timespec="seconds"),
        ]
        for v in verdicts
    ]
    print_table(["stream", "expected", "state", "seen", "failing since"], rows)
    for verdict in verdicts:
        if verdict.fix:
            print(f"\n{verdict.subject}\n  fix: {verdict.fix}")
    failed = sum(v.state == "failed" and v.severity == "error" for v in verdicts)
    if failed:
        print(f"\n{count(failed, 'expectation')} of {len(verdicts)} failed")


def _notify(project: Project, verdicts: list[Verdict]) -> None:
    from penstock.alerts.notifier import Notifier
    from penstock.alerts.observing import observed
    from penstock.orchestrate.running import running_process

    running = running_process(project)
    if running is not None:
        print(f"penstock up, process {running.pid}, tells of expectations itself", file=sys.stderr)
        return
    notifier = Notifier(project)
    notifier.see(observed(verdicts))
    notifier.tell()


def _test(project: Project) -> list[Outcome]:
    from datetime import UTC, datetime

    from penstock.alerts.delivery import deliver_now
    from penstock.alerts.messages import Message

    message = Message(project=project.name, target=project.target, problems=(), sent_at=datetime.now(UTC))
    return deliver_now(project.notify.channels, message, patience_seconds=0)


def _said(outcome: Outcome) -> Any:
    return None if outcome.error is None else outcome.error.what
