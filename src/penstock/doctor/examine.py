"""Looks at a project without changing it: what a run would do, what the ledger says, what is in the way."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from penstock.doctor.broker import Check, check_queue, failed
from penstock.errors import DestinationError, PenstockError, SourceError, together
from penstock.extras import DISTRIBUTION
from penstock.land.presence import missing_fields, presence_of
from penstock.ledger.soundness import Damage, damage_of, missing_tables
from penstock.plural import count
from penstock.ports import Batch, Window
from penstock.runs.plan import plan_loads
from penstock.sql import statement

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.ports import Destination, Rows
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.sources.files.source import FilePlan, FilesSource
    from penstock.sources.http.source import HttpSource

_LAST_LOADS = 10


class Held(Protocol):
    """A process that has the warehouse open, and can be asked."""

    @property
    def pid(self) -> int:
        """The process."""

    def query(self, sql: str) -> Rows:
        """Run one statement there."""

    def status(self) -> dict[str, Any]:
        """As :func:`read_status` there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What loading one stream from one source would do."""

    stream: str
    source: str
    how: str
    files: Sequence[FilePlan] = ()
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "stream": self.stream,
            "source": self.source,
            "how": self.how,
            "problem": self.problem or None,
            "files": [{**asdict(f), "path": str(f.path), "error": f.error and str(f.error)} for f in self.files],
        }


def explain_loads(
    project: Project,
    streams: Sequence[str],
    window: Window | None,
    *,
    fingerprint: bool = True,
    lookback: timedelta = timedelta(),
) -> list[LoadPlan]:
    """The steps of a run with the files each would read. Opens the warehouse only if it is there."""
    from penstock.land.session import Session

    plans = []
    session = Session(project)
    destination = existing_destination(project)
    try:
        for step in plan_loads(project, streams, window=window, fingerprint=fingerprint, lookback=lookback):
            stream = project.streams[step.stream]
            contract = stream.contract
            how = (
                f"{stream.disposition} by {stream.identity}, new columns {contract.columns}, odd types {contract.types}"
            )
            if step.window and stream.event_time:
                how += f", {stream.event_time} in {step.window}"
            known = destination.positions(step.stream, step.source) if destination else {}
            settings = project.sources[step.source]
            if settings.type == "rabbitmq":
                how += f", from {settings.queue_type} queue {settings.queue} at {settings.address} by penstock consume"
                how += " alone: a queue has no days to choose from" if window is not None else " alone"
                plans.append(LoadPlan(stream=step.stream, source=step.source, how=how))
                continue
            if settings.type == "http":
                try:
                    how += f", {session.http(step, settings).described(known)}"
                    plans.append(LoadPlan(stream=step.stream, source=step.source, how=how))
                except SourceError as e:
                    plans.append(LoadPlan(stream=step.stream, source=step.source, how=how, problem=str(e)))
                continue
            try:
                files = session.files(step, settings).plan(known)
                plans.append(LoadPlan(stream=step.stream, source=step.source, how=how, files=files))
            except SourceError as e:
                plans.append(LoadPlan(stream=step.stream, source=step.source, how=how, problem=str(e)))
    finally:
        if destination:
            destination.close()
    return plans


def read_status(project: Project) -> dict[str, Any]:
    """The ledger as plain data: ``damage``, where it does not fit the raw tables; ``streams``, ``loads``,
    ``quarantine``, ``models``, ``runs``, ``schedules``, ``alerts`` that are not over; the ``expectations``, judged now;
    the ``hosts`` of HTTP sources as they were last seen from this machine; and as ``warnings`` what looks like a
    mistake in the project file."""
    from penstock.alerts.expectations import judge
    from penstock.sources.http.standing import read_standing

    names = ("streams", "loads", "quarantine", "models", "runs", "schedules", "alerts")
    hosts = read_standing(project.directory, project.sources)
    destination = existing_destination(project)
    if destination is None:
        expected = [verdict.as_dict() for verdict in judge(project, None)]
        nothing: dict[str, list[Any]] = {name: [] for name in ("damage", *names, "warnings")}
        return {**nothing, "expectations": expected, "hosts": hosts}
    try:
        found = {
            name: _dicts(destination, statement("penstock.ledger", f"status_{name}.sql", last=str(_LAST_LOADS)))
            for name in names
        }
        damage = [asdict(d) for d in map(partial(damage_of, destination), project.streams) if d is not None]
        found["expectations"] = [verdict.as_dict() for verdict in judge(project, destination.query)]
        warnings = list(missing_fields(project, destination))
    finally:
        destination.close()
    now = datetime.now(UTC)
    for row in found["streams"]:
        row["lag_seconds"] = round((now - row["last_commit"]).total_seconds())
    return {"damage": damage, **found, "hosts": hosts, "warnings": warnings}


def examine(
    directory: Path | None, target: str | None, held: Callable[[Project], Held | None] = lambda _: None
) -> list[Check]:
    """The doctor's findings, in the order in which to mend them.

    Args:
        directory: where to look for the project; by default here.
        target: the destination, by its name.
        held: finds the process of the project that has its DuckDB warehouse, which is then asked instead.
    """
    checks = [_check_python(), *_check_versions()]
    try:
        from penstock.project import find_project, load_project

        project = load_project(find_project(directory or Path.cwd()), target=target)
    except PenstockError as e:
        return [*checks, failed("project", e)]
    streams = count(len(project.streams), "stream")
    where = f"{project.directory / 'penstock.yml'}, {streams}, destination {project.target}"
    checks.append(Check(name="project", ok=True, found=where))
    running = held(project)
    checks += _check_sources(project)
    checks += _check_fields(project, running)
    checks += _check_keys(project)
    checks.append(_check_destination(project, running))
    if checks[-1].ok:
        checks += check_ledger(project, running)
    checks.append(_check_dbt(project))
    checks += _check_lineage(project)
    return checks


def existing_destination(project: Project) -> Destination | None:
    """The destination, unless nothing was ever landed in it."""
    from penstock.destinations import open_destination

    if not project.destination.may_exist:
        return None
    destination = open_destination(project.destination)
    try:
        if not destination.is_prepared():
            missing = missing_tables(destination)
            destination.close()
            if not missing:
                return None
            raise DestinationError(
                f"the ledger lacks {', '.join(missing)}: dropped by hand, or of an earlier version",
                where=project.target,
                fix="restore them from a backup if they were dropped; penstock load makes what is missing, empty",
            )
    except BaseException:
        destination.close()
        raise
    return destination


def _dicts(destination: Destination, sql: str) -> list[dict[str, Any]]:
    rows = destination.query(sql)
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]


def _check_python() -> Check:
    version = platform.python_version()
    return Check(
        name="python", ok=sys.version_info >= (3, 11), found=version, fix="install Python 3.11 or later", exit_code=1
    )


def _check_versions() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    checks = []
    for name in (DISTRIBUTION, "duckdb", "pyarrow", "dbt-core", "dbt-duckdb"):
        try:
            checks.append(Check(name=name, ok=True, found=version(name)))
        except PackageNotFoundError:
            checks.append(Check(name=name, ok=False, found="not installed", fix=f"pip install {DISTRIBUTION}"))
    # these are an extra: whether the project needs it, the check of its destination says
    for name in ("adbc-driver-postgresql", "dbt-postgres"):
        with suppress(PackageNotFoundError):
            checks.append(Check(name=name, ok=True, found=version(name)))
    return checks


def _check_sources(project: Project) -> list[Check]:
    from penstock.land.session import Session

    checks = []
    for step in plan_loads(project):
        name = f"source {step.source} of {step.stream}"
        settings = project.sources[step.source]
        try:
            if settings.type == "rabbitmq":
                checks += check_queue(name, settings)
                continue
            if settings.type == "http":
                checks.append(_check_api(name, Session(project).http(step, settings)))
                continue
            source = Session(project).files(step, settings)
            plans = source.plan({})
            failures = _unreadable(source, plans)
            if failures:
                checks.append(failed(name, together(failures)))
                continue
            size = sum(p.size for p in plans)
            checks.append(Check(name=name, ok=True, found=f"{count(len(plans), 'file')}, {count(size, 'byte')}"))
        except PenstockError as e:
            checks.append(failed(name, e))
    return checks


def _check_fields(project: Project, held: Held | None) -> list[Check]:
    """Fields that the settings name, and that neither a record so far nor the first ones of a source have. Of files and
    APIs that cannot be read, others tell."""
    from penstock.land.session import Session

    if held is not None:
        return [Check(name="fields", ok=True, warns=True, found=text) for text in held.status().get("warnings", ())]
    checks: dict[str, Check] = {}
    with suppress(PenstockError):
        destination = existing_destination(project)
        try:
            for step in plan_loads(project):
                presence = presence_of(project, step.stream, step.source, only_look=True)
                if destination is not None:
                    presence.begin(destination)
                with suppress(PenstockError):
                    for batch in _first_records(Session(project), step):
                        presence.look(batch)
                for text, stops in presence.findings():
                    fix = "mend the name, or where the field comes later: allow_missing: true on the stream"
                    checks[text] = Check(
                        name=f"fields of {step.stream}", ok=not stops, warns=True, found=text, fix=fix, exit_code=2
                    )
        finally:
            if destination is not None:
                destination.close()
    return list(checks.values())


def _first_records(session: Session, step: LoadStep) -> Iterator[Batch]:
    """Some records of a source that gives them without being changed by it."""
    settings = session.project.sources[step.source]
    if settings.type == "http":
        source = session.http(step, settings)
        if settings.endpoints[step.stream].parent is None:
            for cut in source.first_page().cuts:
                yield Batch(bodies=cut.bodies, segments=[])
    elif settings.type != "rabbitmq":
        yield from islice(session.files(step, settings).read({}), 1)


def _unreadable(source: FilesSource, plans: Sequence[FilePlan]) -> list[PenstockError]:
    """Why files cannot be read."""
    failures: list[PenstockError] = []
    for plan in plans:
        try:
            source.probe(plan)
        except SourceError as e:
            failures.append(e)
    return failures


def _check_keys(project: Project) -> list[Check]:
    why = [name for name, stream in project.streams.items() if stream.pii]
    if not why:
        return []
    try:
        keys = project.privacy.needed_keys(f"stream {why[0]} has pii:")
    except PenstockError as e:
        return [failed("privacy keys", e)]
    known = ", ".join(sorted(keys.secrets))
    return [Check(name="privacy keys", ok=True, found=f"{known}; {keys.current} is the current one")]


def _check_api(name: str, source: HttpSource) -> Check:
    """One page is asked for, which shows that address, credentials and format are right."""
    page = source.first_page()
    records = f"{page.place}: {count(sum(len(c.bodies) for c in page.cuts), 'record')}"
    return Check(name=name, ok=True, found="; ".join([records, *(f"warning: {w}" for w in source.warnings)]))


def _check_destination(project: Project, held: Held | None) -> Check:
    settings = project.destination
    name = f"destination {project.target}"
    try:
        if held is not None:
            version = held.query("select version()").rows[0][0]
            return Check(name=name, ok=True, found=f"{version}, which process {held.pid}, penstock up, has open")
        if settings.type == "duckdb" and not settings.path.exists():
            folder = settings.path.parent
            while not folder.exists():
                folder = folder.parent
            free = shutil.disk_usage(folder).free
            return Check(name=name, ok=True, found=f"{settings.path} will be made; {free / 2**30:.1f} GiB free")
        from penstock.destinations import open_destination

        destination = open_destination(settings)
        try:
            version = destination.query("select version()").rows[0][0]
            destination.check_rights()
            ledger = "ledger in place" if destination.is_prepared() else "no ledger yet"
        finally:
            destination.close()
        return Check(name=name, ok=True, found=f"{version.split(' on ')[0]}, {ledger}")
    except PenstockError as e:
        return failed(name, e)


def check_ledger(project: Project, held: Held | None) -> list[Check]:
    """Whether the ledger fits what the raw tables hold; nothing where there is none."""
    if held is not None:
        damages = [Damage(**found) for found in held.status().get("damage", [])]
    else:
        try:
            destination = existing_destination(project)
        except PenstockError as e:
            return [failed("ledger", e)]
        if destination is None:
            return []
        try:
            damages = [d for d in map(partial(damage_of, destination), project.streams) if d is not None]
        except PenstockError as e:
            return [failed("ledger", e)]
        finally:
            destination.close()
    if not damages:
        return [Check(name="ledger", ok=True, found="it fits the raw tables")]
    return [Check(name=f"ledger of {d.stream}", ok=False, found=d.what, fix=d.fix) for d in damages]


def _check_dbt(project: Project) -> Check:
    if not project.has_models:
        return Check(name="dbt project", ok=True, found="none; records are landed and not modelled")
    from penstock.transform.dbt import open_dbt

    try:
        tables = sorted(open_dbt(project).sources())
        unknown = [t for t in tables if t not in project.streams and not t.endswith("__delta")]
        if unknown:
            return Check(
                name="dbt project",
                ok=False,
                found=f"its sources name raw tables that no stream lands: {', '.join(unknown)}",
                fix="name the streams so, or mend the sources in the models' .yml",
                exit_code=2,
            )
        return Check(name="dbt project", ok=True, found=f"parses; reads {', '.join(tables) or 'no raw table'}")
    except PenstockError as e:
        return failed("dbt project", e)


def _check_lineage(project: Project) -> list[Check]:
    """Whether anybody is there to be told; nothing is sent."""
    settings = project.lineage
    if settings is None or settings.url is None:
        return []
    parts = urlsplit(settings.url)
    at = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(at, timeout=settings.timeout_seconds).close()
    except OSError as e:
        found = f"nobody listens at {settings.url}: {e.strerror or e}"
        fix = "start the server, or mend lineage.url; nothing else waits for it"
        return [Check(name="lineage", ok=False, found=found, fix=fix, exit_code=1)]
    return [Check(name="lineage", ok=True, found=f"somebody listens at {settings.url}")]
