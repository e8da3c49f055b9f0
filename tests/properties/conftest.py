"""Fixtures of this folder."""

from tests.support.fixtures import both, destination

__all__ = ["both", "destination"]
