"""Pages take their tables of figures from the results of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import provenance, spark_landing, spark_models, spark_report
from benchmarks.bench import Bench
from benchmarks.figures import PENSTOCK, Figure, Results
from benchmarks.growth import ALL, COMPRESSION, MORE, Step
from benchmarks.loading import AGAIN, CSV, DIRECT, FIRST
from benchmarks.provenance import Provenance
from benchmarks.queue_report import Line, line_row
from benchmarks.report import figure_lines
from benchmarks.sizes_report import Sizes, page
from benchmarks.small import BATCH, TEN
from benchmarks.spark_landing import DUCKDB, FIXED, ICEBERG, LookUp
from benchmarks.steps import JOB
from penstock.testing.postgres import PrivatePostgres
from tools.reference import capacity, figures, results, spark
from tools.reference.figures import TABLES, with_figures

NAMED = Provenance(date="2026-03-04", commit="a1" * 20, changed=False, digest="0f" * 32)
MACHINE = "- 2 cores, some processor, 8 GiB of memory, Linux\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of a run, written as a benchmark writes them."""
    monkeypatch.setattr(results, "_FOLDER", tmp_path)
    monkeypatch.setattr(capacity, "event", capacity.event.__wrapped__)
    return tmp_path


def _write(folder: Path, page: str, heading: str, taken: list[Figure]) -> None:
    head = f"# Speed\n\n{NAMED.sentence(page)}\nIt took 9.5 minutes: 1,000,000 rows, 3 rounds.\n\n"
    table = "\n".join(figure_lines(taken))
    (folder / page).write_text(f"{head}## {heading}\n\n{table}\n\n## Machine\n\n{MACHINE}", encoding="utf-8")


def test_rates_stand_beside_those_of_the_others(folder: Path) -> None:
    """A row a job, a column a contender; the direct limit is last, whatever it is called; who failed is left out."""
    million = 1_000_000
    failed = Figure(FIRST["duckdb"], "broken 1.0", million, trouble="too many rows")
    taken = [
        Figure(FIRST["duckdb"], PENSTOCK, million, [2.0, 2.5, 2.2], [4.0, 4.0, 4.0], peak_bytes=400_000_000),
        Figure(FIRST["duckdb"], DIRECT["duckdb"], million, [1.0], [2.0], peak_bytes=500_000_000),
        Figure(FIRST["duckdb"], "other 2.1", million, [8.0], [9.0], peak_bytes=900_000_000),
        failed,
        Figure(AGAIN, PENSTOCK, million, [1.0], [1.0]),
        Figure(FIRST["postgres"], PENSTOCK, million, [4.0], [3.0], [2.0]),
        Figure(CSV, "other 2.1", million, [125.0], [9.0]),
    ]
    _write(folder, "RESULTS.md", "All figures", taken)
    lines = list(figures.speed())
    machine = "2 cores, some processor, 8 GiB of memory"
    assert lines[0] == f"Measured on 2026-03-04 at commit a1a1a1a1, 1,000,000 rows, on one machine: {machine}."
    assert lines[2:] == [
        "| rows/s | Penstock | other 2.1 | direct limit |",
        "|---|---|---|---|",
        "| to DuckDB | 455 k | 125 k | 1,000 k (`read_json`, `distinct`) |",
        "| the same file again, without its fingerprint | 1,000 k | | |",
        "| to PostgreSQL | 250 k | | |",
        "| CSV, to DuckDB | | 8.0 k | |",
        "| peak memory, to DuckDB | 400 MB | 900 MB | 500 MB |",
    ]


def test_small_loads_are_told_by_the_smaller_table(folder: Path) -> None:
    """The seconds of a batch are those of the first size."""
    taken = [
        Figure(TEN, PENSTOCK, 10, [0.4]),
        Figure(f"{BATCH}, duckdb", f"{PENSTOCK}, 0.1 M rows in the table", 1000, [0.03]),
        Figure(f"{BATCH}, duckdb", f"{PENSTOCK}, 10 M rows in the table", 1000, [0.05]),
    ]
    _write(folder, "RESULTS.md", "All figures", taken)
    assert list(figures.seconds())[2:] == [
        "| a file of ten rows, whole process | 0.400 |",
        "| 1,000 more rows in a running process, DuckDB | 0.030 |",
        "| 1,000 more rows in a running process, PostgreSQL | |",
    ]


def test_steps_are_told_by_history_and_size(folder: Path) -> None:
    """CPU of the process, and of the server where there is one."""
    taken = [
        Figure(f"{JOB}, duckdb, wide", f"{PENSTOCK}, 0.1 M events", 1000, [1.0], [0.8], [0.0]),
        Figure(f"{JOB}, duckdb, wide", f"{PENSTOCK}, 1 M events", 1000, [1.0], [0.9], [0.0]),
        Figure(f"{JOB}, postgres, deep", f"{PENSTOCK}, 0.1 M events", 1000, [1.0], [0.5], [0.3]),
    ]
    _write(folder, "RESULTS-sizes.md", "The models' step", taken)
    assert list(figures.steps())[2:] == [
        "| CPU seconds, process + server | 0.1 M events | 1 M events |",
        "|---|---|---|",
        "| duckdb, wide | 0.80 | 0.90 |",
        "| postgres, deep | 0.50 + 0.30 | |",
    ]


def test_iceberg_is_told_as_its_results_have_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates, bytes that batches read, and steps; a billion events are multiplied from what landing took, but models are
    not. A part that was not measured is said to be."""
    monkeypatch.setattr(spark_report, "confirmed", lambda page, measured: measured.sentence(page))
    results = Results()
    for name, seconds in ((ICEBERG, 4.0), (DUCKDB, 3.0)):
        taken = results.figure(spark_landing.JOB, name, 1_000_000)
        taken.seconds, taken.cpu_seconds, taken.server_cpu_seconds = [seconds], [5.0], [0.5]
        taken.peak_bytes = 500_000_000
    found = spark_report.Found(at_rest_bytes=75.4, look_ups=[LookUp(100_000, FIXED, [900_000, 880_000, 870_000])])

    def write() -> None:
        bench = Bench(1_000_000, 1, None, None, None, lambda: PrivatePostgres(), print, NAMED, results, tmp_path)
        (folder / spark_report.PAGE).write_text(spark_report.page(bench, found, seconds=60), encoding="utf-8")

    write()
    assert "| into Iceberg tables | 250,000 | 5.00 + 0.50 of the ledger's server | 500 MB |" in list(spark.landing())
    assert "| 100,000 | 0.88 MB |" in list(spark.look_ups())
    assert list(spark.steps()) == ["Not measured."]
    assert list(spark.event())[2:] == [
        "| raw rows at rest | 75 bytes | 75 GB a day |",
        "| CPU of landing files, the ledger's server too | 6 µs | 6,000 s a day |",
        "| the same at the peak | | 57,870 × 6 µs = 0.3 cores |",
    ]
    for cores in (1, 2):
        results.figure(spark_models.job(cores), f"{spark_models.MINE}, 1 M events", 1000).seconds = [2.0 * cores]
    found.days = [Step(warehouse="spark", name=f"model {ALL}", events=100_000, cpu_seconds=90.4,
        server_cpu_seconds=1.0, peak_bytes=1, held_bytes=1, wal_bytes=None)]  # fmt: skip
    write()
    assert f"| {spark_models.MINE}, 1 M events | 2.00 | 4.00 |" in list(spark.steps())
    assert "| all models of the example, all days | 91 CPU seconds for 100,000 events | not extrapolated |" in list(
        spark.event()
    )


def test_capacity_is_what_was_measured_and_its_arithmetic(folder: Path) -> None:
    """Bytes, WAL and CPU of an event come from the pages as their benchmarks write them; the rest is multiplied."""
    _write_capacity(folder)
    event = capacity.event()
    assert (event.json, event.lake, event.duckdb_raw) == (286, 49, 95)
    assert (event.postgres_raw, event.postgres_index) == (246, 42)
    assert (event.landing_wal_large, event.landing_wal, event.first_wal, event.later_wal) == (258, 674, 1035, 3000)
    assert (event.landing_duckdb, event.landing_postgres) == (4, 5)
    assert (event.first_postgres, event.later_postgres) == (60, 70)
    assert event.message == 40
    volumes = list(capacity.volumes())
    assert "| WAL of modelling | N × 3,000 B | 30 MB | 3 GB | 300 GB | 3 TB |" in volumes
    assert "| CPU of landing, PostgreSQL, files | N × 5 µs | 0.05 s | 5 s | 500 s | 5,000 s |" in volumes
    assert "| quorum | 50,000 | 1 | 3 |" in list(capacity.brokers())
    assert "| `penstock load` | 400 MB at 1 M | 1 GB |" in list(capacity.memory())
    assert any("wal_compression = lz4 | model one more day | 1,500" in line for line in figures.wal())
    for name in ("event", "setting", "billion"):
        assert len(list(TABLES[name]())) > 5


def _write_capacity(folder: Path) -> None:
    million = 1_000_000
    landed = [
        Figure(FIRST["duckdb"], PENSTOCK, million, [2.0], [3.5]),
        Figure(FIRST["postgres"], PENSTOCK, million, [2.0], [3.0], [1.8]),
    ]
    _write(folder, "RESULTS.md", "All figures", landed)
    rates = (("classic", 20_000), ("quorum", 50_000), ("stream protocol", 100_000))
    queues = [line_row(Line("penstock consume", kind, rate, peak_bytes=300_000_000), None) for kind, rate in rates]
    head = "| queue | contender | messages/s | of pika's bare receive | whole process | loads | peak memory | growth |"
    table = "\n".join([head, "|---|---|---|---|---|---|---|---|", *queues])
    (folder / "RESULTS-queue.md").write_text(f"## All figures\n\n{table}\n", encoding="utf-8")
    api = "| contender | peak memory |\n|---|---|\n| penstock load | 320 MB |\n"
    (folder / "RESULTS-http.md").write_text(f"## All figures\n\n{api}", encoding="utf-8")
    sizes = Sizes(event_bytes=286.2, packed_bytes=49.1, users=300_000, schemas=[("raw", 270_600_000, 46_200_000)])
    for warehouse, lands, models in (("duckdb", (0, 0), (0, 0)), ("postgres", (258, 674), (1035, 3000))):
        for which, events, n in ((ALL, million, 0), (MORE, million // 10, 1)):
            sizes.steps.append(_step(warehouse, f"load {which}", events, lands[n], 95_000_000))
            sizes.steps.append(
                _step(warehouse, f"model {which}", events, models[n], 1_500_000_000, 60.0 if n == 0 else 7.0)
            )
    sizes.steps.append(_step(f"postgres, {COMPRESSION}", f"model {MORE}", million // 10, 1500, 300_000_000))
    bench = Bench(
        rows=million,
        runs=1,
        dlt=None,
        ingestr=None,
        sling=None,
        server=PrivatePostgres,
        say=print,
        measured=provenance.now("RESULTS-sizes.md"),
    )
    bench.results.judge("peak memory", "under 600 MB", "400 MB at 1 M", "", True)
    (folder / "RESULTS-sizes.md").write_text(page(bench, sizes, seconds=60), encoding="utf-8")


def _step(warehouse: str, name: str, events: int, wal: int, held: int, spent: float = 1.0) -> Step:
    return Step(
        warehouse=warehouse,
        name=name,
        events=events,
        cpu_seconds=spent / 2,
        server_cpu_seconds=None if warehouse == "duckdb" else spent / 2,
        peak_bytes=250_000_000,
        held_bytes=held,
        wal_bytes=None if warehouse == "duckdb" else wal * events,
    )


def test_only_what_is_between_marks_is_made_anew(folder: Path) -> None:
    """The rest of the page stays; made again, it is the same; a mark without a table is an error."""
    _write(folder, "RESULTS.md", "All figures", [Figure(TEN, PENSTOCK, 10, [0.4])])
    page = (
        "# A page\n\n<!-- seconds figures: made by `make reference` -->\nstale\n<!-- seconds figures end -->\n\nkept\n"
    )
    made = with_figures(page)
    assert "stale" not in made
    assert "| a file of ten rows, whole process | 0.400 |" in made
    assert made.startswith("# A page\n\n<!-- seconds")
    assert made.endswith("<!-- seconds figures end -->\n\nkept\n")
    assert with_figures(made) == made
    with pytest.raises(KeyError, match="guesses"):
        with_figures(page.replace("seconds", "guesses"))


def test_every_table_stands_on_a_page() -> None:
    """None is made for nobody."""
    root = Path(__file__).parents[2]
    pages = "".join(
        (root / page).read_text(encoding="utf-8")
        for page in ("README.md", "docs/capacity.md", "docs/compared.md", "docs/spark.md")
    )
    assert [name for name in TABLES if f"<!-- {name} figures: made by" not in pages] == []


def test_results_without_what_is_asked_for_say_so(folder: Path) -> None:
    """A heading, a table or a sentence that is missing."""
    (folder / "RESULTS.md").write_text(
        "# Speed\n\n## All figures\n\nnone\n\n## Next\n\n| a |\n|---|\n", encoding="utf-8"
    )
    with pytest.raises(KeyError, match="no table"):
        results.rows_of("RESULTS.md", "All figures")
    with pytest.raises(KeyError, match="no heading"):
        results.rows_of("RESULTS.md", "Elsewhere")
    with pytest.raises(KeyError, match="nothing like"):
        results.found_in("RESULTS.md", r"(\d+) bytes")
