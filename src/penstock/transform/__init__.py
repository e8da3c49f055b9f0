"""Transform: dbt builds models, and prepared statements of the dbt package's take in what the new loads bring.

``plan.py`` says what is to be done, from what ``ledger_facts.py`` and ``manifest.py`` read; ``perform.py`` does it.
``dbt.py`` alone calls dbt's Python API, of which ``masked.py`` replaces a part. ``steps.py`` has what the package
prepared, ``prepared.py`` keeps it with the state of the models, and ``stepping.py`` runs it. ``workspace.py`` and
``plain_dbt.py`` write what dbt needs beside the project.
"""
