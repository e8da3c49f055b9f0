"""Fixtures of this folder."""

from tests.fixtures import both, destination

__all__ = ["both", "destination"]
