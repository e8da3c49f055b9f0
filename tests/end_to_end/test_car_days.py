"""The cars of the example, day by day, from an API that shows some of them late: by command and by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.samples.cars import feeds
from penstock.samples.moments import moment_of
from penstock.samples.sample_server import SampleServer
from penstock.samples.texts import page
from tests.support.car_project import STREAMS, CarProject
from tests.support.queues import until
from tests.support.scheduled import kept, scheduled

RECORDS, SPAN, LOOKBACK = 60, 4, 4
"""Records of the sample, the days over which it shows them, and the days that the DAGs look back."""
FIRST = date(2024, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(SPAN)]


class Api:
    """The API as of one day after the other, always at one address."""

    def __init__(self) -> None:
        self._port = 0
        self._server: SampleServer | None = None
        self.show(None)

    def show(self, day: date | None) -> None:
        """Have it as it was at the end of a day; with all there is, when there is none."""
        self.stop()
        as_of = None if day is None else moment_of(str(day), end_of_day=True)
        self._server = SampleServer.of("cars", port=self._port, records=RECORDS, days=SPAN, as_of=as_of)
        self._port = int(self._server.url.rpartition(":")[2])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Let go of the address."""
        if self._server is not None:
            self._server.stop()


@pytest.fixture
def api() -> Iterator[Api]:
    """The API, stopped at the end."""
    found = Api()
    yield found
    found.stop()


def expected() -> dict[str, int]:
    """How many records of each stream the API has in the end, each counted once."""
    found = {}
    for feed in feeds(records=RECORDS, days=SPAN):
        chosen = feed.select(None, None, None)
        found[feed.name] = len(
            set(page(feed.fields, feed.columns(chosen.numbers(0, len(chosen))), "ndjson").splitlines())
        )
    return found


def landed(project: CarProject, *streams: str) -> dict[str, int]:
    """How many records of each stream have landed."""
    return {name: int(project.rows(f"select count(*) from raw.{name}")[0][0]) for name in streams or STREAMS}


def penstock(project: CarProject, *words: str) -> str:
    """A command's output."""
    done = CliRunner().invoke(app, [*words, "--project-dir", str(project.folder)], env=project.environ)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    "dags",
    [
        pytest.param(True, id="as the DAGs do"),
        pytest.param(False, id="each day alone", marks=pytest.mark.slow),
    ],
)
def test_day_by_day_by_command(api: Api, tmp_path: Path, dags: bool) -> None:
    """Loaded day by day while the API shows some cars late, with the lookback of the DAGs or without any, all cars have
    landed; loaded again, nothing does."""
    project = CarProject(tmp_path / "project", api=api.url)
    for day in DAYS:
        api.show(day)
        first = day - timedelta(days=LOOKBACK) if dags else day
        words = ["--from", str(first), "--to", str(day), *(["--lookback", str(LOOKBACK)] if dags else [])]
        penstock(project, "load", "cars", *words)
    assert landed(project, "cars") == {"cars": expected()["cars"]}
    again = penstock(project, "load", "cars", "--from", str(FIRST), "--to", str(DAYS[-1]))
    assert " 0 rows landed" in again or " 0 landed" in again
    whole = ["backfill", "cars", "--from", str(FIRST), "--to", str(DAYS[-1]), "--no-fingerprint"]
    environ = {**project.environ, "PENSTOCK__TRANSFORM": "false"}
    done = CliRunner().invoke(app, [*whole, "--project-dir", str(project.folder)], env=environ)
    assert f"{RECORDS} read, 0 landed" in done.stdout, done.output


@pytest.mark.slow
def test_day_by_day_by_the_clock(api: Api, tmp_path: Path) -> None:
    """A schedule with ``data_interval`` ends with all records of all streams, too: its runs look back as far as the
    endpoints' overlap says."""
    project = CarProject(tmp_path / "project", api=api.url)
    project.environ |= {"PENSTOCK__SCHEDULE__DATA_INTERVAL": "true", "PENSTOCK__TRANSFORM": "false"}
    midnight = datetime.combine(FIRST, datetime.min.time(), UTC)
    clock: list[Any] = [midnight + timedelta(seconds=1)]
    settings = project.settings()
    with scheduled(settings, now=lambda: clock[0]) as job:
        until(lambda: kept(settings)[1] is not None, "it waits for the second day")
        for number, day in enumerate(DAYS, 1):
            api.show(day)
            clock[0] = midnight + timedelta(days=number, seconds=1)
            until(lambda number=number: job.runs["success"] == number, f"the run of {day}")  # type: ignore[misc]
    assert landed(project) == expected()
