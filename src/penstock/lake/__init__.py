"""The lake: what loads fetched, kept as flat files from which the same rows can be loaded again.

    FOLDER/STREAM/date=2026-11-21/20261121T122213123456Z-3f9c2a-001.ndjson

A file is written under a hidden name, and gets its own only after the load that fetched its records has committed. The
ledger knows the files of each load, so a run that was killed between the two is completed or undone by the next.
"""
