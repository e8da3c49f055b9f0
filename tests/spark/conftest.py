"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.destinations.spark.destination import SparkDestination
from penstock.project import Spark
from tests.support.fixtures import local, spark_settings

__all__ = ["local"]


@pytest.fixture
def settings(prepared_postgres_url: str, tmp_path: Path) -> Spark:
    """A folder of Iceberg tables, and an empty database for the ledger."""
    return spark_settings(prepared_postgres_url, tmp_path / "lake")


@pytest.fixture
def lake(settings: Spark) -> Iterator[SparkDestination]:
    """An empty warehouse of Iceberg tables, its ledger in place."""
    opened = SparkDestination(settings)
    opened.prepare()
    yield opened
    opened.close()
