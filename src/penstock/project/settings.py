"""The settings of ``penstock.yml``, as types. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from penstock.errors import MASK
from penstock.layout import Layout, flat_name
from penstock.project.expect import Expectations
from penstock.project.fields import FIELD, NamesFields
from penstock.project.formats import Csv
from penstock.project.group import Settings, from_url, none
from penstock.project.http import Http
from penstock.project.lake import Lake
from penstock.project.metabase import Metabase
from penstock.project.notify import Notify, notify_of
from penstock.project.observing import Lineage, Logging
from penstock.project.privacy import Privacy, SubjectFields
from penstock.project.rabbitmq import RabbitMQ
from penstock.project.schedule import Schedule, own_schedule, schedule_of
from penstock.project.values import (
    CONTENT,
    ByteSize,
    ColumnType,
    DropPaths,
    Frozen,
    IdentityValue,
    OneOrMany,
    PartNames,
    ProjectPath,
    StreamNames,
)
from penstock.spec import Disposition, Mode

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_SECRET_PARAMETERS = ("password", "sslpassword", "passfile")


class DuckDB(Settings):
    """A DuckDB file: the default; nothing to install or start."""

    type: Literal["duckdb"]
    """Which kind of destination this is."""
    path: ProjectPath
    """The file, relative to the project's folder. Made when it is missing."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """How many threads DuckDB may use. All by default."""
    memory_limit: str | None = Field(default=None, pattern=r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?[bB]|%)\s*$")
    """How much memory DuckDB may use, such as `2GB`. DuckDB's own default is 80 % of the machine's."""
    lock_timeout_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long to wait for another process to let go of the file."""

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        return str(self.path.absolute())

    @property
    def may_exist(self) -> bool:
        """False when nothing can have landed: there is no such file."""
        return self.path.exists()


class Postgres(Settings):
    """A PostgreSQL database, version 13 or later."""

    type: Literal["postgres"]
    """Which kind of destination this is."""
    url: SecretStr | None = Field(default=None, exclude=True)
    """All of the connection in one, `postgresql://user:password@host:port/database`, instead of the settings below."""
    host: str = "localhost"
    """Host name, address, or the folder of a Unix socket."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    """Port."""
    user: str | None = None
    """User. libpq's default (`PGUSER`, or the name of the account) when left out."""
    password: SecretStr | None = None
    """Password; never shown. libpq's default (`PGPASSWORD`, `~/.pgpass`) when left out."""
    database: str | None = None
    """Database. libpq's default (`PGDATABASE`, or the user's name) when left out."""
    sslmode: SslMode = "prefer"
    """How the connection is secured, in libpq's words."""
    parameters: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """More libpq connection parameters, such as `connect_timeout` (10 by default). A server that is gone without a word
    is noticed after one to two minutes (`keepalives_idle`, `tcp_user_timeout`)."""

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, data: Any) -> Any:
        return from_url(data, {"host", "port", "user", "password", "database"}, _connection_of)

    @property
    def address(self) -> str:
        """Tells this warehouse from others."""
        return f"{self.host}:{self.port}/{self.database or ''}"

    @property
    def may_exist(self) -> bool:
        """Always: only the server knows."""
        return True

    def conninfo(self, *, masked: bool = False) -> str:
        """The connection as a libpq connection string; with ``masked``, the password as ``*****``."""
        secret = None if self.password is None else MASK if masked else self.password.get_secret_value()
        values = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": secret,
            "dbname": self.database,
            "sslmode": self.sslmode,
            **self.parameters,
        }
        if masked:
            values = {k: MASK if k in _SECRET_PARAMETERS and v else v for k, v in values.items()}
        return " ".join(f"{k}={_quoted(v)}" for k, v in values.items() if v is not None)


class Files(Settings):
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
    csv: Csv = Field(default_factory=Csv)
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
    contract: Annotated[Contract, BeforeValidator(_contract)] = Field(default_factory=Contract)
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
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The port to listen on; 0 takes a free one, which `penstock up` prints."""


def _transform(value: Any) -> Any:
    if value is False or (isinstance(value, str) and value.lower() in ("false", "no", "off")):
        return None
    if value is True or value is None or (isinstance(value, str) and value.lower() in ("true", "yes", "on")):
        return {}
    return value


Destination = Annotated[DuckDB | Postgres, Field(discriminator="type")]
Source = Annotated[Files | RabbitMQ | Http, Field(discriminator="type")]


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
    load: Load = Field(default_factory=Load)
    """How much is held in memory and in one transaction."""
    transform: Annotated[Transform | None, BeforeValidator(_transform)] = Field(default_factory=Transform)
    """How dbt is run; `false` when the project has no dbt models."""
    up: Up = Field(default_factory=Up)
    """Where `penstock up` answers."""
    schedule: Annotated[Schedule | None, BeforeValidator(schedule_of)] = None
    """When `penstock up` loads the streams that have no `schedule` of their own."""
    notify: Annotated[Notify, BeforeValidator(notify_of)] = Field(default_factory=Notify)
    """Who is told when something fails, and when it is well again; a list of channels."""
    privacy: Privacy = Field(default_factory=Privacy)
    """The keys of pseudonyms."""
    metabase: Metabase = Field(default_factory=Metabase)
    """What `penstock metabase sync` provisions."""
    logging: Logging = Field(default_factory=Logging)
    """What is logged, and how."""
    lineage: Lineage | None = None
    """Where OpenLineage events go. Without it, where OpenLineage's own variables say, such as `OPENLINEAGE_URL`;
    without those, nowhere."""


def _connection_of(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("expected postgresql://user@host:port/database") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("expected postgresql://user@host:port/database")
    query: dict[str, str | None] = dict(parse_qsl(parts.query, keep_blank_values=True))
    found: dict[str, Any] = {
        "host": unquote(_host(parts.netloc)) or query.pop("host", None),
        "port": port or query.pop("port", None),
        "user": unquote(parts.username) if parts.username else query.pop("user", None),
        "password": unquote(parts.password) if parts.password else query.pop("password", None),
        "database": unquote(parts.path.lstrip("/")) or query.pop("dbname", None),
        "sslmode": query.pop("sslmode", None),
    }
    found = {k: v for k, v in found.items() if v is not None}
    return {**found, "parameters": query} if query else found


def _host(netloc: str) -> str:
    """The host as written: ``urlsplit`` would lower a socket folder's letters."""
    address = netloc.rpartition("@")[2]
    return address[1 : address.index("]")] if address.startswith("[") else address.partition(":")[0]


def _quoted(value: str) -> str:
    """A value of a libpq connection string (libpq, 34.1.1.1: quotes and backslashes are escaped)."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if not value or any(c in " '\\" for c in value) else escaped
