"""Lineage: which data was read and written by which run, told as OpenLineage events.

``facts.py`` has what there is to tell, as plain values; ``naming.py`` names datasets as OpenLineage does;
``telling.py`` turns loads, runs and builds into facts; ``events.py`` turns facts into OpenLineage's events, and
``emitter.py`` sends them from a thread of its own: no load waits for that, and none fails of it.
"""

from penstock.lineage.telling import Told, lineage_of

__all__ = ["Told", "lineage_of"]
