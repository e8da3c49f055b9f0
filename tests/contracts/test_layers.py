"""Models built layer by layer, each by a command of its own: the same tables, and nothing twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.doctor.status import read_status
from penstock.errors import ContractError, UsageError
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.dbt import Dbt, Node
from penstock.transform.perform import Transformer
from penstock.transform.workspace import prepare_workspace
from tests.support.trips import PROJECT


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """The project of two layers on each destination."""
    folder = tmp_path / "trips"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    if request.param == "postgres":
        path = folder / "penstock.yml"
        url = request.getfixturevalue("postgres_url")
        text = path.read_text().replace(
            "{ type: duckdb, path: warehouse.duckdb, threads: 1 }", f'{{ type: postgres, url: "{url}" }}'
        )
        path.write_text(text)
    with Session(load_project(folder, environ={})) as opened:
        yield opened


def load(session: Session) -> None:
    """Land all that is new."""
    for step in plan_loads(session.project):
        session.load(step)


def land(session: Session, id_: int, city: str) -> None:
    """One more trip."""
    path = session.project.directory / "data" / "trips" / f"{id_}.ndjson"
    path.write_text(f'{{"id": {id_}, "city": "{city}", "started_at": "2025-05-05T05:05:05"}}\n')
    load(session)


def by_country(session: Session) -> dict[str, int]:
    """The last layer's table."""
    rows = session.destination.query("select country, trips from marts.trips_by_country").rows
    return {str(country): int(trips) for country, trips in rows}


def test_layer_by_layer(session: Session) -> None:
    """Each layer builds and tests its own, a test in the last layer that it reads; together they are the whole; again
    is nothing; and a layer goes as far as the one before it went, not further."""
    transformer = Transformer(session)
    with pytest.raises(UsageError, match="builds on staging, which was never built"):
        transformer.run(layer="marts")
    with pytest.raises(UsageError, match="there is staging, marts"):
        transformer.run(layer="martz")
    load(session)
    shown: list[Node] = []
    first = transformer.run(layer="staging", ended=lambda built: shown.extend(built.nodes))
    assert names(first.nodes) == {"stg_trips"} and shown == first.nodes
    land(session, 5, "Porto")
    second = transformer.run(layer="marts")
    assert second.upper_seq == first.upper_seq
    relationships = "relationships_trips_by_country_country__country__ref_stg_trips_"
    assert {"trips_by_country", relationships} <= names(second.nodes) and "stg_trips" not in names(second.nodes)
    assert transformer.run(layer="marts").reason

    third = transformer.run(layer="staging")
    assert third.upper_seq > first.upper_seq and names(third.nodes) == {"stg_trips"}
    assert transformer.run(layer="staging").reason
    assert "trips_by_country" in names(transformer.run(layer="marts").nodes)
    assert by_country(session) == {"Norway": 2, "Portugal": 4}

    # the whole knows nothing of layers, and the layers know of the whole
    whole = transformer.run()
    assert names(whole.nodes) >= {"stg_trips", "trips_by_country"}
    assert by_country(session) == {"Norway": 2, "Portugal": 4}
    land(session, 6, "Bergen")
    transformer.run()
    assert by_country(session) == {"Norway": 3, "Portugal": 4}
    assert transformer.run(layer="staging").reason and transformer.run(layer="marts").reason


def test_a_stream_that_lands_between_layers(session: Session) -> None:
    """Models of a stream that landed first after the layer before was built wait with what that layer left out; in the
    next run all are built."""
    trips, cities = plan_loads(session.project)
    session.load(trips)
    transformer = Transformer(session)
    staging = transformer.run(layer="staging")
    assert staging.waiting == ["cities"] and not names(staging.nodes)
    session.load(cities)
    marts = transformer.run(layer="marts")
    assert marts.waiting == ["cities"] and not names(marts.nodes)
    assert names(transformer.run(layer="staging").nodes) == {"stg_trips"}
    assert "trips_by_country" in names(transformer.run(layer="marts").nodes)
    assert by_country(session) == {"Norway": 2, "Portugal": 3}


@pytest.mark.slow
def test_a_failed_test_is_shown_and_stops_the_next(session: Session) -> None:
    """What dbt did is told before the error; the layer is built again, and what follows waits for it."""
    load(session)
    path = session.project.directory / "models" / "marts" / "marts.yml"
    path.write_text(path.read_text().replace("- not_null", "- accepted_values: {arguments: {values: [Norway]}}"))
    transformer = Transformer(session)
    transformer.run(layer="staging")
    shown: list[Node] = []
    with pytest.raises(ContractError, match="accepted_values"):
        transformer.run(layer="marts", ended=lambda built: shown.extend(built.nodes))
    assert {n.name for n in shown if n.kind == "model"} == {"trips_by_country"}
    assert any(n.failed for n in shown)
    with pytest.raises(ContractError):
        transformer.run(layer="marts")


def test_a_layer_that_reads_a_later_one(session: Session) -> None:
    """A model whose text does not say what it reads is an error that says how to write it."""
    load(session)
    folder = session.project.directory / "models"
    (folder / "staging" / "odd.sql").write_text("{% set m = 'trips_by_country' %}select * from {{ ref(m) }}")
    with pytest.raises(UsageError, match="model odd of layer staging reads layer marts") as caught:
        Transformer(session).run(layer="staging")
    assert "depends_on" in caught.value.fix and caught.value.where.endswith("odd.sql")


@pytest.mark.slow
def test_a_model_that_is_gone(session: Session) -> None:
    """Nobody waits for a model that the project has no longer; one that comes back goes on where it was."""
    model = session.project.directory / "models" / "marts" / "cities_seen.sql"
    text = (
        "{{ config(materialized='incremental', incremental_strategy='append', post_hook='{{ penstock.mark() }}') }}\n"
        "{% set window = penstock.window() %}{{ penstock.takes_in(window) }}\n"
        "select id, city from {{ source('raw', 'trips') }} where {{ penstock.landed_in('trips', window) }}\n"
    )

    def behind() -> dict[str, int]:
        session.release()
        return {row["model"]: row["loads_behind"] for row in read_status(session.project)["models"]}

    load(session)
    model.write_text(text)
    transformer = Transformer(session)
    transformer.run()
    assert behind() == {"marts.cities_seen": 0}
    model.unlink()
    land(session, 5, "Porto")
    assert behind() == {"marts.cities_seen": 1}
    transformer.run()
    assert behind() == {}
    model.write_text(text)
    transformer.run()
    assert behind() == {"marts.cities_seen": 0}
    ids = [i for (i,) in session.destination.query("select id from marts.cities_seen order by 1").rows]
    assert len(ids) == len(set(ids)) and 5 in ids


def names(nodes: list[Node]) -> set[str]:
    """What was built or tested."""
    return {n.name for n in nodes if n.kind in ("model", "test")}


def test_dbt_waits_for_a_file_that_another_process_has(tmp_path: Path) -> None:
    """Between a command's look at the ledger and dbt's first statement another process may take the DuckDB file."""
    folder = tmp_path / "trips"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    project = load_project(folder, environ={})
    with Session(project) as session:
        load(session)
    dbt = Dbt(prepare_workspace(project))
    dbt.sources()
    code = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(2)"
    command = [sys.executable, "-c", code, str(folder / "warehouse.duckdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        nodes = dbt.build()
        assert other.wait(30) == 0
    dbt.release()
    assert names(nodes) >= {"stg_trips", "trips_by_country"} and not any(n.failed for n in nodes)
