"""Fixtures of this folder."""

from tests.fixtures import both, destination, local

__all__ = ["both", "destination", "local"]
