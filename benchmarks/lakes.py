"""Where loads go as well: Iceberg tables in a folder, with their ledger in the private PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import run
from benchmarks.warehouses import PostgresDatabase
from penstock.testing.spark import spark_jars

DRIVER_MEMORY = "2g"
_COUNT = """
import sys
from penstock.destinations.spark.destination import SparkDestination
from penstock.project import Postgres, Spark
books = Postgres.model_validate({"type": "postgres", "url": sys.argv[2]})
lake = Spark.model_validate({"type": "spark", "ledger": "books", "warehouse": sys.argv[1]}).completed({"books": books})
print(SparkDestination(lake).query(sys.argv[3]).rows[0][0])
"""


@dataclass(frozen=True, slots=True)
class Lake:
    """Iceberg tables in a folder. With ``master``, models are built by a Spark there."""

    path: Path
    books: PostgresDatabase
    master: str = ""
    kind = "spark"

    def fresh(self) -> None:
        """Delete them, make the ledger anew, and let the disk come to rest."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.books.fresh()

    def drop(self) -> None:
        """Give their space back."""
        self.books.drop()
        shutil.rmtree(self.path, ignore_errors=True)
        os.sync()

    def server_cpu_seconds(self) -> float:
        """What the ledger's server has taken."""
        return self.books.server_cpu_seconds()

    def answer(self, query: str) -> str:
        """The one value of a question."""
        return run([sys.executable, "-c", _COUNT, self.path, self.books.url, query], timeout_seconds=120).output.strip()

    def count(self, table: str = "raw.user_events") -> int:
        """Rows of a table."""
        return int(self.answer(f"select count(*) from {table}"))

    def data_bytes(self, table: str = "") -> int:
        """Bytes of the Parquet files, of one table or of all; those that no snapshot names any more are among them."""
        return sum(path.stat().st_size for path in (self.path / table).rglob("*.parquet"))

    @property
    def settings(self) -> str:
        """As destinations of ``penstock.yml``: itself, and its ledger after it."""
        spark = ""
        if self.master:
            conf = f"{{spark.driver.memory: {DRIVER_MEMORY}}}"
            spark = f", spark: {{master: '{self.master}', jars: [{', '.join(spark_jars())}], conf: {conf}}}"
        lake = f"{{type: spark, ledger: books, warehouse: {self.path}{spark}}}"
        return f"{lake}, books: {self.books.settings}"
