"""A small project with a model that is built step by step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support.scheduled import a_project

EXAMPLE = Path(__file__).parents[2] / "examples" / "user_events"
MODEL = """
{{ config(materialized='penstock', scope='name', unique_key='name', schema='reports') }}
select name, cast(count(*) as bigint) as records from {{ ref('stg_things') }} where name is not null group by name
"""


def a_modelled_project(folder: Path, warehouse: dict[str, Any], schedule: Any = None, **stream: Any) -> Path:
    """A stream ``things`` of files, read by a view ``staging.stg_things``, and by ``reports.by_name`` through it."""
    directory = a_project(folder, warehouse, schedule, **stream)
    settings = json.loads((directory / "penstock.yml").read_text())
    settings["transform"] = {"debounce_seconds": 0.05}
    (directory / "penstock.yml").write_text(json.dumps(settings))
    (directory / "dbt_project.yml").write_text(
        "{name: counted, version: '1.0', profile: penstock, packages-install-path: .penstock/dbt_packages}"
    )
    shutil.copytree(EXAMPLE / "macros", directory / "macros", dirs_exist_ok=True)
    models = directory / "models"
    models.mkdir(exist_ok=True)
    (models / "sources.yml").write_text("sources: [{name: raw, tables: [{name: things}]}]\n")
    (models / "stg_things.sql").write_text(
        "{{ config(materialized='view', schema='staging') }} select _pen_load, name from {{ source('raw', 'things') }}"
    )
    (models / "by_name.sql").write_text(MODEL)
    return directory
