"""``quarantine list|show|replay|drop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.cli.command import Call, command
from penstock.cli.options import ShowPii
from penstock.cli.printing import count, print_json, print_table
from penstock.cli.runs import asked
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.runs.quarantined import Entry

app = typer.Typer(
    name="quarantine",
    help="Records that could not land: look at them, land them after all, or drop them.",
    no_args_is_help=True,
)

Ids = Annotated[list[str] | None, typer.Argument(help="Entries, by their id or the start of it.")]
StreamName = Annotated[
    str | None,
    typer.Option(
        "--stream",
        help="Only of this stream.",
        autocompletion=completion.streams,
    ),
]
ReasonCode = Annotated[str | None, typer.Option("--reason", help="Only with this reason code.")]
All = Annotated[bool, typer.Option("--all", help="Every entry that waits.")]


@command("penstock quarantine list --stream user_events --reason invalid_json", "json", name="list")
def list_(
    call: Call,
    stream: StreamName = None,
    reason: ReasonCode = None,
    settled: Annotated[bool, typer.Option("--settled", help="Also those replayed or dropped.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the newest first.")] = 100,
    show_pii: ShowPii = False,
) -> None:
    """List what waits in quarantine."""
    from penstock.privacy.masking import masked
    from penstock.runs.quarantined import entries

    project = call.open()
    with asked(project) as query:
        listed = [] if query is None else entries(query, stream=stream, reason=reason, settled=settled, limit=limit)
    listed = listed if show_pii else [masked(project, e) for e in listed]
    if call.json:
        print_json([e.as_dict() for e in listed])
    elif not listed:
        print("quarantine: empty")
    else:
        columns = ("id", "stream", "reason_code", "reason", "origin", "bytes", "state")
        print_table(columns, [(str(e.id)[:8], e.stream, e.code, e.reason, e.origin, e.bytes, e.state) for e in listed])


@command("penstock quarantine show 3f2a91c0", "json")
def show(
    call: Call,
    ids: Annotated[list[str], typer.Argument(help="Entries, by their id or the start of it.")],
    show_pii: ShowPii = False,
) -> None:
    """Show entries whole, their bytes as they came but for personal data."""
    from penstock.privacy.masking import masked
    from penstock.runs.quarantined import entries

    project = call.open()
    shown = []
    with asked(project) as query:
        if query is None:
            raise UsageError("nothing has landed yet, so nothing is in quarantine", fix="penstock run")
        for entry in entries(query, ids=ids, settled=True):
            allowed = entry if show_pii else masked(project, entry)
            if call.json:
                shown.append({**allowed.as_dict(), "body": allowed.body})
                continue
            for name, value in allowed.as_dict().items():
                if value is not None:
                    print(f"{name}: {value}")
            print(allowed.body.decode("utf-8", "backslashreplace"))
            print()
    if call.json:
        print_json(shown)


@command("penstock quarantine replay --stream user_events --reason contract", "quiet", "json")
def replay(
    call: Call,
    ids: Ids = None,
    stream: StreamName = None,
    reason: ReasonCode = None,
    all_: All = False,
) -> None:
    """Send entries through the same code again, after contract or model were changed. In effect once."""
    from penstock.land.session import Session
    from penstock.runs.replay import replay as send

    with Session(call.open()) as session:
        results = send(session, _chosen(session, ids, stream, reason, all_))
    if call.json:
        print_json(results)
    elif not call.quiet:
        for result in results:
            print(f"{result['stream']}: {result['replayed']:,} replayed, {result['waiting']:,} still in quarantine")
        if not results:
            print("nothing to replay")


@command("penstock quarantine drop 3f2a91c0", "quiet")
def drop(
    call: Call,
    ids: Ids = None,
    stream: StreamName = None,
    reason: ReasonCode = None,
    all_: All = False,
) -> None:
    """Mark entries as dropped: they wait no longer. Their bytes stay in the ledger."""
    from penstock.land.session import Session
    from penstock.runs.quarantined import drop as mark

    with Session(call.open()) as session:
        waiting = _chosen(session, ids, stream, reason, all_)
        mark(session.destination, waiting)
    if not call.quiet:
        print(f"{count(len(waiting), 'entry', 'entries')} dropped")


def _chosen(session: Session, ids: list[str] | None, stream: str | None, reason: str | None, all_: bool) -> list[Entry]:
    """The entries that wait, of those that the options name."""
    from penstock.runs.quarantined import entries

    if not (ids or stream or reason or all_):
        raise UsageError("which entries?", fix="name ids, or give --stream, --reason or --all")
    return entries(session.destination.query, ids=ids or (), stream=stream, reason=reason)


for each in (list_, show, replay, drop):
    each.add_to(app)
