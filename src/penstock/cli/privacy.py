"""``erase``, ``grants``, ``rekey``: what becomes of personal data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Streams
from penstock.cli.printing import count, print_json
from penstock.errors import UsageError


@command("penstock erase --subject customer:42 --yes", "quiet", "json")
def erase(
    call: Call,
    subject: Annotated[str, typer.Option("--subject", help="Whom: the kind and the id, such as customer:42.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    rewrite: Annotated[
        bool | None,
        typer.Option(
            "--rewrite/--no-rewrite",
            help="Write the warehouse's files anew, so that they keep no deleted byte; done unless it is declined.",
        ),
    ] = None,
    lake: Annotated[
        Path | None,
        typer.Option("--lake", metavar="DIR", help="The folder that --land wrote to, for no lake: setting."),
    ] = None,
) -> None:
    """Erase one person from tables, ledger, lakes and files, for good, and keep out what is sent again."""
    from penstock.land.session import Session
    from penstock.privacy.erasure import OUT_OF_REACH, parse_subject
    from penstock.privacy.erasure import erase as perform
    from penstock.up.running_process import running_process

    project = call.open()
    if lake is not None:
        from penstock.project import Lake

        project = project.with_lake(Lake(path=Path.cwd() / lake))
    kind, id_ = parse_subject(project, subject)
    running = running_process(project)
    if running is not None:
        raise UsageError(
            "penstock up is at work on this project, and could build a model from what is being erased",
            where=f"process {running.pid}",
            fix="stop it with Ctrl-C or SIGTERM, erase, and start it again",
        )
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this cannot be undone", fix="give --yes when you are sure")
        typer.confirm(f"Erase {kind}:{id_} from {project.target} for good?", abort=True, err=True)
    with Session(project) as session:
        erased = perform(session, kind, id_, rewrite=rewrite)
    if call.json:
        print_json(erased.as_dict())
    elif not call.quiet:
        for table, rows in erased.counts.items():
            print(f"{table}: {count(rows, 'record')} erased")
        if erased.rebuilt:
            print(f"built anew: {', '.join(erased.rebuilt)}")
        if erased.snapshots_removed:
            print("older snapshots of the tables: removed, with their files")
        for path in erased.files:
            print(f"{path}: cleaned")
        for path in erased.removed:
            print(f"{path}: removed; what made it makes it anew")
        if erased.nothing:
            before = f"; erased on {erased.before:%Y-%m-%d}" if erased.before else ""
            print(f"{erased.subject}: nothing to erase{before}")
        for place in erased.inputs:
            print(f"still in your input: {place}")
        for what in erased.left:
            print(f"left: {what}")
        for what in erased.outside:
            print(f"not looked into: {what}")
        if not erased.nothing:
            print(f"out of reach: {OUT_OF_REACH}")


@command("penstock rekey", "quiet", "json")
def rekey(
    call: Call,
    streams: Streams = None,
) -> None:
    """Give raw tables the pseudonyms of the current key, after it was changed or a field was marked as personal."""
    from penstock.land.session import Session
    from penstock.privacy.rekey import rekey as perform
    from penstock.runs.plan import plan_loads

    project = call.open()
    plan_loads(project, streams or ())
    with Session(project) as session:
        chosen = [s for s in streams or project.streams if project.streams[s].pii]
        changed = {stream: perform(session, stream) for stream in chosen}
    if call.json:
        print_json([{"stream": s, "changed": n} for s, n in changed.items()])
    elif not call.quiet:
        for stream, rows in changed.items():
            print(f"{stream}: {count(rows, 'row')} with new pseudonyms")
        if any(changed.values()):
            print("now build the models anew: penstock transform --full-refresh")
        if not changed:
            print("no stream has pii:")


@command("penstock grants --target production --apply", "quiet")
def grants(
    call: Call,
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements instead of printing them.")] = False,
) -> None:
    """Print SQL for the roles of loader, transformer and analyst on PostgreSQL; analysts see no personal data."""
    from penstock.land.session import Session
    from penstock.privacy.grants import check_roles
    from penstock.privacy.grants import grants as statements
    from penstock.privacy.personal_columns import open_dbt

    project = call.open()
    check_roles(project)
    with Session(project) as session:
        dbt = open_dbt(project)
        sql = statements(project, session.destination, [] if dbt is None else dbt.manifest.relations())
        if apply:
            with session.destination.transaction():
                for statement in sql:
                    session.destination.query(statement)
    if not apply:
        print("\n".join(f"{statement};" for statement in sql))
    elif not call.quiet:
        print(f"{count(len(sql), 'statement')} applied")
