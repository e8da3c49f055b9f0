"""Transform: dbt builds what the new loads touch.

``dbt.py`` is the only module that knows dbt's Python API; ``workspace.py`` writes the profile it needs, and
``transform.py`` decides whether and what to build.
"""
