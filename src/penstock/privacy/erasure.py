"""Erases a person: from raw tables, quarantine and models, with a proof in the ledger.

All that names the person goes in one transaction, with the proof. What was made of many people and names none, such as
a report, is then built anew, and the proof says when; killed between the two, the next call does the rest. From the
first commit on, what is sent again of the person stays out: see :mod:`penstock.destinations.erased`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.copying.record import expect_copied
from penstock.errors import DestinationError, PenstockError, TransformError, UsageError
from penstock.faults import fault_point
from penstock.ledger.run_records import RunRecord
from penstock.privacy.deleting import Deletion, Erasure
from penstock.privacy.personal_columns import open_dbt, subject_columns
from penstock.privacy.restoring import Standing, missing, refresh, restore, standing
from penstock.pseudonym import Keys, id_text, subject_text
from penstock.sql import literal
from penstock.upkeep import KeepsFiles

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.transform.dbt import Dbt
    from penstock.transform.manifest import Relation

_KEPT = ("table", "penstock", "incremental", "snapshot", "seed", "test")
"""What has rows of its own."""
OUT_OF_REACH = (
    "backups and the warehouse's write-ahead log, what dashboards and other tools copied, messages in queues and those"
    " that were sent, and the sources themselves"
)


def parse_subject(project: Project, text: str) -> tuple[str, str]:
    """Kind and id of ``customer:42``.

    Raises:
        UsageError: it is none, or no stream says that its records are about such people.
    """
    kind, _, id_ = text.partition(":")
    kinds = sorted({k for stream in project.streams.values() for k in stream.subject})
    if not id_ or not kind:
        raise UsageError(f"{text!r} names nobody", fix="write it so: --subject customer:42")
    if kind not in kinds:
        raise UsageError(
            f"no stream has records about a {kind!r}" + (f"; there is {', '.join(kinds)}" if kinds else ""),
            where=str(project.file),
            fix=f"say in the stream which field has the id: subject: {{{kind}: {kind}_id}}",
        )
    return kind, id_text(id_)


def erase(session: Session, kind: str, id_: str, *, rewrite: bool | None = None) -> Erasure:
    """Erase a person. Again does nothing, unless something has come in between or a call before was cut short.

    What held rows of the person is written anew, so that nothing is left in the free space of the warehouse's files
    either; it is not with ``rewrite`` False, and with True also when nothing was erased now.

    Raises:
        UsageError: no privacy key, a warehouse whose rows cannot be deleted here or that holds half of a copy, or a
            snapshot that nobody can rebuild does not say which rows are the person's.
        DestinationError: the warehouse refused; what it says tells whether the person is erased.
        TransformError: the person is erased, and models that name nobody could not be built anew.
    """
    project, destination = session.project, session.destination
    expect_copied(destination, project.target)
    if not destination.capabilities.deletes_rows:
        raise UsageError(
            "not yet: nobody is erased from tables of this kind of warehouse", where=project.destination.address
        )
    keys = project.privacy.needed_keys("who was erased is written down as a pseudonym")
    dbt = open_dbt(project)
    relations = [] if dbt is None else dbt.manifest.relations()
    stored = [r for r in relations if r.kind in _KEPT]
    streams = [s for s, settings in project.streams.items() if kind in settings.subject]
    naming = [(r, marks) for r in stored if (marks := subject_columns(r, kind))]
    others = [r for r in stored if not subject_columns(r, kind) and r.streams & set(streams)]
    _check_rebuildable(project, kind, others)
    erasure = Erasure(subject=subject_text(kind, id_))
    run: RunRecord | None = None
    with destination.transaction(streams):
        work = Deletion(destination, project, kind, id_, erasure)
        work.settle_lakes(streams)
        before = standing(destination)
        work.erase_raw(streams)
        work.erase_models(naming)
        work.empty_feeds()
        work.erase_quarantine(streams)
        work.erase_lakes(streams)
        work.erase_ledger()
        if erasure.rows:
            work.empty([r for r in others if r.kind == "test"])
        erasure.before, unfinished = _before(destination, keys, erasure.subject)
        work.look_around(relations)
        work.clean_files()
        if erasure.rows:
            _prove(destination, keys, erasure, work.ids)
        if erasure.rows or unfinished:
            _take_in(destination, before)
            run = RunRecord.begin(destination.ledger, "erase", restore=before.as_data())
        fault_point("before_erasure")
    fault_point("after_erasure")
    work.name_files()
    if run is None:
        if rewrite:
            _tidy(destination, work.tables(streams, naming), erasure, rewrite=True)
        return erasure
    rebuilt = [r for r in others if work.has_rows(r) and r.kind != "test"]
    try:
        try:
            _rebuild(session, dbt, relations, rebuilt, before, erasure)
        finally:
            erasure.left += [*restore(before, destination), *refresh(destination)]
        _tidy(destination, work.tables(streams, naming), erasure, rewrite=rewrite is not False)
        if isinstance(destination, KeepsFiles):
            if rewrite is False:
                last = datetime.now(UTC) + destination.snapshot_age
                erasure.left.append(
                    f"the rows in older snapshots of the tables, which penstock tidy removes from {last:%Y-%m-%d %H:%M}"
                    " UTC on; or now: penstock erase --rewrite"
                )
            else:
                erasure.snapshots_removed = True
        destination.query(
            "update penstock.erasures set rebuilt_at = $1"
            f" where rebuilt_at is null and {_about(keys, erasure.subject)}",
            [datetime.now(UTC)],
        )
    except BaseException:
        with suppress(PenstockError):  # the warehouse may be what failed
            run.end("error")
        raise
    run.detail.pop("restore")
    run.end("success")
    return erasure


def _tidy(destination: Destination, tables: Sequence[str], erasure: Erasure, *, rewrite: bool) -> None:
    try:
        destination.tidy(tables, rewrite=rewrite)
    except DestinationError as e:
        raise DestinationError(
            f"{erasure.subject} is erased, and deleted bytes are left in the warehouse's files: {e.what}",
            where=e.where,
            fix="make room, or let nobody else use the tables, and call again; --no-rewrite leaves the files alone",
        ) from None


def _take_in(destination: Destination, before: Standing) -> None:
    """What stood before erasures that were cut short, and may be gone since."""
    rows = destination.query(
        "select detail from penstock.runs where kind = 'erase' and status <> 'success' and run_id >"
        " (select coalesce(max(run_id), 0) from penstock.runs where kind = 'erase' and status = 'success')"
    ).rows
    for (detail,) in rows:
        before.take_in((json.loads(detail) if isinstance(detail, str) else detail).get("restore", {}))


def _check_rebuildable(project: Project, kind: str, relations: Sequence[Relation]) -> None:
    for relation in relations:
        if relation.kind == "snapshot":
            raise UsageError(
                f"snapshot {relation.name} cannot be built anew, and does not say which of its rows are a {kind}'s",
                where=str(project.directory),
                fix=f"put meta: {{subject: {kind}}} on its column with the {kind}'s id; nothing was erased",
            )


def _about(keys: Keys, subject: str) -> str:
    """SQL condition for the person's proofs, under whichever key."""
    return f"subject in ({', '.join(literal(keys.pseudonym(subject, v)) for v in sorted(keys.secrets))})"


def _before(destination: Destination, keys: Keys, subject: str) -> tuple[datetime | None, bool]:
    """When the person was erased first, and whether models are yet to be built anew since."""
    row = destination.query(
        "select min(erased_at), count(*) filter (where rebuilt_at is null) from penstock.erasures where "
        + _about(keys, subject)
    ).rows[0]
    return row[0], row[1] > 0


def _prove(destination: Destination, keys: Keys, erasure: Erasure, ids: Sequence[str]) -> None:
    """Write down that a person was erased, and of what, in a way that only who knows the person and the key can read:
    the identities of rows as hashes with a salt."""
    salt = secrets.token_hex(16)
    hashes = sorted(hashlib.sha256(f"{salt}:{id_}".encode()).hexdigest() for id_ in ids)
    destination.query(
        "insert into penstock.erasures (erasure_id, subject, erased_at, counts, salt, ids)"
        " values (cast($1 as uuid), $2, $3, $4, $5, $6)",
        [
            str(uuid4()),
            keys.pseudonym(erasure.subject),
            datetime.now(UTC),
            json.dumps(erasure.counts),
            salt,
            json.dumps(hashes),
        ],
    )


def _rebuild(
    session: Session,
    dbt: Dbt | None,
    relations: Sequence[Relation],
    others: Sequence[Relation],
    before: Standing,
    erasure: Erasure,
) -> None:
    """Build anew what names nobody, from what is left, and then the views that went with it."""
    if dbt is None or not others:
        return
    upper = session.destination.query("select coalesce(max(seq), 0) from penstock.loads").rows[0][0]

    def build(chosen: Sequence[Relation]) -> None:
        session.release()
        try:
            nodes = dbt.build(
                select=[r.name for r in chosen], full_refresh=True, environment={"PENSTOCK_UPPER_SEQ": str(upper)}
            )
        finally:
            dbt.release()
        failed = [n for n in nodes if n.failed and n.kind not in ("test", "unit_test")]
        if failed:
            raise TransformError(
                f"{erasure.subject} is erased, and {', '.join(n.name for n in failed)} could not be built anew",
                where=str(session.project.directory),
                fix="mend the model, then call again; details are in .penstock/logs/dbt.log",
            )
        erasure.rebuilt = sorted({*erasure.rebuilt, *(f"{r.schema}.{r.table}" for r in chosen)})

    build(others)
    gone = set(missing(before, session.destination))
    if views := [r for r in relations if (r.schema, r.table) in gone and r.kind != "test"]:
        build(views)
