"""The settings of ``penstock.yml``, as types. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from penstock.layout import Layout, flat_name
from penstock.project.csv_settings import Csv
from penstock.project.destinations import DESTINATIONS, DestinationSettings
from penstock.project.expect import Expectations
from penstock.project.fields import FIELD, NamesFields
from penstock.project.group import Settings, none
from penstock.project.lake import Lake
from penstock.project.metabase_settings import Metabase
from penstock.project.notify import Notify, notify_of
from penstock.project.privacy_settings import Privacy, SubjectFields
from penstock.project.schedule import Schedule, own_schedule, schedule_of
from penstock.project.sources import SOURCES, SourceSettings
from penstock.project.telemetry import Lineage, Logging
from penstock.project.values import (
    CONTENT,
    ByteSize,
    ColumnType,
    DropPaths,
    Frozen,
    IdentityValue,
    OneOrMany,
    PartNames,
    StreamNames,
)
from penstock.spec import Disposition, Mode


class Files(SourceSettings):
    """Files in a folder: JSON, NDJSON, CSV or Parquet, plain or compressed."""

    type: Literal["files"]
    """Which kind of source this is."""
    path: OneOrMany
    """A file, a folder or a glob (`**` for any depth), relative to the project's folder; or a list of them."""
    format: Literal["auto", "json", "ndjson", "csv", "parquet"] = "auto"
    """The files' format; `auto` tells it from each file's name, else from its first bytes."""
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    """How the files are compressed; `auto` tells it from each file's name."""
    settle_seconds: Annotated[float, Field(ge=0.05, le=3_600)] = 0.5
    """When watched, a file lands once it has not changed for so long; at once when it was moved in."""
    csv: Csv = Field(default_factory=Csv.model_construct)
    """How CSV files are written."""


class Contract(Settings):
    """What happens to data that the stream's columns do not foresee.

    `evolve` makes room for it, `rescue` keeps it in `_pen_rescued`, `reject` sends the record to
    quarantine, `freeze` stops the load and lands nothing.
    """

    columns: Mode = "evolve"
    """For a field that has no column."""
    types: Mode = "rescue"
    """For a value that does not fit its column's type."""


def _contract(value: Any) -> Any:
    return {"columns": value, "types": value} if isinstance(value, str) else value


class Stream(Settings):
    """One kind of record. It lands in the table `raw.<stream>`."""

    from_: OneOrMany = Field(alias="from")
    """The source, or the list of sources, that the records come from. `lake` is what was landed in the lake before."""
    land: bool = False
    """Whether each load writes what it fetched to the lake too."""
    event_time: Annotated[str | None, FIELD] = Field(default=None, min_length=1)
    """The field that says when the record happened; `--date`, `--from` and `--to` go by it."""
    identity: Annotated[IdentityValue, FIELD] = CONTENT
    """What makes two records the same: `content`, `message` (the message's own id), or a list of key fields."""
    disposition: Disposition = "append"
    """`append`: the first of the same records stays. `merge`: one row a key, the latest wins. `replace`: each load
    takes the place of all before it."""
    version: Annotated[str | None, FIELD] = Field(default=None, min_length=1)
    """With `merge`: the field whose greatest value wins, whatever the order of arrival."""
    contract: Annotated[Contract, BeforeValidator(_contract)] = Field(default_factory=Contract.model_construct)
    """What happens to new fields and to values of another type; one word stands for both."""
    columns: Annotated[Mapping[str, ColumnType], Frozen, NamesFields(keys=True)] = Field(default_factory=none)
    """Declared types by field: text, bigint, double, decimal(p,s), boolean, date, timestamp, timestamptz, uuid, json.
    The types of other fields are inferred from the first load."""
    pii: Annotated[OneOrMany | None, NamesFields(vital=True)] = None
    """The fields with personal data, such as `[name, email]`. Each has a second column beside it,
    `email_pseudonym`, for all that is made of the table; the field itself is masked wherever Penstock shows it."""
    subject: Annotated[SubjectFields, FIELD] = Field(default_factory=none)
    """Whom the records are about: kind of person → the field with the person's id, such as `{customer: customer_id}`.
    `penstock erase --subject customer:42` goes by it."""
    flatten: bool = False
    """Whether nested objects become columns, `location.street.number` the column `location_street_number`. Settings
    that name a field take either spelling. Arrays stay JSON."""
    drop: Annotated[DropPaths | None, NamesFields(how="dropped", vital=True)] = None
    """Fields that never reach the warehouse, such as `[login.password, login.salt]`: not its tables, not quarantine,
    and not what makes two records the same. With `flatten`, `login` stands for all fields that begin with `login_`."""
    raw_json: bool = False
    """Whether each row also keeps its whole record as JSON, in `_pen_json`: as the stream has it, so without what is
    dropped, and flat with `flatten`. With `pii`, all of it counts as personal."""
    allow_missing: bool = False
    """Whether records may land before any has had the fields that `pii` and `drop` name. Without it the first load of
    records that all lack one stops: the name may be a mistake, and what it should keep away would land."""
    max_record_bytes: Annotated[ByteSize, Field(ge=1, le=268_435_456)] = 16_777_216
    """Larger records go to quarantine. 16 MiB by default, 256 MiB at most."""
    schedule: Annotated[Schedule | Literal[False] | None, BeforeValidator(own_schedule)] = None
    """When `penstock up` loads it, instead of the project's `schedule`; `false` takes it out of that."""
    expect: Expectations = ()
    """What is expected of it, one or a list: `fresh within 10m`, `rows >= 1000 per day`, `quarantined <= 1% in 1d`.
    `penstock check` fails when it is not so."""

    @property
    def layout(self) -> Layout:
        """How its records are laid out."""
        drop = tuple(self.field(f) for f in self.drop or ())
        return Layout(flatten=self.flatten, drop=drop)

    @property
    def sameness(self) -> str:
        """What makes two of its records the same, in words. Records are the same without what is dropped, and content
        is told by the flat record."""
        if self.identity.fields:
            return f"[{', '.join(self.field(f) for f in self.identity.fields)}]"
        layout = self.layout
        flat = " of the flat record" if self.identity == CONTENT and layout.flatten else ""
        without = f" without {', '.join(sorted(layout.drop))}" if self.identity == CONTENT and layout.drop else ""
        return f"{self.identity}{flat}{without}"

    def field(self, name: str) -> str:
        """The field that the settings call ``name``."""
        return flat_name(name) if self.flatten else name


class Load(Settings):
    """How much is held in memory and in one transaction."""

    batch_bytes: Annotated[ByteSize, Field(ge=1, le=1_073_741_824)] = 8_388_608
    """How much is read and shaped at a time. 8 MiB by default."""
    commit_bytes: Annotated[ByteSize, Field(ge=1)] | None = None
    """How much is landed in one transaction. By default 64 MiB on DuckDB, 512 MiB on PostgreSQL."""


class Transform(Settings):
    """How dbt is run."""

    threads: Annotated[int, Field(ge=1, le=64)] = 8
    """How many models dbt builds at a time on PostgreSQL. On DuckDB it is one: each takes all cores."""
    debounce_seconds: Annotated[float, Field(ge=0, le=3_600)] = 0.1
    """`penstock up`: models are built when nothing has landed for so long."""
    debounce_most_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.5
    """`penstock up`: models wait no longer than this, even if something lands all the time."""
    test_every_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 86_400.0
    """`penstock up`: how long the models' tests may be left out between builds. A day by default."""


class Up(Settings):
    """Where `penstock up` answers: `/healthz`, `/readyz`, `/metrics`."""

    host: str = "127.0.0.1"
    """The address to listen on. Questions to the warehouse are answered on the machine itself only."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """The port to listen on; 0 takes a free one, which `penstock up` prints."""


def _transform(value: Any) -> Any:
    if value is False or (isinstance(value, str) and value.lower() in ("false", "no", "off")):
        return None
    if value is True or value is None or (isinstance(value, str) and value.lower() in ("true", "yes", "on")):
        return {}
    return value


Destination = Annotated[DestinationSettings, DESTINATIONS]
Source = Annotated[SourceSettings, SOURCES]


class ProjectFile(Settings):
    """`penstock.yml`: the destinations, sources and streams of a project."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    """The project's name: small letters, digits and `_`."""
    target: str | None = None
    """Which destination is used when `--target` names none. May be left out when there is only one."""
    destinations: Annotated[Mapping[str, Destination], PartNames, Frozen] = Field(min_length=1)
    """The warehouses, by a name of your choice."""
    sources: Annotated[Mapping[str, Source], PartNames, Frozen] = Field(default_factory=none)
    """Where records come from, by a name of your choice."""
    streams: Annotated[Mapping[str, Stream], StreamNames, Frozen] = Field(default_factory=none)
    """The kinds of record, by the name of the table they land in."""
    lake: Lake | None = None
    """Flat files of what was fetched."""
    load: Load = Field(default_factory=Load.model_construct)
    """How much is held in memory and in one transaction."""
    transform: Annotated[Transform | None, BeforeValidator(_transform)] = Field(
        default_factory=Transform.model_construct
    )
    """How dbt is run; `false` when the project has no dbt models."""
    up: Up = Field(default_factory=Up.model_construct)
    """Where `penstock up` answers."""
    schedule: Annotated[Schedule | None, BeforeValidator(schedule_of)] = None
    """When `penstock up` loads the streams that have no `schedule` of their own."""
    notify: Annotated[Notify, BeforeValidator(notify_of)] = Field(default_factory=Notify.model_construct)
    """Who is told when something fails, and when it is well again; a list of channels."""
    privacy: Privacy = Field(default_factory=Privacy.model_construct)
    """The keys of pseudonyms."""
    metabase: Metabase = Field(default_factory=Metabase.model_construct)
    """What `penstock metabase sync` provisions."""
    logging: Logging = Field(default_factory=Logging.model_construct)
    """What is logged, and how."""
    lineage: Lineage | None = None
    """Where OpenLineage events go. Without it, where OpenLineage's own variables say, such as `OPENLINEAGE_URL`;
    without those, nowhere."""
