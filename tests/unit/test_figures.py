"""Pages take their tables of figures from the results of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import PENSTOCK, Figure
from benchmarks.loading import AGAIN, CSV, DIRECT, FIRST
from benchmarks.provenance import Provenance
from benchmarks.report import figure_lines
from benchmarks.small import BATCH, TEN
from benchmarks.steps import JOB
from tools.reference import figures, results
from tools.reference.figures import TABLES, with_figures

NAMED = Provenance(date="2026-03-04", commit="a1" * 20, changed=False, digest="0f" * 32)
MACHINE = "- 2 cores, some processor, 8 GiB of memory, Linux\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of a run, written as a benchmark writes them."""
    monkeypatch.setattr(results, "_FOLDER", tmp_path)
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
        (root / page).read_text(encoding="utf-8") for page in ("README.md", "docs/capacity.md", "docs/compared.md")
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
