"""The settings of logs and lineage. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from penstock.project.group import Settings
from penstock.project.values import ProjectPath


class Logging(Settings):
    """What is logged to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] | None = None
    """From which level on. By default `info` for `up`, `consume` and `watch`, and `warning` for commands that end by
    themselves. `PENSTOCK_LOG_LEVEL` is stronger."""
    format: Literal["auto", "text", "json"] = "auto"
    """`text` is for people and `json` for programs, one object a line. `auto` is text on a terminal, else JSON.
    `PENSTOCK_LOG_FORMAT` is stronger."""


class Lineage(Settings):
    """Where OpenLineage events go: what was read and written by each load and each model."""

    transport: Literal["http", "file", "console"]
    """`http` sends them to a server such as Marquez or DataHub, `file` adds them to a file, one a line, and `console`
    prints them to standard error."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """`http`: the server's address, such as `http://localhost:5000`."""
    endpoint: str = "api/v1/lineage"
    """`http`: the path below it that takes events."""
    api_key: SecretStr | None = None
    """`http`: sent as a bearer token; never shown. Take it from the environment: `${LINEAGE_API_KEY}`."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """`http`: how long the server may take to answer. Loads do not wait for it."""
    path: ProjectPath | None = None
    """`file`: the file, relative to the project's folder. Made when it is missing."""
    namespace: str = Field(default="penstock", min_length=1)
    """The namespace of the jobs. Their names begin with the project's."""
    flush_seconds: Annotated[float, Field(ge=0, le=300)] = 5.0
    """How long a command that ends waits for events that are not sent yet. What is left then is lost."""

    @model_validator(mode="after")
    def _whole(self) -> Lineage:
        if self.transport == "http" and self.url is None:
            raise ValueError("transport http needs a url, such as http://localhost:5000")
        if self.transport == "file" and self.path is None:
            raise ValueError("transport file needs a path, such as lineage.ndjson")
        return self
