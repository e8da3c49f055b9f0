"""Day runs over sources whose records come late: all are there in the end, whatever the order of the runs."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.runs.plan import day_window
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said, said
from tests.support.examples import examples
from tests.support.fetching import fetch, ids
from tests.support.warehouse import land, write_files

FEW = settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DAYS = 4
_streams = iter(range(10**6))
delays = st.lists(st.tuples(st.integers(0, DAYS - 1), st.integers(0, 3)), min_size=1, max_size=12)
"""For each record its day, and how many days after the end of that day it shows."""


class LateApi:
    """An API asked by days, whose records show some days after their own. ``clock`` is how many days have ended."""

    def __init__(self, records: list[tuple[int, int]]) -> None:
        self.clock = 0
        self._records = records

    def __call__(self, asked: Asked) -> Said:
        first, last = ((date.fromisoformat(asked.query[name]) - DAY_ONE).days for name in ("from", "to"))
        shown = [
            {"id": id_, "updated": f"{DAY_ONE + timedelta(days=day)}T12:00:00Z"}
            for id_, (day, delay) in enumerate(self._records)
            if first <= day <= last and day + 1 + delay <= self.clock
        ]
        return said({"data": shown})


DAY_ONE = datetime.now(UTC).date() - timedelta(days=60)


@FEW
@given(data=st.data(), records=delays)
def test_late_records_of_an_api(destination: Destination, data: st.DataObject, records: list[tuple[int, int]]) -> None:
    """Each day is run at its end or later, in any order and with repeats, up to the last day on which a record may
    come: all have landed, whether the endpoint's overlap or the run's lookback says how late that is, and whether or
    not a run names the days before its own. Then nothing is asked for again."""
    late = max(delay for _, delay in records)
    last = DAYS - 1 + late
    runs = data.draw(st.permutations([*range(last + 1), *data.draw(st.lists(st.integers(0, last), max_size=3))]))
    by_overlap, back = data.draw(st.booleans()), data.draw(st.sampled_from([0, late]))
    endpoint = {"records": "data", "windows": {"params": "from={from}&to={to}", "inclusive": True}}
    if by_overlap:
        endpoint["incremental"] = {"field": "updated", "params": "since={cursor}", "overlap": f"{late}d"}
    lookback = timedelta() if by_overlap else timedelta(days=late)
    rules = StreamSpec(stream=f"days{next(_streams)}")
    api = LateApi(records)
    with Api(api) as server:
        for day in runs:
            api.clock = max(api.clock, day + 1)
            end = DAY_ONE + timedelta(days=day)
            window = day_window(None, end - timedelta(days=back), end)
            fetch(destination, server, endpoint, rules=rules, window=window, lookback=lookback)
        assert ids(destination, rules.stream) == list(range(len(records)))
        days = day_window(None, DAY_ONE, DAY_ONE + timedelta(days=last + late))
        fetch(destination, server, endpoint, rules=rules, window=days, lookback=lookback)
        count = len(server.asked)
        again = fetch(destination, server, endpoint, rules=rules, window=days, lookback=lookback)
        assert len(server.asked) - count == late, "those that may still get records"
        assert len(again.skipped) == last + 1


@FEW
@given(records=delays)
def test_late_records_of_files(destination: Destination, tmp_path: Path, records: list[tuple[int, int]]) -> None:
    """Files that bring records of days before are taken in by the runs that take in those days: with as long a lookback
    as records come late, all have landed."""
    late = max(delay for _, delay in records)
    folder = tmp_path / f"in{next(_streams)}"
    rules = StreamSpec(stream=f"days{next(_streams)}", event_time="at", declared=(("at", "timestamp"),))
    for day in range(DAYS + late):
        lines = [
            json.dumps({"id": id_, "at": f"{DAY_ONE + timedelta(days=own)}T12:00:00"})
            for id_, (own, delay) in enumerate(records)
            if own + delay == day
        ]
        write_files(folder, {f"{day}.ndjson": "".join(f"{line}\n" for line in lines).encode()})
        end = DAY_ONE + timedelta(days=day)
        land(destination, folder, rules, window=day_window(None, end - timedelta(days=late), end))
    assert ids(destination, rules.stream) == list(range(len(records)))
