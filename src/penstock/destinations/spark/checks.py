"""What ``penstock doctor`` looks at in a warehouse of Iceberg tables."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from pyiceberg.io import load_file_io

from penstock.destinations.refusals import refusals
from penstock.destinations.spark.catalogs import RAW, properties_of
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.session import expect_supported
from penstock.destinations.spark.tables import fixes
from penstock.errors import PenstockError, UsageError
from penstock.findings import Finding, failed

if TYPE_CHECKING:
    from penstock.project import Project, Spark

_APART_SECONDS = 30.0
"""Snapshots carry the time of the machine that made them, and have to follow each other."""
_JAVAS = (8, 11, 17)
"""What Spark 3.5 runs on."""


def checks(name: str, project: Project, settings: Spark) -> Iterator[Finding]:
    """All of them."""
    destination = SparkDestination(settings)
    try:
        for part, look in (("store", _store), ("catalog", _catalog), ("clock", _clock)):
            try:
                with refusals(destination):
                    yield look(f"{name}: {part}", settings, destination)
            except PenstockError as e:
                yield failed(f"{name}: {part}", e)
    finally:
        destination.close()
    yield from _lookups(name, project)
    if project.has_models:
        yield from _session(name, settings)


def _store(name: str, settings: Spark, destination: SparkDestination) -> Finding:
    """Whether files can be written, read and deleted; none is left."""
    del destination
    location = f"{settings.location.rstrip('/')}/.penstock-doctor-{uuid.uuid4().hex}"
    store = load_file_io(properties_of(settings), location)
    with store.new_output(location).create() as file:
        file.write(b"penstock")
    try:
        with store.new_input(location).open() as file:
            content = file.read()
    finally:
        store.delete(location)
    return Finding(
        name=name, ok=content == b"penstock", detail=f"{settings.warehouse} can be written and read",
        fix="files are not read as they were written: look at the store",
    )  # fmt: skip


def _catalog(name: str, settings: Spark, destination: SparkDestination) -> Finding:
    library = f"pyiceberg {version('pyiceberg')}"
    if not destination.is_prepared():
        return Finding(name=name, ok=True, detail=f"{settings.catalog.type}, will be made; {library}")
    count = len(destination.catalog.list_tables(RAW))
    return Finding(name=name, ok=True, detail=f"{settings.catalog.type}, {count} raw tables; {library}")


def _clock(name: str, settings: Spark, destination: SparkDestination) -> Finding:
    del settings
    asked = time.time()
    theirs = float(destination.query("select extract(epoch from clock_timestamp())::float8").rows[0][0])
    apart = theirs - (asked + time.time()) / 2
    ok = abs(apart) <= _APART_SECONDS
    detail = f"{apart:+.1f} s apart from the ledger's"
    return Finding(name=name, ok=True, warns=not ok, detail=detail, fix="set both by NTP")


def _lookups(name: str, project: Project) -> Iterator[Finding]:
    """Streams whose identities can be anywhere in their tables."""
    for stream, settings in project.streams.items():
        spec = project.spec(stream)
        if spec.disposition == "replace" or (spec.disposition == "append" and fixes(spec, spec.event_time)):
            continue
        what = "each load, since merge compares with the row of the key, of whatever day"
        fix = "it grows with the table: for a large one, land events with append, and take the newest in a model"
        if spec.disposition == "append":
            lacks = "no event_time:" if not settings.event_time else f"identity: {settings.identity.kind}"
            what = f"a process at its first load, since {lacks} does not say on which day a known record was"
            fix = "it grows with the table: name event_time:, and take identity: content or one with its field"
        detail = f"{stream}: the identities of all files are read by {what}"
        yield Finding(name=f"{name}: look-up", ok=True, warns=True, detail=detail, fix=fix)


def _session(name: str, settings: Spark) -> Iterator[Finding]:
    """What Spark needs on this machine, for models."""
    try:
        expect_supported(settings)
    except UsageError as e:
        yield failed(f"{name}: spark", e)
        return
    yield _java(f"{name}: java")
    missing = [str(path) for path in settings.spark.jars if not path.exists()]
    named = [*settings.spark.packages, *map(str, settings.spark.jars)]
    lacking = [what for word, what in _parts(settings).items() if not any(word in part for part in named)]
    detail = f"{len(named)} named"
    if missing:
        detail = f"not there: {', '.join(missing)}"
    elif lacking:
        detail = f"{', '.join(lacking)} not among them, by their names"
    fix = "name each under spark: packages: or jars:; see docs/spark.md"
    warns = bool(missing or lacking)
    yield Finding(name=f"{name}: jars", ok=True, warns=warns, detail=f"{detail}; models need it", fix=fix)


def _parts(settings: Spark) -> dict[str, str]:
    """What a session is made of beside Spark itself: a word of its file's name → what it is."""
    parts = {"iceberg-spark": "Iceberg's runtime"}
    if settings.catalog.in_ledger:
        parts["postgresql"] = "PostgreSQL's JDBC driver"
    if settings.location.startswith(("s3://", "s3a://")) or settings.catalog.type == "glue":
        parts["aws"] = "Iceberg's AWS bundle"
    return parts


def _java(name: str) -> Finding:
    fix = f"install OpenJDK {_JAVAS[-1]}; landing needs none, models do"
    java = shutil.which("java")
    if java is None:
        return Finding(name=name, ok=True, warns=True, detail="not installed", fix=fix)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(?:1\.)?(\d+)', told)
    number = int(match[1]) if match else 0
    return Finding(name=name, ok=True, warns=number not in _JAVAS, detail=told.partition("\n")[0], fix=fix)
