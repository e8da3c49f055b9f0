"""Shaping: raw bodies become typed rows, a rescue column and rejects, by the kernel and by SQL of DuckDB.

Records that SQL would get wrong without saying so (numbers with more digits than a double, text that no
database stores, duplicate keys) take the careful lane (:mod:`penstock.shape.lanes.careful`), in Python, to the
same rows.
"""
