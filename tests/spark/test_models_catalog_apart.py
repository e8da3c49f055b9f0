"""Models over a REST catalog and an object store, whose commits are not the ledger's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from penstock.destinations.spark import compacting
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.tidying import Tidying
from penstock.project.lakehouse import SparkTidy
from penstock.runs.plan import plan_loads
from tests.support import commands
from tests.support.change_sets import Load, Record, Story
from tests.support.cut_off import cut_off
from tests.support.relocated import relocated
from tests.support.seaweed import PrivateSeaweed
from tests.support.servers import a_database
from tests.support.spark_models import QUICK, Both, every_mode

pytestmark = pytest.mark.timeout(900)
MODELS = ("event_log", "organization", "named", "by_organization", "plan_history")
"""No view is among them, since SeaweedFS's catalog has none."""


def spark_with_s3(folder: Path) -> dict[str, Any]:
    """A session that reaches S3. What Iceberg asks S3 with is in no package but one, with an Iceberg beside it whose
    names all begin otherwise, as do those of a library that it leaves out, which is made here."""
    jar = next(Path(str(files("feature_store_pyspark"))).glob("jars/*-3.5.jar"))
    lang = next(Path(str(files("pyspark"))).glob("jars/commons-lang3-*.jar"))
    left_out = relocated(lang, "org/apache/commons/lang3", "smfs/shaded/", folder / "lang3.jar")
    iceberg, catalog = "smfs.shaded.org.apache.iceberg", "spark.sql.catalog.penstock"
    conf = {
        **QUICK,
        "spark.sql.extensions": f"{iceberg}.spark.extensions.IcebergSparkSessionExtensions",
        catalog: f"{iceberg}.spark.SparkCatalog",
        f"{catalog}.io-impl": f"{iceberg}.aws.s3.S3FileIO",
    }
    return {"master": "local[2]", "jars": [str(jar), str(left_out)], "conf": conf}


@pytest.fixture(scope="module")
def both(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A few models; the tests of this module go on where the one before ended."""
    with (
        PrivateSeaweed(tmp_path_factory.mktemp("seaweed")) as store,
        a_database(postgres_server, ledger_template) as url,
    ):
        project = every_mode(tmp_path_factory.mktemp("apart"))
        for model in (project / "models" / "modes").glob("*.sql"):
            if model.stem not in MODELS:
                model.unlink()
        opened = Both(project, url, {**store.settings, "spark": spark_with_s3(project.parent)})
        yield opened
        opened.close()


def land(both: Both, loads: list[Load]) -> None:
    """Have the records of loads land."""
    for load in loads:
        both.land({"user_events": load.events, "organizations": load.organizations})


def transform(both: Both) -> None:
    """Build models, in a process whose Java has these jars."""
    done = commands.penstock(both.folder, "transform", "--target", "lake", "--quiet", timeout=400)
    assert done.returncode == 0, done.stderr


def test_models_in_an_object_store(both: Both) -> None:
    """A first build and steps give the rows that DuckDB has. What a load left that ended between its commits is in no
    model, and what it replaced is missing from none."""
    story = Story(11, incidents=())
    land(both, [*story.begin().loads, *story.next().loads])
    transform(both)
    both.expect_same()
    pending: dict[str, list[Record]] = {"organizations": [], "user_events": []}
    landed = False
    while not landed or not all(pending.values()):
        for load in story.next().loads:
            if not landed:
                land(both, [load])
                landed = bool(load.events)
            else:
                pending["organizations"] += load.organizations
                pending["user_events"] += load.events
    for stream, records in pending.items():
        both.receive(stream, records)
        with cut_off("rows_committed"):
            for one in plan_loads(both.lake.project, [stream]):
                both.lake.load(one)
    transform(both)
    both.expect_same(raw=False)
    both.load(*pending)
    transform(both)
    both.expect_same()


def test_a_rewriting_that_ends_between_the_commits(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there of small files that were written together, and the ledger does not know yet, the next step takes
    up: it does not take it for rows that somebody else wrote."""
    monkeypatch.setattr(compacting, "FEWEST", 2)
    story = Story(12, incidents=())
    land(both, [*story.begin().loads, *story.next().loads])
    transform(both)
    for stream in ("user_events", "organizations"):
        tidied(both, [stream])
    versions = both.ledger("select model, version from penstock_lake.models order by 1")
    with cut_off("compaction_committed"):
        tidied(both)
    assert unknown(both) != set()
    land(both, [*story.next().loads])
    transform(both)
    assert unknown(both) == set()
    assert both.ledger("select model, version from penstock_lake.models order by 1") == versions
    both.expect_same()


def tidied(both: Both, streams: Sequence[str] = ()) -> None:
    """Have tables looked after."""
    destination = both.lake.destination
    assert isinstance(destination, SparkDestination)
    done = list(Tidying(destination, SparkTidy(max_snapshot_age=timedelta()), dry_run=False).run(streams))
    assert [table for table in done if table.error or table.left] == []


def unknown(both: Both) -> set[str]:
    """The models whose snapshot the ledger does not know."""
    known = dict(both.ledger("select model, step::json ->> 'snapshot' from penstock_lake.models"))
    now = both.snapshots()
    return {model for model, snapshot in known.items() if snapshot != str(now[model])}
