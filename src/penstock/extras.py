"""The libraries that a backend needs beside those of every installation: each extra of the distribution has some."""

from __future__ import annotations

from importlib.util import find_spec

from penstock.errors import UsageError

DISTRIBUTION = "penstock-elt"
EXTRAS = {
    "postgres": ("psycopg", "adbc_driver_manager", "adbc_driver_postgresql", "psycopg2"),  # the last is dbt's
    "rabbitmq": ("pika",),
    "http": ("httpx2", "brotli"),
    "lineage": ("openlineage",),
    "report": ("vl_convert",),
    "examples": ("starlette", "uvicorn"),
    "spark": ("pyiceberg", "sqlalchemy"),
}
"""The modules that each extra brings."""

_PURPOSES = {
    "postgres": "PostgreSQL needs",
    "rabbitmq": "RabbitMQ needs",
    "http": "HTTP requests need",
    "lineage": "lineage events need",
    "report": "charts need",
    "examples": "sample APIs need",
    "spark": "Iceberg tables need",
}


class MissingLibrary(UsageError):
    """A library is not installed; the fix names the extra that brings it."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"{_PURPOSES[extra]} {module}, which is not installed", fix=f'pip install "{DISTRIBUTION}[{extra}]"'
        )


def require(extra: str) -> None:
    """Look that an extra is installed, before what needs it is imported. Nothing is imported by looking.

    Raises:
        MissingLibrary: it is not, or not all of it.
    """
    for module in EXTRAS[extra]:
        if find_spec(module) is None:
            raise MissingLibrary(extra, module)


def explained_import(error: ImportError) -> MissingLibrary | None:
    """The error for an import that failed; None when no extra brings what was imported."""
    module = (error.name or "").partition(".")[0]
    return next((MissingLibrary(extra, module) for extra, modules in EXTRAS.items() if module in modules), None)
