"""The models of ``penstock.yml``. Their field descriptions are the configuration reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

Mode = Literal["evolve", "rescue", "reject", "freeze"]

_TYPE_ALIASES = {
    "string": "text",
    "str": "text",
    "varchar": "text",
    "integer": "bigint",
    "int": "bigint",
    "int64": "bigint",
    "float": "double",
    "float64": "double",
    "double precision": "double",
    "numeric": "decimal(38,9)",
    "decimal": "decimal(38,9)",
    "bool": "boolean",
    "datetime": "timestamp",
    "timestamp with time zone": "timestamptz",
    "jsonb": "json",
}
COLUMN_TYPES = ("text", "bigint", "double", "decimal(p,s)", "boolean", "date", "timestamp", "timestamptz", "uuid", "json")
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_NAME = r"^[a-z][a-z0-9_]{0,47}$"


def column_type(text: str) -> str:
    """The one spelling of a column type.

    Raises:
        ValueError: no such type.
    """
    lowered = text.strip().lower()
    lowered = _TYPE_ALIASES.get(lowered, lowered)
    if lowered in COLUMN_TYPES and "(" not in lowered:
        return lowered
    match = _DECIMAL.fullmatch(lowered)
    if match:
        precision, scale = int(match[1]), int(match[2] or 0)
        if 1 <= precision <= 38 and scale <= precision:
            return f"decimal({precision},{scale})"
        raise ValueError("decimal takes at most 38 digits, and a scale no greater")
    raise ValueError(f"no column type {text!r}; expected one of {', '.join(COLUMN_TYPES)}")


def size_bytes(value: Any) -> Any:
    """``16MB``, ``16 MiB`` or a number to bytes, in powers of 1,024."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"no size: {value!r}; expected a number of bytes, or one with KB, MB or GB")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


ColumnType = Annotated[str, AfterValidator(column_type)]
Size = Annotated[int, BeforeValidator(size_bytes), Field(gt=0)]
Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


class DuckDBDestination(_Model):
    """A DuckDB file: nothing to install or start."""

    type: Literal["duckdb"]
    path: Path = Field(description="The database file, relative to the project folder; made when missing.")
    threads: int | None = Field(None, gt=0, description="Threads DuckDB may use; all cores when left out.")
    memory_limit: str | None = Field(
        None, pattern=r"^\d+(\.\d+)?\s*[kKmMgGtT]i?[bB]$", description="Memory DuckDB may use, as `2GB`."
    )
    lock_timeout_seconds: float = Field(
        10.0, ge=0, description="How long to wait for another process that holds the file."
    )


class PostgresDestination(_Model):
    """A PostgreSQL database, version 13 or later."""

    type: Literal["postgres"]
    url: SecretStr | None = Field(
        None, description="`postgresql://user:password@host:port/database`, instead of the fields below."
    )
    host: str = Field("localhost", description="Server name, address or socket folder.")
    port: int = Field(5432, gt=0, lt=65536, description="Port.")
    user: str | None = Field(None, description="User; the operating system's when left out.")
    password: SecretStr | None = Field(None, description="Password; take it from the environment: `${PGPASSWORD}`.")
    database: str | None = Field(None, description="Database.")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="How to use TLS, as libpq says."
    )

    @model_validator(mode="after")
    def _complete(self) -> PostgresDestination:
        if self.url is None and not self.database:
            raise ValueError("needs `url`, or `database` with host, user and password")
        if self.url is not None:
            if {"host", "port", "user", "password", "database"} & self.model_fields_set:
                raise ValueError("give either `url` or host, port, user, password and database, not both")
            if urlsplit(self.url.get_secret_value()).scheme not in ("postgresql", "postgres"):
                raise ValueError("`url` has to start with postgresql://")
        return self

    def parts(self) -> dict[str, Any]:
        """host, port, user, password, database and sslmode, from the URL or the fields. Holds the secret."""
        if self.url is None:
            password = self.password.get_secret_value() if self.password else None
            return {
                "host": self.host,
                "port": self.port,
                "user": self.user,
                "password": password,
                "database": self.database,
                "sslmode": self.sslmode,
            }
        url = urlsplit(self.url.get_secret_value())
        query = dict(pair.partition("=")[::2] for pair in url.query.split("&") if pair)
        return {
            "host": unquote(url.hostname or query.get("host", "localhost")),
            "port": url.port or int(query.get("port", 5432)),
            "user": unquote(url.username) if url.username else None,
            "password": unquote(url.password) if url.password else None,
            "database": unquote(url.path.lstrip("/")) or None,
            "sslmode": query.get("sslmode", self.sslmode),
        }

    def conninfo(self) -> str:
        """libpq's connection URL. Holds the secret."""
        p = self.parts()
        user = quote(p["user"], safe="") if p["user"] else ""
        secret = ":" + quote(p["password"], safe="") if p["password"] else ""
        login = f"{user}{secret}@" if user else ""
        host = p["host"]
        if host.startswith("/"):
            return (
                f"postgresql://{login}/{quote(p['database'] or '', safe='')}"
                f"?host={quote(host, safe='')}&port={p['port']}&sslmode={p['sslmode']}"
            )
        host = f"[{host}]" if ":" in host else host
        return f"postgresql://{login}{host}:{p['port']}/{quote(p['database'] or '', safe='')}?sslmode={p['sslmode']}"

    def shown(self) -> str:
        """Where it is, without the secret."""
        p = self.parts()
        return f"postgresql://{p['user'] or ''}@{p['host']}:{p['port']}/{p['database']}"


Destination = Annotated[DuckDBDestination | PostgresDestination, Field(discriminator="type")]


class CsvOptions(_Model):
    """How CSV files are written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="Between fields; a tab for `.tsv` files.")
    quote: str = Field('"', min_length=1, max_length=1, description="Around fields; doubled inside of them.")
    header: bool = Field(True, description="Whether the first row names the columns; else `column_1`, `column_2`, …")
    null_values: tuple[str, ...] = Field(("",), description="Unquoted texts that mean null.")


class FilesSource(_Model):
    """Files, by globs."""

    type: Literal["files"]
    path: Names = Field(
        description="A glob or several, relative to the project folder; `**` goes into folders, a folder means all in it."
    )
    format: Literal["auto", "json", "ndjson", "csv", "parquet"] = Field(
        "auto", description="`auto` goes by the name, then by the first bytes."
    )
    compression: Literal["auto", "none", "gzip", "zstd"] = Field("auto", description="`auto` goes by the name.")
    csv: CsvOptions = Field(default_factory=lambda: CsvOptions(), description="For CSV files.")


Source = FilesSource


class Identity(_Model):
    """What makes two records the same."""

    kind: Literal["content", "fields"] = "content"
    fields: tuple[str, ...] = ()


class Contract(_Model):
    """What happens to records outside of the columns known."""

    columns: Mode = Field(
        "evolve",
        description="For a field without a column: `evolve` adds one, `rescue` keeps the value in `_pen_rescued`,"
        " `reject` sends the record to quarantine, `freeze` stops the load.",
    )
    types: Mode = Field(
        "rescue",
        description="For a value that its column cannot hold: `evolve` adds a column for that type, the others as above.",
    )


def _identity(value: Any) -> Any:
    if value == "content":
        return {"kind": "content"}
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        return {"kind": "fields", "fields": value}
    if isinstance(value, dict | Identity):
        return value
    raise ValueError("expected `content` or a list of fields")


def _contract(value: Any) -> Any:
    return {"columns": value, "types": value} if isinstance(value, str) else value


class Stream(_Model):
    """One kind of record; lands in `raw.<name>`."""

    from_: Names = Field(alias="from", description="The source, or several, that feed the stream.")
    event_time: str | None = Field(
        None, description="The field that says when a record happened; `--date`, `--from` and `--to` go by it."
    )
    identity: Annotated[Identity, BeforeValidator(_identity)] = Field(
        default_factory=lambda: Identity(),
        description="`content` (a hash of the whole record), or a list of key fields.",
    )
    disposition: Literal["append", "merge", "replace"] = Field(
        "append",
        description="`append`: the first of an identity stays. `merge`: the one of the greatest `version` stays."
        " `replace`: the rows are what the source holds now.",
    )
    version: str | None = Field(None, description="The field whose greatest value wins; needed by `merge`.")
    contract: Annotated[Contract, BeforeValidator(_contract)] = Field(
        default_factory=lambda: Contract(),
        description="`columns` and `types`, each `evolve`, `rescue`, `reject` or `freeze`; one word for both.",
    )
    columns: dict[str, ColumnType] = Field(
        default_factory=dict,
        description="Field → type, where it should not be inferred: " + ", ".join(COLUMN_TYPES) + ".",
    )
    max_record_bytes: Size = Field(16 * 2**20, description="Longer records go to quarantine, as `16MB`.")

    @model_validator(mode="after")
    def _consistent(self) -> Stream:
        if self.disposition == "merge":
            if self.version is None:
                raise ValueError("disposition merge needs `version`: the field whose greatest value wins")
            if self.identity.kind == "content":
                raise ValueError("disposition merge needs `identity`: a list of key fields")
        elif self.version is not None:
            raise ValueError("`version` is for disposition merge")
        return self


class LoadOptions(_Model):
    """How much travels and commits together."""

    batch_bytes: Size = Field(16 * 2**20, description="About what is read and shaped at once, as `16MB`.")
    commit_bytes: Size = Field(256 * 2**20, description="About what one transaction lands, as `256MB`.")


class TransformOptions(_Model):
    """How dbt runs."""

    threads: int = Field(4, gt=0, description="Models dbt builds at once on PostgreSQL; DuckDB takes one.")


class Project(_Model):
    """A folder with `penstock.yml` and, beside it, a dbt project."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and underscores.")
    target: str | None = Field(None, description="The destination used; the first when left out. `--target` overrides.")
    destinations: dict[str, Destination] = Field(min_length=1, description="Warehouses, by name.")
    sources: dict[str, Source] = Field(default_factory=dict, description="Where records come from, by name.")
    streams: dict[str, Stream] = Field(default_factory=dict, description="Kinds of records, by name.")
    load: LoadOptions = Field(default_factory=lambda: LoadOptions(), description="Sizes of batches and commits.")
    transform: TransformOptions | Literal[False] = Field(
        default_factory=lambda: TransformOptions(),
        description="How dbt runs; `false` when there is no dbt project.",
    )

    _directory: Path = PrivateAttr(default=Path())

    @property
    def directory(self) -> Path:
        """The project folder, absolute."""
        return self._directory

    @property
    def target_name(self) -> str:
        """The name of the destination used."""
        return self.target or next(iter(self.destinations))

    @property
    def destination(self) -> DuckDBDestination | PostgresDestination:
        """The destination used."""
        return self.destinations[self.target_name]

    @property
    def has_dbt(self) -> bool:
        """Whether there are models to build."""
        return self.transform is not False and (self._directory / "dbt_project.yml").is_file()

    def masked(self) -> Mapping[str, Any]:
        """The settings as they are in force, secrets as ``**********``."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
