"""The last that a warm process imports: it has dbt parse an empty project for each engine, so that what is forked from
it knows all macros of dbt, of its adapters and of Penstock, and takes a fifth of the time for a project of its own."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

from dbt.adapters.factory import reset_adapters

from penstock.project import load_project
from penstock.transform.dbt import Dbt
from penstock.transform.workspace import prepare_workspace
from tests.support.dbt_memory import remember

_SETTINGS = """
name: warm
destinations:
  duckdb: {type: duckdb, path: none.duckdb}
  postgres: {type: postgres}
sources: {none: {type: files, path: none}}
streams: {none: {from: none}}
"""

remember()
with tempfile.TemporaryDirectory() as directory:
    folder = Path(directory)
    (folder / "penstock.yml").write_text(_SETTINGS)
    (folder / "dbt_project.yml").write_text(
        "{name: warm, version: '1.0', profile: penstock, packages-install-path: .penstock/dbt_packages}"
    )
    for engine in ("duckdb", "postgres"):
        dbt = Dbt(prepare_workspace(load_project(folder, target=engine, environ={})))
        dbt.sources()
        dbt.release()
reset_adapters()
gc.collect()
gc.freeze()  # else the first collection in each process that is forked would copy all of it
