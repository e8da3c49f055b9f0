"""Transform: dbt builds what the new loads touch.

``plan.py`` says what is to be done, from what ``ledger_facts.py`` and ``manifest.py`` read; ``perform.py`` does it, and
``dbt.py`` alone calls dbt's Python API, of which ``lean.py`` and ``masked.py`` replace parts while it runs.
``workspace.py`` and ``plain_dbt.py`` write what dbt needs beside the project.
"""
