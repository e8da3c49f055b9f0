"""The settings of a warehouse of Iceberg tables, whose ledger is in PostgreSQL and whose models Spark builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from penstock.project.destinations import DestinationSettings
from penstock.project.group import Settings, none
from penstock.project.nearest import nearest
from penstock.project.schedule import Clock, Span, TidySchedule, schedule_or_none
from penstock.project.values import Frozen, ProjectPath
from penstock.project.warehouses import Postgres
from penstock.project.yaml_document import Document, Problem

_STORES = ("s3", "s3a", "gs", "abfss", "file")


def _a_day(span: timedelta) -> timedelta:
    if span < timedelta(days=1):
        raise ValueError("less than a day could remove files of a load that has not ended: expected 1d or more")
    return span


class SparkCatalog(Settings):
    """Where it is kept which Iceberg tables there are, and which snapshot of each is the current one."""

    type: Literal["postgres", "rest", "glue", "hive"] = "postgres"
    """`postgres` keeps it in the ledger's own database, so that rows and ledger are committed at once. With any other,
    rows are committed first and the ledger after them, and what a killed load left is taken back by the next one."""
    uri: str | None = None
    """Where a `rest` or `hive` catalog is reached."""
    properties: Annotated[Mapping[str, SecretStr], Frozen] = Field(default_factory=none)
    """More of its properties, in PyIceberg's words, such as `credential` or `glue.region`. Never shown."""

    @property
    def in_ledger(self) -> bool:
        """Whether it is in the ledger's database."""
        return self.type == "postgres"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type in ("rest", "hive") and not self.uri:
            raise PydanticCustomError("uri", "a {type} catalog needs its uri", {"type": self.type})
        if self.type == "postgres" and self.uri:
            raise PydanticCustomError("uri", "the catalog is in the ledger's database: leave uri out")
        return self


class SparkSession(Settings):
    """How Spark is reached, for models. Landing needs none."""

    master: str = "local[*]"
    """Spark's master: `local[*]` runs it in dbt's own process, `spark://host:port` on a cluster."""
    remote: str | None = Field(default=None, pattern=r"^sc://")
    """A Spark Connect server, `sc://host:port`, in place of `master`."""
    packages: tuple[str, ...] = ()
    """Maven coordinates that Spark fetches: Iceberg's runtime of Spark's version, and PostgreSQL's JDBC driver."""
    jars: tuple[ProjectPath, ...] = ()
    """The same as files, where they are at hand."""
    conf: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """More of Spark's configuration."""


class SparkTidy(Settings):
    """What `penstock tidy` leaves, and when `penstock up` does it: see docs/spark.md."""

    schedule: Annotated[TidySchedule | None, BeforeValidator(schedule_or_none)] = Field(
        default_factory=lambda: TidySchedule(cron="@daily")
    )
    """When `penstock up` does it by itself: each day unless told otherwise, since each load makes files and a snapshot,
    and tables that nobody looks after get slower for ever. `false` leaves it to `penstock tidy`."""
    max_snapshot_age: Span = timedelta(days=5)
    """How long the snapshots of a table are kept, to be read as it was. Those that a load or a model still needs are
    kept longer."""
    orphan_age: Annotated[Span, AfterValidator(_a_day)] = timedelta(days=3)
    """How old a file has to be that nothing names before it is removed; a day at least, since files of a load that has
    not ended look the same."""


def _of_kind(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


_KindAlone = BeforeValidator(_of_kind)


class Spark(DestinationSettings):
    """Iceberg tables in a folder or an object store, with the ledger in PostgreSQL."""

    type: Literal["spark"]
    """Which kind of destination this is."""
    ledger: str
    """The destination of the project, a `postgres` one, that keeps the ledger."""
    warehouse: str
    """The folder of the tables, relative to the project's, or `s3://`, `gs://` or `abfss://` and a path."""
    store: Annotated[Mapping[str, SecretStr], Frozen] = Field(default_factory=none)
    """How the object store is reached, in PyIceberg's words, such as `s3.endpoint`, `s3.access-key-id` and
    `s3.secret-access-key`. Never shown. Without, as the store's own libraries find it."""
    catalog: Annotated[SparkCatalog, _KindAlone] = Field(default_factory=SparkCatalog)
    """Which tables there are: its kind alone, or with its settings."""
    spark: SparkSession = Field(default_factory=SparkSession)
    """How Spark is reached."""
    tidy: SparkTidy = Field(default_factory=SparkTidy)
    """How long what is old is kept, and when tables are looked after."""
    _ledger: Postgres | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _in_the_project(cls, data: Any, info: Any) -> Any:
        """A folder is one of the project's."""
        directory = (info.context or {}).get("directory")
        warehouse = data.get("warehouse") if isinstance(data, dict) else None
        if not isinstance(warehouse, str) or "://" in warehouse or directory is None:
            return data
        return {**data, "warehouse": str(directory / Path(warehouse).expanduser())}

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        scheme, there, _ = self.warehouse.partition("://")
        if there and scheme not in _STORES:
            raise PydanticCustomError(
                "warehouse", "no store is known under {scheme}://: expected a folder, or {known}",
                {"scheme": scheme, "known": ", ".join(f"{s}://" for s in _STORES)},
            )  # fmt: skip
        return self

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        return f"{self.warehouse} with {self.ledger_settings.address}" if self._ledger else self.warehouse

    @property
    def location(self) -> str:
        """The warehouse as a URI."""
        return self.warehouse if "://" in self.warehouse else Path(self.warehouse).absolute().as_uri()

    @property
    def ledger_settings(self) -> Postgres:
        """The settings of the database with the ledger."""
        assert self._ledger is not None, "settings of a project are complete"
        return self._ledger

    @property
    def tidied(self) -> Clock | None:
        """When ``penstock up`` looks after its tables."""
        return self.tidy.schedule

    @property
    def needs(self) -> str:
        """The destination with the ledger."""
        return self.ledger

    def problems(self, name: str, all_: Mapping[str, DestinationSettings], document: Document) -> Iterator[Problem]:
        """That there is no such ledger, or one in another engine."""
        at = ("destinations", name, "ledger")
        there = [n for n, settings in all_.items() if isinstance(settings, Postgres)]
        if self.ledger in all_ and self.ledger not in there:
            fix = f"name one of {', '.join(there)}" if there else "add one of type: postgres"
            yield document.problem(at, f"{self.ledger!r} is no PostgreSQL database, which the ledger needs", fix)
        elif self.ledger not in all_:
            near = nearest(self.ledger, there)
            known = f"there are {', '.join(there)}" if there else "add one of type: postgres"
            fix = f"did you mean {near}?" if near else known
            yield document.problem(at, f"there is no destination {self.ledger!r}", fix)

    def completed(self, all_: Mapping[str, DestinationSettings]) -> Self:
        """With the settings of the database that keeps the ledger."""
        ledger = all_.get(self.ledger)
        complete = self.model_copy()
        complete._ledger = ledger if isinstance(ledger, Postgres) else None  # noqa: SLF001 - one of its own class
        return complete
