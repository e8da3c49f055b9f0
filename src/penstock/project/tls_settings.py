"""How a connection is encrypted. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from penstock.project.group import Settings
from penstock.project.values import ProjectPath


class Tls(Settings):
    """How a connection is encrypted."""

    ca: ProjectPath | None = None
    """The certificates to trust, a PEM file. The system's own when left out."""
    certificate: ProjectPath | None = None
    """The client's certificate, a PEM file, where the server asks for one."""
    key: ProjectPath | None = None
    """The certificate's private key, a PEM file. Looked for in `certificate` when left out."""
    verify: bool = True
    """Whether the server has to prove that it is the one meant. `false` is for tests."""
