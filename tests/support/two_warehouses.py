"""A project with a destination of each kind, and streams of each disposition, whose records hold every type."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock import Session, load_project
from penstock.copying.perform import Copied, copy
from penstock.land.loop import Landed
from penstock.ports import Destination
from penstock.privacy.erasure import erase
from penstock.runs.plan import plan_loads
from penstock.runs.quarantined import drop, entries
from tests.support.servers import database_of, made_anew
from tests.support.warehouse import table

PROJECT = """
name: moved
target: duckdb
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  elsewhere: {{ type: duckdb, path: elsewhere.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{postgres}" }}
  books: {{ type: postgres, url: "{books}" }}
  spark: {{ type: spark, ledger: books, warehouse: lake }}
sources:
  facts: {{ type: files, path: "data/facts/**" }}
  prices: {{ type: files, path: "data/prices/**" }}
  shops: {{ type: files, path: "data/shops/**" }}
  people: {{ type: files, path: "data/people/**" }}
streams:
  facts:
    from: facts
    event_time: at
    raw_json: true
    columns:
      {{ price: "decimal(12,3)", at: timestamptz, day: date, local: timestamp, ref: uuid, doc: json, n: bigint,
         f: double, ok: boolean, note: text }}
  prices: {{ from: prices, identity: [id], disposition: merge, version: v }}
  shops: {{ from: shops, identity: [id], disposition: replace }}
  people: {{ from: people, identity: [id], pii: [name], subject: {{ person: id }} }}
privacy:
  keys: {{ v1: "a key that only the tests know" }}
"""
STREAMS = ("facts", "people", "prices", "shops")
FACTS: Sequence[Mapping[str, Any]] = (
    {
        "price": "123456789.125", "at": "2026-01-31T23:59:59.123456+02:00", "day": "2026-02-01",
        "local": "2026-01-31 10:00:00.5", "ref": "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
        "doc": {"z": [1, 1.50, None, "a, b: \" c\\"], "a": {"ü": "🧭"}}, "n": 9007199254740993, "f": 0.1, "ok": True,
        "note": "naïve — 日本 \n tab\t 'quoted' \"too\"",
    },
    {"price": "0.001", "at": "2026-01-01T00:00:00Z", "doc": [], "n": 1, "f": -0.0, "ok": False, "note": ""},
    {"at": "2026-03-01T12:00:00.000001Z", "price": "much", "n": "many", "other": {"deep": [1, {"x": None}]}},
    {"note": "nothing else"},
    *({"at": f"2026-01-0{1 + i % 9}T01:02:03Z", "n": i, "f": i / 7, "note": f"row {i}"} for i in range(9)),
)  # fmt: skip
PRICES = [{"id": i, "v": 1, "amount": 1.25 * i, "tags": ["a", "b"]} for i in range(1, 8)]
SHOPS = [{"id": i, "city": f"Tromsø {i}"} for i in range(1, 6)]
PEOPLE = [{"id": i, "name": f"Person {i}", "since": "2020-02-29"} for i in range(40, 46)]


def make_project(folder: Path, postgres: str, books: str) -> None:
    """Write the project and its data: two files of facts, and lines that go to quarantine."""
    (folder / "penstock.yml").write_text(PROJECT.format(postgres=postgres, books=books))
    write(folder, "facts/1.ndjson", FACTS[:7], "no json, ünd ‘odd’", "[1]")
    write(folder, "facts/2.ndjson", FACTS[7:], "\x01 cut off")
    write(folder, "prices/1.ndjson", PRICES)
    write(folder, "prices/2.ndjson", [{"id": 3, "v": 2, "amount": 0.5}])
    write(folder, "shops/1.ndjson", SHOPS)
    write(folder, "people/1.ndjson", PEOPLE)


def write(folder: Path, name: str, records: Sequence[Mapping[str, Any]], *lines: str) -> None:
    """Have a file hold these records, and these lines."""
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in (*map(json.dumps, records), *lines)))


@contextmanager
def opened(folder: Path, target: str) -> Iterator[Session]:
    """The project at work on one of its destinations."""
    with Session(load_project(folder, target=target)) as session:
        yield session


def load(folder: Path, target: str, *streams: str) -> dict[str, Landed]:
    """Load what is new; by stream."""
    with opened(folder, target) as session:
        return {step.stream: session.load(step) for step in plan_loads(session.project, streams)}


def counts(landed: Landed) -> tuple[int, int, int, int]:
    """Read, landed, duplicates, quarantined."""
    names = ("read", "landed", "duplicates", "quarantined")
    read, new, again, refused = (landed.total(name) for name in names)
    return read, new, again, refused


def live(folder: Path, target: str) -> None:
    """Load all, erase a person, and give up a record in quarantine."""
    load(folder, target)
    with opened(folder, target) as session:
        erase(session, "person", "42", rewrite=False)
        drop(session.destination, entries(session.destination.query, stream="facts")[:1])


def copied(folder: Path, source: str, target: str) -> Copied:
    """Copy from one to the other."""
    return copy(load_project(folder, target=source), load_project(folder, target=target))


class Templates:
    """Warehouses as they are once all is loaded, and once that is copied: made once each, and copied into projects.

    Args:
        folder: where their projects are.
        server: the address of a PostgreSQL server, for their databases.
        databases: makes an empty database, and gives its address.
    """

    def __init__(self, folder: Path, server: str, databases: Callable[[], str]) -> None:
        self._folder = folder
        self._server = server
        self._databases = databases
        self._made: dict[tuple[str, ...], tuple[Path, Copied | None]] = {}

    def live(self, project: Path, source: str) -> None:
        """Have the project's ``source`` be one that :func:`live` has filled."""
        if (source,) not in self._made:
            folder = self._project(source)
            live(folder, source)
            self._made[(source,)] = folder, None
        self._restore(self._made[(source,)][0], project, source)

    def copied(self, project: Path, source: str, target: str) -> Copied:
        """Likewise, and its ``target`` a copy of that; what copying said."""
        if target == "spark":  # a folder and a database, of which each names the other
            self.live(project, source)
            return copied(project, source, target)
        if (source, target) not in self._made:
            folder = self._project(f"{source}-{target}")
            self.live(folder, source)
            self._made[source, target] = folder, copied(folder, source, target)
        made, done = self._made[source, target]
        self._restore(made, project, source, target)
        assert done is not None
        return done

    def _project(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        make_project(folder, self._databases(), "postgresql://nowhere/none")
        return folder

    def _restore(self, made: Path, project: Path, *targets: str) -> None:
        for target in targets:
            mine, theirs = (load_project(folder, target=target).destination for folder in (made, project))
            if target == "postgres":
                template, database = (database_of(settings.conninfo()) for settings in (mine, theirs))  # type: ignore[attr-defined]
                made_anew(self._server, database, template)
            else:
                shutil.copyfile(made / "warehouse.duckdb", project / "warehouse.duckdb")


def held(folder: Path, target: str) -> dict[str, Any]:
    """All that a warehouse holds of streams, as plain values."""
    with opened(folder, target) as session:
        destination = session.destination
        rows: dict[str, Any] = {stream: table(destination, stream, without=()) for stream in STREAMS}
        for name, order in LEDGER.items():
            rows[f"penstock.{name}"] = _ledger_rows(destination, name, order)
        return rows


LEDGER = {
    "loads": "load_id",
    "streams": "stream",
    "positions": "stream, source, key",
    "quarantine": "quarantine_id",
    "columns": "stream, position",
    "erasures": "erasure_id",
    "runs": "run_id",
    "run_steps": "run_id, step",
    "schedules": "schedule",
    "alerts": "alert, subject",
}


_JSON = ("state", "headers", "detail", "counts", "ids")


def _ledger_rows(destination: Destination, name: str, order: str) -> list[dict[str, Any]]:
    rows = destination.ledger.query(f"select * from penstock.{name} order by {order}")
    return [{name: _value(name, v) for name, v in zip(rows.columns, row, strict=True)} for row in rows.rows]


def _value(name: str, value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    if name in _JSON and value is not None:
        return json.loads(value)
    return value if isinstance(value, int | float | type(None)) else str(value)
