"""Each example is shown in Metabase by its command line: all its questions answer; again, nothing is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from penstock.samples.sample_server import SampleServer
from tests.support import commands
from tests.support.metabase_server import EMAIL, PASSWORD, MetabaseServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DISPLAYS = {"user_events": "area", "random_users": "map", "car_subscriptions": "line"}
"""A way to be shown that one of the example's questions has."""


@pytest.fixture
def apis() -> Iterator[dict[str, str]]:
    """The APIs that two of the examples load from, small."""
    with SampleServer.of("users", records=100) as users, SampleServer.of("cars", records=600, days=60) as cars:
        yield {"RANDOM_USERS_URL": users.url, "CARS_API": cars.url}


@pytest.mark.parametrize(
    "name", ["random_users", *(pytest.param(n, marks=pytest.mark.slow) for n in DISPLAYS if n != "random_users")]
)
def test_an_example(name: str, tmp_path: Path, postgres_url: str, apis: dict[str, str]) -> None:
    """From an empty PostgreSQL and a new Metabase to a dashboard with the answer to every question."""
    folder = tmp_path / name
    residue = shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs", "lake")
    shutil.copytree(EXAMPLES / name, folder, ignore=residue)
    address = urlsplit(postgres_url)
    cars = name == "car_subscriptions"
    environ = {
        **os.environ,
        **apis,
        "PGHOST": str(address.hostname),
        "PGPORT": str(address.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "not-a-secret",
        "PGDATABASE": address.path.lstrip("/"),
        "PENSTOCK_PII_KEY_V1": "only the tests' own key",
        "METABASE_ADMIN_EMAIL": EMAIL,
        "METABASE_ADMIN_PASSWORD": PASSWORD,
        **({"PENSTOCK_ENV": "production"} if cars else {}),
    }
    target = () if cars else ("--target", "production")

    def penstock(*arguments: str) -> Any:
        done = commands.penstock(folder, *arguments, *target, "--json", environ=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not-a-secret" not in done.stdout + done.stderr
        return json.loads(done.stdout)

    penstock("run")
    questions = sorted(p.name for p in (folder / "questions").glob("*.sql"))
    with MetabaseServer(settled=False) as metabase:
        environ["METABASE_URL"] = metabase.url
        first = penstock("metabase", "sync")
        assert first["problems"] == []
        assert len(metabase.cards) == len(questions)
        for card in metabase.cards.values():
            columns, rows = metabase.run(card)
            assert rows, card["name"]
            settings = card["visualization_settings"]
            named = [*settings.get("graph.dimensions", ()), *settings.get("graph.metrics", ())]
            named += [v for k, v in settings.items() if k.rpartition(".")[2] in ("dimension", "metric", "field")]
            named = [n for part in named for n in ([part] if isinstance(part, str) else part)]
            assert set(named) <= set(columns), card["name"]
            assert card["display"] == "table" or named, card["name"]
        assert DISPLAYS[name] in {c["display"] for c in metabase.cards.values()}
        [dashboard] = metabase.dashboards.values()
        assert {d["card_id"] for d in dashboard["dashcards"]} == metabase.cards.keys()
        assert {t["schema"] for t in metabase.tables.values()}.isdisjoint({"raw", "penstock"})
        assert any(t["description"] for t in metabase.tables.values())
        personal = [
            f["name"] for t in metabase.tables.values() for f in t["fields"] if f["visibility_type"] != "normal"
        ]
        assert ("email" in personal) is (name != "user_events")
        before = len(metabase.api.asked)
        again = penstock("metabase", "sync")
        assert metabase.writes(before) == []
        assert {c["what"] for c in again["changes"]} == {"unchanged"}
        assert metabase.wrong == []
