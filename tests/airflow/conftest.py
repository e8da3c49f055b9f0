"""Fixtures of the tests in a real Airflow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow_home import Airflow, copy_of, migrated

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def empty_airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """The Airflow that ``PENSTOCK_TEST_AIRFLOW`` names, with an empty database to copy."""
    return migrated(os.environ["PENSTOCK_TEST_AIRFLOW"], tmp_path_factory.mktemp("airflow"))


@pytest.fixture
def airflow(empty_airflow: Airflow, tmp_path: Path) -> Iterator[Airflow]:
    """An Airflow of the test's own. What it started is stopped."""
    made = copy_of(empty_airflow, tmp_path / "airflow")
    yield made
    made.stop()


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    """A project with two streams, of which one has an event time, and two layers of models."""
    folder = tmp_path / "trips"
    shutil.copytree(HERE / "project", folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    return folder
