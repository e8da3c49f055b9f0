"""What a kind of destination is: one object that opens its warehouses and says what they are, and the registry of all.

What is asked of a warehouse outside of its kind's folder is asked here, or of its
:class:`penstock.ports.Capabilities`; nobody looks which kind it is. A kind that an installed distribution adds is one
like those built in: see :mod:`penstock.project.destinations` for how it is found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penstock.errors import UsageError
from penstock.ports import Capabilities
from penstock.project.destinations import DESTINATIONS, DestinationSettings

if TYPE_CHECKING:
    from penstock.findings import Finding
    from penstock.ports import Destination
    from penstock.project import Project

S = TypeVar("S", bound=DestinationSettings)

DBT_SECRET = "DBT_ENV_SECRET_PENSTOCK_PASSWORD"  # noqa: S105 - the name of a variable, not its value
"""dbt masks variables of this prefix in its logs."""
_BUILT_IN = ("duckdb", "postgres", "spark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How tools elsewhere reach a warehouse that is served; None where the engine's own default holds."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    sslmode: str


class Scratch(Protocol[S]):
    """An empty warehouse that is there for a while, and gone afterwards with all that is in it."""

    settings: S
    """Its settings."""
    copy: S
    """Those of a second one beside it."""

    def fill_copy(self) -> None:
        """Have the second one hold what the first one holds now, and nothing else. Nobody may be connected to
        either."""
        ...


class DestinationKind(Protocol[S]):
    """What a kind of destination does and is. Derive from it, and the kind has what is said here until it says
    otherwise."""

    settings: type[S]
    """The settings of its warehouses in ``penstock.yml``."""
    capabilities: Capabilities

    def open(self, settings: S) -> Destination:
        """The warehouse. It is connected to when it is first used.

        Raises:
            MissingLibrary: its libraries are not installed.
        """
        ...

    def dbt_output(self, settings: S, threads: int) -> tuple[dict[str, Any], dict[str, str]]:
        """The warehouse as an output of dbt's profile, with so many threads where the engine has room for them; and
        the variables that it names. It holds no secret: that is in :data:`DBT_SECRET`."""
        ...

    def ready_dbt(self, settings: S) -> None:
        """Have dbt's adapter in this process able to build models in the warehouse, where a profile is not enough. It
        is called before each of dbt's commands that ask the warehouse; harmless again.

        Raises:
            PenstockError: it cannot be.
        """
        del settings

    def namespace(self, settings: S) -> tuple[str, str]:
        """OpenLineage's namespace of its tables, and the name of its database."""
        ...

    def unwaiting(self, settings: S) -> S:
        """The settings of one who does not wait for another process that has the warehouse."""
        return settings

    def unmade(self, settings: S) -> str:
        """Of a warehouse that is not there yet, in words: what will be made."""
        return f"{settings.address} will be made"

    def files(self, settings: S) -> Sequence[Path]:
        """The files that it is kept in, where it is kept on this machine."""
        del settings
        return ()

    def scratch(self, settings: S, folder: Path) -> AbstractContextManager[Scratch[S]]:
        """An empty warehouse of this kind, made beside the one of these settings or in ``folder``, for the block.

        Raises:
            UsageError: none can be made here.
        """
        del folder
        raise UsageError("nothing can be tried out beside a warehouse of this kind", where=settings.address)

    def check(self, name: str, project: Project) -> Iterator[Finding]:
        """Look for what is in the way of the project's destination, which is of this kind, beside its ledger; each
        finding's name begins with ``name``. Nothing is changed by it.

        Raises:
            PenstockError: it cannot be looked at.
        """
        del name, project
        yield from ()

    def leftover(self, settings: S) -> Path | None:
        """A file that a killed process may have left of it, which nobody needs."""
        del settings
        return None

    def login(self, settings: S) -> Login | None:
        """How tools elsewhere reach it; None when they cannot."""
        del settings
        return None


def kind_of(settings: DestinationSettings) -> DestinationKind[Any]:
    """The kind of a destination."""
    name = settings.type
    kind: DestinationKind[Any] = (
        import_module(f"penstock.destinations.{name}.kind").KIND if name in _BUILT_IN else DESTINATIONS.kind(name)
    )
    return kind
