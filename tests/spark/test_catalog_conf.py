"""What Spark is told of catalogs and stores, whose settings are in PyIceberg's words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock.destinations.spark.session import configuration
from tests.support.fixtures import spark_settings

HIDDEN = "of-nobody"
STORES: dict[str, tuple[dict[str, Any], dict[str, str | None]]] = {
    "rest": (
        {
            "warehouse": "s3://lake/tables",
            "store": {
                "s3.endpoint": "http://s",
                "s3.region": "r",
                "s3.access-key-id": "k",
                "s3.secret-access-key": HIDDEN,
            },
            "catalog": {"type": "rest", "uri": "http://c", "properties": {"credential": HIDDEN, "token": HIDDEN}},
        },
        {
            "type": "rest",
            "uri": "http://c",
            "warehouse": "s3://lake/tables",
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "client.region": "r",
            "s3.region": None,
            "s3.endpoint": "http://s",
            "s3.path-style-access": "true",
            "s3.access-key-id": "k",
            "s3.secret-access-key": HIDDEN,
            "credential": HIDDEN,
            "jdbc.user": None,
        },
    ),
    "glue": (
        {
            "warehouse": "s3://lake",
            "store": {"s3.force-virtual-addressing": "true", "s3.endpoint": "http://s"},
            "catalog": {"type": "glue", "properties": {"glue.region": "r", "glue.id": "7"}},
        },
        {"type": "glue", "client.region": "r", "glue.id": "7", "uri": None, "s3.path-style-access": "false"},
    ),
    "hive": (
        {
            "warehouse": "abfss://c@a.dfs.core.windows.net/lake",
            "store": {"adls.account-name": "a", "adls.account-key": HIDDEN},
            "catalog": {"type": "hive", "uri": "thrift://h"},
        },
        {
            "type": "hive",
            "uri": "thrift://h",
            "io-impl": "org.apache.iceberg.azure.adlsv2.ADLSFileIO",
            "adls.auth.shared-key.account.name": "a",
            "adls.auth.shared-key.account.key": HIDDEN,
        },
    ),
    "in the ledger": (
        {"warehouse": "gs://lake", "store": {"gcs.oauth2.token": HIDDEN}},
        {
            "type": "jdbc",
            "io-impl": "org.apache.iceberg.gcp.gcs.GCSFileIO",
            "gcs.oauth2.token": HIDDEN,
            "jdbc.user": "me",
        },
    ),
    "a folder": ({"warehouse": "/lake"}, {"warehouse": "file:///lake", "io-impl": None, "s3.path-style-access": None}),
}
"""Settings, and what a session has of them; None is what it has not."""


@pytest.mark.parametrize("store", STORES)
def test_what_spark_is_told(store: str) -> None:
    """The names of Iceberg for Java; what is secret has one that Spark shows nowhere."""
    settings, wanted = STORES[store]
    conf = configuration(spark_settings(f"postgresql://me:{HIDDEN}@localhost/books", **settings))
    prefix = "spark.sql.catalog.penstock."
    assert {name: conf.get(f"{prefix}{name}") for name in wanted} == wanted
    shown = [name for name in conf if not re.search(conf["spark.redaction.regex"], name)]
    assert [name for name in shown if HIDDEN in conf[name]] == []
