"""Transform: dbt builds what the new loads touch.

``dbt.py`` calls dbt's Python API; ``lean.py`` and ``masked.py`` replace parts of dbt while it runs.
``workspace.py`` writes the profile that dbt needs, and ``transform.py`` decides whether and what to build.
"""
