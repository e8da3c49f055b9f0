"""``penstock.yml``: read, checked as a whole, and handed on as a frozen, typed :class:`Project`.

Where a value comes from, strongest first: ``PENSTOCK__…`` in the environment, the same in ``.env`` beside
the file, the file. A wrong file is one :class:`penstock.errors.ProjectError` that lists all that is wrong with it.
"""

from penstock.project.expect import Expectation
from penstock.project.formats import Csv
from penstock.project.http import Http
from penstock.project.lake import Lake
from penstock.project.loading import FILE_NAME, Project, find_project, load_project, variables_of
from penstock.project.metabase import Metabase
from penstock.project.notify import Channel, Email, Notify, Webhook
from penstock.project.observing import Lineage, Logging
from penstock.project.privacy import Privacy
from penstock.project.rabbitmq import RabbitMQ
from penstock.project.reference import configuration_page, project_schema
from penstock.project.schedule import Schedule
from penstock.project.settings import (
    Contract,
    Destination,
    Files,
    Load,
    Source,
    Stream,
    Transform,
    Up,
)
from penstock.project.values import Identity
from penstock.project.warehouses import DuckDB, Postgres

__all__ = [
    "FILE_NAME",
    "Channel",
    "Contract",
    "Csv",
    "Destination",
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
    "Source",
    "Stream",
    "Transform",
    "Up",
    "Webhook",
    "configuration_page",
    "find_project",
    "load_project",
    "project_schema",
    "variables_of",
]
