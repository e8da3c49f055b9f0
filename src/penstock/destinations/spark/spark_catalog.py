"""The catalog and the store of Iceberg tables, as Spark is told of them.

A project names properties in PyIceberg's words. Iceberg for Java has the same names for most, and they are handed on as
they are; the others are here. https://iceberg.apache.org/docs/latest/spark-configuration/ and
https://py.iceberg.apache.org/configuration/ list both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from penstock.destinations.kinds import DBT_SECRET
from penstock.destinations.postgres.kind import KIND as POSTGRES
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.project import Spark

_OTHERWISE = {
    "s3.region": "client.region",
    "glue.region": "client.region",
    "client.access-key-id": "s3.access-key-id",
    "client.secret-access-key": "s3.secret-access-key",
    "client.session-token": "s3.session-token",
    "adls.account-name": "adls.auth.shared-key.account.name",
    "adls.account-key": "adls.auth.shared-key.account.key",
}
"""PyIceberg's name → that of Iceberg for Java."""
_FILES = {
    "s3": "org.apache.iceberg.aws.s3.S3FileIO",
    "s3a": "org.apache.iceberg.aws.s3.S3FileIO",
    "gs": "org.apache.iceberg.gcp.gcs.GCSFileIO",
    "abfss": "org.apache.iceberg.azure.adlsv2.ADLSFileIO",
}
"""What reads and writes files, by the scheme of their place. Folders need nothing but Spark's own."""


def catalog_conf(settings: Spark, prefix: str) -> dict[str, str]:
    """What a session is told of the catalog and the store; each name begins with ``prefix``.

    Raises:
        UsageError: Spark cannot reach them.
    """
    properties = {"warehouse": settings.location, **dict(_store(settings))}
    if settings.catalog.in_ledger:
        properties |= _database(settings)
    else:
        properties["type"] = settings.catalog.type
        if settings.catalog.uri is not None:
            properties["uri"] = settings.catalog.uri
    return {f"{prefix}{name}": value for name, value in properties.items()}


def _store(settings: Spark) -> Iterator[tuple[str, str]]:
    """How files are reached, and what else the catalog has to know."""
    scheme, there, _ = settings.location.partition("://")
    if there and scheme in _FILES:
        yield "io-impl", _FILES[scheme]
    given = {n: s.get_secret_value() for n, s in {**settings.store, **settings.catalog.properties}.items()}
    for name, value in given.items():
        yield _OTHERWISE.get(name, name), value
    if "s3.endpoint" in given and "s3.path-style-access" not in given:
        # PyIceberg asks a server of one's own for its buckets by path, unless it is told otherwise
        virtual = given.get("s3.force-virtual-addressing", "false").lower() == "true"
        yield "s3.path-style-access", str(not virtual).lower()


def _database(settings: Spark) -> Mapping[str, str]:
    """The ledger's database as JDBC reaches it."""
    output, secrets = POSTGRES.dbt_output(settings.ledger_settings, 1)
    host, port = output["host"], output["port"]
    if host.startswith("/"):
        raise UsageError(
            "Spark reaches PostgreSQL by TCP alone, not by a Unix socket",
            where=settings.ledger_settings.address,
            fix="host: localhost",
        )
    parameters = urlencode({"currentSchema": "penstock", "sslmode": output["sslmode"]})
    properties = {
        "type": "jdbc",
        "uri": f"jdbc:postgresql://{host}:{port}/{output['dbname']}?{parameters}",
        "jdbc.user": output["user"],
        "jdbc.schema-version": "V1",
    }
    if password := secrets[DBT_SECRET]:
        properties["jdbc.password"] = password
    return properties
