"""Penstock against its peers and against the limit of each engine, in one run: ``python -m benchmarks``."""
