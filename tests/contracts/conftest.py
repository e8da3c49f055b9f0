"""Fixtures of this folder."""

from tests.support.fixtures import both, destination, local, warehouse

__all__ = ["both", "destination", "local", "warehouse"]
