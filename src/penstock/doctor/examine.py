"""Looks at a project without changing it for what is in the way, and says how to mend it."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from penstock.doctor.status import existing_destination
from penstock.errors import PenstockError
from penstock.extras import DISTRIBUTION
from penstock.findings import Finding, failed
from penstock.land.presence import presence_of
from penstock.ledger.soundness import Damage, damage_of
from penstock.native.kernel import SWITCH, built, kernel
from penstock.plural import count
from penstock.runs.plan import plan_loads
from penstock.sources.kinds import kind_of, opening_of

if TYPE_CHECKING:
    from penstock.ports import Rows
    from penstock.project import Project


class Held(Protocol):
    """A process that has the warehouse open, and can be asked."""

    @property
    def pid(self) -> int:
        """The process."""

    def query(self, sql: str) -> Rows:
        """Run one statement there."""

    def status(self) -> dict[str, Any]:
        """As :func:`penstock.doctor.status.read_status` there."""


def examine(
    directory: Path | None, target: str | None, held: Callable[[Project], Held | None] = lambda _: None
) -> list[Finding]:
    """The doctor's findings, in the order in which to mend them.

    Args:
        directory: where to look for the project; by default here.
        target: the destination, by its name.
        held: finds the process of the project that has its DuckDB warehouse, which is then asked instead.
    """
    checks = [_check_python(), *_check_versions(), check_native_lane()]
    try:
        from penstock.project import find_project, load_project

        project = load_project(find_project(directory or Path.cwd()), target=target)
    except PenstockError as e:
        return [*checks, failed("project", e)]
    streams = count(len(project.streams), "stream")
    where = f"{project.directory / 'penstock.yml'}, {streams}, destination {project.target}"
    checks.append(Finding(name="project", ok=True, detail=where))
    running = held(project)
    checks += _check_sources(project)
    checks += _check_fields(project, running)
    checks += _check_keys(project)
    checks.append(_check_destination(project, running))
    if checks[-1].ok:
        checks += _check_kind(project)
        checks += check_ledger(project, running)
    checks.append(_check_dbt(project))
    checks += _check_scopes(project)
    checks += _check_lineage(project)
    return checks


def _check_python() -> Finding:
    version = platform.python_version()
    return Finding(
        name="python", ok=sys.version_info >= (3, 11), detail=version, fix="install Python 3.11 or later", exit_code=1
    )


def _check_versions() -> list[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    checks = []
    for name in (DISTRIBUTION, "duckdb", "pyarrow", "dbt-core", "dbt-duckdb"):
        try:
            checks.append(Finding(name=name, ok=True, detail=version(name)))
        except PackageNotFoundError:
            checks.append(Finding(name=name, ok=False, detail="not installed", fix=f"pip install {DISTRIBUTION}"))
    # these are an extra: whether the project needs it, the check of its destination says
    for name in ("adbc-driver-postgresql", "dbt-postgres"):
        with suppress(PackageNotFoundError):
            checks.append(Finding(name=name, ok=True, detail=version(name)))
    return checks


def check_native_lane() -> Finding:
    """Whether records are shaped by the kernel."""
    if kernel() is not None:
        return Finding(name="native lane", ok=True, detail="built")
    what, fix = f"{SWITCH}=0", f"unset {SWITCH}"
    if not built():
        what = "not built"
        fix = "install a wheel for this platform; or a C compiler, gcc or clang, and then Penstock anew"
    return Finding(name="native lane", ok=True, warns=True, detail=f"{what}, loads take about twice the CPU", fix=fix)


def _check_sources(project: Project) -> list[Finding]:
    checks: list[Finding] = []
    for step in plan_loads(project):
        name = f"source {step.source} of {step.stream}"
        settings = project.sources[step.source]
        try:
            checks += kind_of(settings).check(name, settings, opening_of(project, step))
        except PenstockError as e:
            checks.append(failed(name, e))
    return checks


def _check_fields(project: Project, held: Held | None) -> list[Finding]:
    """Fields that the settings name, and that neither a record so far nor the first ones of a source have. Of files and
    APIs that cannot be read, others tell."""
    if held is not None:
        return [Finding(name="fields", ok=True, warns=True, detail=text) for text in held.status().get("warnings", ())]
    checks: dict[str, Finding] = {}
    with suppress(PenstockError):
        destination = existing_destination(project)
        try:
            for step in plan_loads(project):
                presence = presence_of(project, step.stream, step.source, only_look=True)
                if destination is not None:
                    presence.begin(destination)
                with suppress(PenstockError):
                    settings = project.sources[step.source]
                    for batch in kind_of(settings).sample(settings, opening_of(project, step)):
                        presence.look(batch)
                for text, stops in presence.findings():
                    fix = "mend the name, or where the field comes later: allow_missing: true on the stream"
                    checks[text] = Finding(
                        name=f"fields of {step.stream}", ok=not stops, warns=True, detail=text, fix=fix, exit_code=2
                    )
        finally:
            if destination is not None:
                destination.close()
    return list(checks.values())


def _check_keys(project: Project) -> list[Finding]:
    why = [name for name, stream in project.streams.items() if stream.pii]
    if not why:
        return []
    try:
        keys = project.privacy.needed_keys(f"stream {why[0]} has pii:")
    except PenstockError as e:
        return [failed("privacy keys", e)]
    known = ", ".join(sorted(keys.secrets))
    return [Finding(name="privacy keys", ok=True, detail=f"{known}; {keys.current} is the current one")]


def _check_destination(project: Project, held: Held | None) -> Finding:
    settings = project.destination
    name = f"destination {project.target}"
    try:
        if held is not None:
            version = held.query("select version()").rows[0][0]
            return Finding(name=name, ok=True, detail=f"{version}, which process {held.pid}, penstock up, has open")
        from penstock.destinations import open_destination
        from penstock.destinations.kinds import kind_of as destination_kind

        if not settings.may_exist:
            return Finding(name=name, ok=True, detail=destination_kind(settings).unmade(settings))

        destination = open_destination(settings)
        try:
            version = destination.query("select version()").rows[0][0]
            destination.check_rights()
            ledger = "ledger in place" if destination.is_prepared() else "no ledger yet"
        finally:
            destination.close()
        return Finding(name=name, ok=True, detail=f"{version.split(' on ')[0]}, {ledger}")
    except PenstockError as e:
        return failed(name, e)


def _check_kind(project: Project) -> list[Finding]:
    """What there is to look at in a warehouse of the destination's kind."""
    from penstock.destinations.kinds import kind_of as destination_kind

    name = f"destination {project.target}"
    try:
        return list(destination_kind(project.destination).check(name, project))
    except PenstockError as e:
        return [failed(name, e)]


def check_ledger(project: Project, held: Held | None) -> list[Finding]:
    """Whether the ledger fits what the raw tables hold; nothing where there is none."""
    if held is not None:
        damages = [Damage(**damage) for damage in held.status().get("damage", [])]
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
        return [Finding(name="ledger", ok=True, detail="it fits the raw tables")]
    return [Finding(name=f"ledger of {d.stream}", ok=False, detail=d.what, fix=d.fix) for d in damages]


def _check_dbt(project: Project) -> Finding:
    if not project.has_models:
        return Finding(name="dbt project", ok=True, detail="none; records are landed and not modelled")
    from penstock.transform.dbt import open_dbt

    try:
        tables = sorted(open_dbt(project).sources())
        unknown = [t for t in tables if t not in project.streams and not t.endswith("__delta")]
        if unknown:
            return Finding(
                name="dbt project",
                ok=False,
                detail=f"its sources name raw tables that no stream lands: {', '.join(unknown)}",
                fix="name the streams so, or mend the sources in the models' .yml",
                exit_code=2,
            )
        return Finding(name="dbt project", ok=True, detail=f"parses; reads {', '.join(tables) or 'no raw table'}")
    except PenstockError as e:
        return failed("dbt project", e)


def _check_scopes(project: Project) -> list[Finding]:
    """The models that ask to be built by a scope and may not, as was seen when they were built last."""
    from penstock.transform.unsafe_models import known_unsafe, notes_of

    return [Finding(name="scope", ok=True, warns=True, detail=note) for note in notes_of(known_unsafe(project))]


def _check_lineage(project: Project) -> list[Finding]:
    """Whether anybody is there to be told; nothing is sent."""
    settings = project.lineage
    if settings is None or settings.url is None:
        return []
    parts = urlsplit(settings.url)
    at = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(at, timeout=settings.timeout_seconds).close()
    except OSError as e:
        detail = f"nobody listens at {settings.url}: {e.strerror or e}"
        fix = "start the server, or mend lineage.url; nothing else waits for it"
        return [Finding(name="lineage", ok=False, detail=detail, fix=fix, exit_code=1)]
    return [Finding(name="lineage", ok=True, detail=f"somebody listens at {settings.url}")]
