"""The examples as they are, each run and asked on Spark as on DuckDB: ``penstock run --target lake``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from penstock.samples.sample_server import SampleServer
from penstock.testing.spark import spark_jars
from tests.support.example import ROOT
from tests.support.invoked import command
from tests.support.spark_models import QUICK

pytestmark = pytest.mark.timeout(1500)

EXAMPLES = {"user_events": "local", "random_users": "local", "car_subscriptions": "warehouse"}
"""Example → the destination that is a DuckDB."""


@pytest.fixture(scope="module")
def apis() -> Iterator[dict[str, str]]:
    """The APIs that examples ask, by the variables that say where they are."""
    with SampleServer.of("cars", records=300, days=40) as cars, SampleServer.of("users", records=2_000) as users:
        yield {"CARS_API": cars.url, "RANDOM_USERS_URL": users.url}


@pytest.fixture
def project(
    request: pytest.FixtureRequest,
    apis: dict[str, str],
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An example in a folder of its own. All that is told it are addresses, and files in place of packages."""
    folder: Path = tmp_path / request.param
    residue = shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs", "lake", "iceberg")
    shutil.copytree(ROOT / "examples" / request.param, folder, ignore=residue)
    books = urlsplit(postgres_url)
    settings = {
        **apis,
        "PGHOST": str(books.hostname),
        "PGPORT": str(books.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "not-a-secret",
        "LAKE_LEDGER": books.path.lstrip("/"),
        "PENSTOCK__DESTINATIONS__LAKE__SPARK__PACKAGES": "[]",
        "PENSTOCK__DESTINATIONS__LAKE__SPARK__JARS": json.dumps(spark_jars()),
        "PENSTOCK__DESTINATIONS__LAKE__SPARK__CONF": json.dumps(QUICK),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return folder


def penstock(folder: Path, *words: str) -> Any:
    """What a command printed as JSON."""
    done = command(folder, *words, "--json")
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


@pytest.mark.parametrize(("project", "duckdb"), EXAMPLES.items(), indirect=["project"], ids=EXAMPLES)
def test_an_example_runs(project: Path, duckdb: str) -> None:
    """Its records land, its models are built and tested, and its questions have the answers that they have in DuckDB,
    where the same folder goes on afterwards; again is nothing."""
    answers = {}
    for target in ("lake", duckdb):
        penstock(project, "run", "--target", target)
        again = penstock(project, "run", "--target", target)
        assert [load["landed"] for load in again["loads"] if load["landed"]] == []
        answers[target] = penstock(project, "ask", "--all", "--target", target)
        page = project / f"{target}.html"
        assert command(project, "report", "--target", target, "--output", str(page)).code == 0
        assert page.stat().st_size > 0
    assert answers["lake"] == answers[duckdb]
    assert [answer["name"] for answer in answers["lake"] if answer["problem"] or not answer["rows"]] == []
