"""``penstock.yml``: read, checked as a whole, and handed on as a frozen, typed :class:`Project`.

Where a value comes from, strongest first: ``PENSTOCK__…`` in the environment, the same in ``.env`` beside
the file, the file. A wrong file is one :class:`penstock.errors.ProjectError` that lists all that is wrong with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.project.csv_settings import Csv
    from penstock.project.destinations import DestinationSettings
    from penstock.project.expect import Expectation
    from penstock.project.http import Http
    from penstock.project.lake import Lake
    from penstock.project.lakehouse import Spark
    from penstock.project.metabase_settings import Metabase
    from penstock.project.notify import Channel, Email, Notify, Webhook
    from penstock.project.privacy_settings import Privacy
    from penstock.project.project_file import FILE_NAME, Project, find_project, load_project, variables_of
    from penstock.project.rabbitmq_settings import RabbitMQ
    from penstock.project.schedule import Clock, Schedule
    from penstock.project.settings import (
        Contract,
        Destination,
        Files,
        Load,
        Stream,
        Transform,
        Up,
    )
    from penstock.project.sources import SourceSettings
    from penstock.project.telemetry import Lineage, Logging
    from penstock.project.values import Identity
    from penstock.project.warehouses import DuckDB, Postgres

__all__ = [
    "FILE_NAME",
    "Channel",
    "Clock",
    "Contract",
    "Csv",
    "Destination",
    "DestinationSettings",
    "DuckDB",
    "Email",
    "Expectation",
    "Files",
    "Http",
    "Identity",
    "Lake",
    "Lineage",
    "Load",
    "Logging",
    "Metabase",
    "Notify",
    "Postgres",
    "Privacy",
    "Project",
    "RabbitMQ",
    "Schedule",
    "SourceSettings",
    "Spark",
    "Stream",
    "Transform",
    "Up",
    "Webhook",
    "find_project",
    "load_project",
    "variables_of",
]

_HOMES = {
    "Channel": "notify",
    "Contract": "settings",
    "Csv": "csv_settings",
    "Destination": "settings",
    "DestinationSettings": "destinations",
    "DuckDB": "warehouses",
    "Email": "notify",
    "Expectation": "expect",
    "FILE_NAME": "project_file",
    "Files": "settings",
    "Http": "http",
    "Identity": "values",
    "Lake": "lake",
    "Lineage": "telemetry",
    "Load": "settings",
    "Logging": "telemetry",
    "Metabase": "metabase_settings",
    "Notify": "notify",
    "Postgres": "warehouses",
    "Privacy": "privacy_settings",
    "Project": "project_file",
    "RabbitMQ": "rabbitmq_settings",
    "Clock": "schedule",
    "Schedule": "schedule",
    "SourceSettings": "sources",
    "Spark": "lakehouse",
    "Stream": "settings",
    "Transform": "settings",
    "Up": "settings",
    "Webhook": "notify",
    "find_project": "project_file",
    "load_project": "project_file",
    "variables_of": "project_file",
}
"""Name → the module that has it, which is imported when somebody asks for it."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"penstock.project.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'penstock.project' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
