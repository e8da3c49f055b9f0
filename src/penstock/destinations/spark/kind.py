"""What a warehouse of Iceberg tables is as a destination."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from penstock.destinations.kinds import DestinationKind
from penstock.destinations.spark.capabilities import CAPABILITIES
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
        """The session of this process: one model at a time, and no secret."""
        del threads
        from penstock.destinations.spark.session import expect_supported, profile

        expect_supported(settings)
        return profile(), {}

    def ready_dbt(self, settings: Spark) -> None:
        """Have a session, and the adapter ask the ledger."""
        from penstock.destinations.spark.dbt_adapter import ready_dbt

        ready_dbt(settings)

    def namespace(self, settings: Spark) -> tuple[str, str]:
        """As OpenLineage's conventions have it for a path."""
        return settings.location, "penstock"


KIND = SparkKind()
