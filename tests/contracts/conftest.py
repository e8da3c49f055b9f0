"""Fixtures of this folder."""

from tests.fixtures import both, destination, local, warehouse

__all__ = ["both", "destination", "local", "warehouse"]
