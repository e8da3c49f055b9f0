"""What holds for all tests."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from tests.support.dbt_memory import remember

# many are up at the same time: none of them has the port that the documentation names
os.environ.setdefault("PENSTOCK__UP__PORT", "0")
pytest_plugins = ["tests.support.cost", "tests.support.examples", "tests.support.kernels", "tests.support.servers"]

remember()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """``tests/airflow`` is for ``make test-airflow``, which says where an Airflow is; so with the others of these."""
    elsewhere = {
        "airflow": "PENSTOCK_TEST_AIRFLOW",
        "spark": "PENSTOCK_TEST_SPARK",
        "superset": "PENSTOCK_TEST_SUPERSET",
    }
    variable = elsewhere.get(collection_path.name) if collection_path.parent == Path(__file__).parent else None
    return True if variable is not None and variable not in os.environ else None


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what is there from now on: it would go through all of it again and again.
    The threshold is that of commands."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_unconfigure() -> None:
    """Libraries complain of what is never collected."""
    gc.unfreeze()
