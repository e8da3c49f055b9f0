"""``check`` and ``notify``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Streams
from penstock.cli.printing import count, moment, print_json, print_table
from penstock.cli.runs import asked
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.alerts.delivery import Outcome
    from penstock.alerts.expectations import Verdict
    from penstock.alerts.notices import Observation
    from penstock.project import Project

NotifyOption = Annotated[
    bool, typer.Option("--notify", help="Tell whom notify: names when it fails, and when it is well again.")
]


@command("penstock check --notify", "quiet", "json")
def check(
    call: Call,
    streams: Streams = None,
    notify: NotifyOption = False,
) -> None:
    """Check that streams are as their expect: says. Fails when one is not."""
    from penstock.alerts.expectations import judge

    project = call.open()
    with asked(project) as query:
        verdicts = judge(project, query, streams=streams or ())
    failed = [v for v in verdicts if v.state == "failed" and v.severity == "error"]
    if call.json:
        print_json([v.as_dict() for v in verdicts])
    elif not verdicts:
        print(f"nothing is expected of {' and '.join(streams or ()) or 'the streams'}: add expect: fresh within 1h")
    elif not call.quiet or failed:
        _print([v for v in verdicts if not call.quiet or v in failed])
    if notify:
        warn_nobody(project)
        _notify(project, verdicts)
    if failed:
        raise typer.Exit(1)


@command("penstock notify --test", "json")
def notify(
    call: Call,
    test: Annotated[bool, typer.Option("--test", help="Send a test message on each channel.")] = False,
) -> None:
    """Show who is told when something fails; with --test, whether messages arrive."""
    project = call.open()
    channels = project.notify.channels
    if not channels:
        raise UsageError(
            "nobody is told when something fails",
            where=str(project.file),
            fix="add notify: with - webhook: https://… or - email: {host: …, from: …, to: …}",
        )
    if not test:
        listed = [{"channel": c.name, "only": list(c.only) or None} for c in channels]
        if call.json:
            print_json(listed)
        else:
            print_table(["channel", "told of"], [[c.name, ", ".join(c.only) or "all"] for c in channels])
            print("\nsee whether messages arrive: penstock notify --test")
        return
    outcomes = _test(project)
    if call.json:
        print_json([{"channel": o.channel, "arrived": o.error is None, "error": _said(o)} for o in outcomes])
    for outcome in () if call.json else outcomes:
        print(f"{'ok  ' if outcome.error is None else 'FAIL'}  {outcome.channel}: {_said(outcome) or 'it took a test'}")
        if outcome.error is not None and outcome.error.fix:
            print(f"      fix: {outcome.error.fix}")
    if any(o.error is not None for o in outcomes):
        raise typer.Exit(1)


def tell_run(
    project: Project, kind: str, words: Sequence[str], error: BaseException | None, runs: Sequence[int]
) -> None:
    """Tell of a command that ended, if it began or ceased to fail."""
    from penstock.alerts.observing import command_subject, ended
    from penstock.up.running_process import running_process

    seen = ended("run_failed", command_subject(kind, words), error, run=runs[-1] if runs else None)
    # a process that is up may have begun with another penstock.yml, by which it judges what is there
    _tell(project, [seen], forget=running_process(project) is None)


def warn_nobody(project: Project) -> None:
    """Say so when ``--notify`` has nobody to tell, so that nobody believes to be told."""
    if not project.notify.channels:
        print(
            f"warning: --notify tells nobody: {project.file} has no notify: with a channel;"
            " add - webhook: https://… and see whether it arrives: penstock notify --test",
            file=sys.stderr,
        )


def expectation_row(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict, as :meth:`Verdict.as_dict` has it, as ``check`` and ``status`` show it."""
    failed = verdict["state"] == "failed"
    return {
        "stream": verdict["stream"],
        "expected": verdict["expectation"],
        "state": "warns" if failed and verdict["severity"] == "warn" else verdict["state"],
        "seen": verdict["seen"],
        "failing since": moment(verdict["since"]),
    }


def _print(verdicts: list[Verdict]) -> None:
    rows = [expectation_row(v.as_dict()) for v in verdicts]
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    for verdict in verdicts:
        if verdict.fix:
            print(f"\n{verdict.subject}\n  fix: {verdict.fix}")
    failed = sum(v.state == "failed" and v.severity == "error" for v in verdicts)
    if failed:
        print(f"\n{count(failed, 'expectation')} of {len(verdicts)} failed")


def _notify(project: Project, verdicts: list[Verdict]) -> None:
    from penstock.alerts.observing import observed
    from penstock.up.running_process import running_process

    running = running_process(project)
    if running is not None:
        print(f"penstock up, process {running.pid}, tells of expectations itself", file=sys.stderr)
        return
    _tell(project, observed(verdicts), forget=True)


def _tell(project: Project, seen: list[Observation], *, forget: bool) -> None:
    """Tell what is new; with ``forget``, also that what the project has no longer is over."""
    from penstock.alerts.notifier import Notifier
    from penstock.alerts.subjects import vanished

    notifier = Notifier(project)
    if forget:
        notifier.see(vanished(project, notifier.open()))
    notifier.see(seen)
    notifier.tell()


def _test(project: Project) -> list[Outcome]:
    from datetime import UTC, datetime

    from penstock.alerts.delivery import deliver_now
    from penstock.alerts.wording import Message

    message = Message(project=project.name, target=project.target, problems=(), sent_at=datetime.now(UTC))
    return deliver_now(project.notify.channels, message, patience_seconds=0)


def _said(outcome: Outcome) -> Any:
    return None if outcome.error is None else outcome.error.what
