"""What ``penstock superset export`` writes, in the Superset that ``PENSTOCK_TEST_SUPERSET`` names: imported, asked, and
imported again after a question changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.metabase_shop import QUESTIONS, Shop

ADMIN = {"username": "admin", "password": "only-for-tests"}
CONFIG = """
SECRET_KEY = "only for tests, and no secret of anybody's"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
RATELIMIT_ENABLED = False
"""


class Superset:
    """A Superset with an administrator, who is logged in."""

    def __init__(self, home: Path) -> None:
        self._bin = Path(os.environ["PENSTOCK_TEST_SUPERSET"])
        home.mkdir()
        (home / "superset_config.py").write_text(CONFIG.format(home=home))
        self._environ = {
            **os.environ,
            "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"),
            "SUPERSET_HOME": str(home),
            "FLASK_APP": "superset.app:create_app()",
        }
        who = ("--username", ADMIN["username"], "--password", ADMIN["password"])
        name = ("--firstname", "A", "--lastname", "B", "--email", "a@example.com")
        for arguments in (("db", "upgrade"), ("fab", "create-admin", *who, *name), ("init",)):
            self._run("superset", *arguments)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        workers = ("-w", "1", "--threads", "2", "--timeout", "300", "-b", f"127.0.0.1:{port}")
        with (home / "log").open("w") as log:
            self._process = subprocess.Popen(
                [self._bin / "gunicorn", *workers, "superset.app:create_app()"], env=self._environ, stderr=log
            )
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300)
        self._await()
        token = self.post("security/login", json={**ADMIN, "provider": "db"})["access_token"]
        self._http.headers["authorization"] = f"Bearer {token}"

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self._process.terminate()
        self._process.wait(60)

    def post(self, path: str, **parts: Any) -> Any:
        """What it answers, which is no error."""
        answer = self._http.post(f"/api/v1/{path}", **parts)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """What there is."""
        answer = self._http.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def send(self, zipped: Path, way: str) -> None:
        """Import a ZIP: as a dashboard, or as assets, which changes what is there."""
        passwords = json.dumps({"databases/shop.yaml": "no-secret"})
        name = "formData" if way == "dashboard" else "bundle"
        data = {"passwords": passwords, **({"overwrite": "true"} if way == "dashboard" else {})}
        self.post(f"{way}/import/", files={name: ("s.zip", zipped.read_bytes(), "application/zip")}, data=data)

    def charts(self) -> dict[str, tuple[str, list[dict[str, Any]]]]:
        """Question → kind of chart, and the rows that it gets."""
        found = {}
        for listed in self.get("chart/"):
            chart = self.get(f"chart/{listed['id']}")
            said = json.loads(chart["params"])
            metrics = said.get("metrics") or ([said["metric"]] if "metric" in said else [])
            named = [said.get("x_axis"), said.get("entity"), *said.get("groupby", [])]
            columns = [n for n in named if n] if metrics else said["all_columns"]
            body = {
                "datasource": {"id": int(said["datasource"].split("__")[0]), "type": "table"},
                "queries": [{"columns": columns, "metrics": metrics}],
                "result_type": "full",
            }
            [result] = self.post("chart/data", json=body)["result"]
            found[chart["slice_name"]] = (chart["viz_type"], result["data"])
        return found

    def _await(self) -> None:
        until = time.monotonic() + 300
        while True:
            try:
                if self._http.get("/health").status_code == 200:
                    return
            except httpx2.ConnectError:
                pass
            assert time.monotonic() < until, "Superset did not start"
            time.sleep(0.5)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [str(self._bin / command[0]), *command[1:]],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture
def superset(tmp_path: Path) -> Iterator[Superset]:
    """A new Superset."""
    started = Superset(tmp_path / "superset")
    yield started
    started.stop()


@pytest.mark.timeout(1800)
def test_import(superset: Superset, postgres_url: str, tmp_path: Path) -> None:
    """A dashboard with a chart a question, each of which gets its rows; imported again, nothing is there twice and a
    changed question is another chart."""
    shop = Shop(tmp_path / "shop", postgres_url)
    shop.penstock("run")
    zipped = tmp_path / "superset.zip"
    shop.penstock("superset", "export", "--output", str(zipped))
    superset.send(zipped, "dashboard")
    charts = superset.charts()
    assert {name: kind for name, (kind, _) in charts.items()} == {
        "How many orders are there?": "big_number_total",
        "Which cities order most?": "echarts_timeseries_bar",
        "Which orders are there?": "table",
    }
    assert charts["How many orders are there?"][1] == [{"orders": 3}]
    rows = charts["Which cities order most?"][1]
    assert sorted((r["city"], r["amount"]) for r in rows) == [("Oslo", 3), ("Rome", 9)]
    assert len(charts["Which orders are there?"][1]) == 3
    [dashboard] = superset.get("dashboard/")
    assert dashboard["dashboard_title"] == "Shop"
    on_it = superset.get(f"dashboard/{dashboard['id']}/charts")
    assert {c["slice_name"] for c in on_it} == charts.keys()

    shop.ask({**QUESTIONS, "2_by_city.sql": QUESTIONS["2_by_city.sql"].replace("show: bar", "show: pie")})
    shop.penstock("superset", "export", "--output", str(zipped))
    superset.send(zipped, "assets")
    again = superset.charts()
    assert again.keys() == charts.keys()
    assert again["Which cities order most?"][0] == "pie"
    assert len(superset.get("dashboard/")) == len(superset.get("database/")) == 1
