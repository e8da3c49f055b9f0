"""What there is to tell, as plain values: nothing here knows OpenLineage's library, which takes a while to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["START", "RUNNING", "COMPLETE", "FAIL", "ABORT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a dataset that a column is made of; ``masked`` when its values cannot be seen in the column."""

    namespace: str
    dataset: str
    name: str
    masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a test found. ``name`` is the test's own, ``test`` what kind it is."""

    name: str
    test: str
    passed: bool
    severity: str
    column: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Data that is read or written. ``columns`` are names with types, a type may be empty; ``made_of`` says of a column
    which fields it holds."""

    namespace: str
    name: str
    uri: str
    columns: Sequence[tuple[str, str]] = ()
    made_of: Mapping[str, Sequence[Field]] = field(default_factory=dict)
    rows: int | None = None
    bytes: int | None = None
    assertions: Sequence[Assertion] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a job; ``id`` is a UUID."""

    id: str
    namespace: str
    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What became of a run at a time.

    ``what`` is the job's type: RUN, LOAD, MODEL, TEST. ``nominal`` is the time that the run is about, ``error`` why it
    failed.
    """

    kind: Kind
    at: datetime
    run: Run
    what: str
    parent: Run | None = None
    root: Run | None = None
    streaming: bool = False
    inputs: Sequence[Dataset] = ()
    outputs: Sequence[Dataset] = ()
    nominal: tuple[datetime, datetime | None] | None = None
    error: str | None = None
    sql: str | None = None
