"""What a warehouse of Iceberg tables is as a destination."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock.destinations.kinds import DestinationKind
from penstock.destinations.spark.capabilities import CAPABILITIES
from penstock.errors import UsageError
from penstock.extras import require
from penstock.project import Spark

if TYPE_CHECKING:
    from penstock.findings import Finding
    from penstock.ports import Destination
    from penstock.project import Project


class SparkKind(DestinationKind[Spark]):
    """Iceberg tables, which many processes are at, and a ledger in PostgreSQL."""

    settings = Spark
    capabilities = CAPABILITIES

    def open(self, settings: Spark) -> Destination:
        """The tables and the ledger, connected to when they are first used."""
        require("postgres")
        require("spark")
        from penstock.destinations.spark.destination import SparkDestination

        return SparkDestination(settings)

    def check(self, name: str, project: Project) -> Iterator[Finding]:
        """Store, catalog, clock, how identities are looked up, and what Spark needs."""
        from penstock.destinations.spark.checks import checks

        settings = project.destination
        assert isinstance(settings, Spark)
        return checks(name, project, settings)

    def dbt_output(self, settings: Spark, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
        """Refused: models are not built yet."""
        del threads
        raise UsageError("not yet: models on Spark", where=settings.address, fix="penstock load")

    def namespace(self, settings: Spark) -> tuple[str, str]:
        """As OpenLineage's conventions have it for a path."""
        return settings.location, "penstock"


KIND = SparkKind()
