"""Two warehouses that go through one story: one is built step by step, the other anew each time."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tests.dbt.warehouse import EXAMPLE, BuiltTable, Warehouse
from tests.support.change_sets import Change

FAILS = "PENSTOCK_TEST_FAILS"
_HOOK = f"""
{{% macro stop_if_told() %}}
  {{%- if execute and env_var('{FAILS}', '') == model.name -%}}
    {{%- do exceptions.raise_compiler_error('stopped before its commit') -%}}
  {{%- endif -%}}
  select 1
{{% endmacro %}}
"""
_READER = Path("models", "dimensional", "versions_of_user.sql")
_READER_SQL = """{{ config(scope='user_id', unique_key='user_id') }}
select user_id, count(*) as versions from {{ ref('dim_user') }} group by user_id
"""
_EDITED = Path("models", "crm", "users_dim.sql")
_EDIT = (re.compile(r"(\w+)\.plan_name,"), r"upper(\1.plan_name) as plan_name,")


class Lived:
    """A warehouse whose models take steps, beside one of the same loads that is built anew each time. ``select`` are
    the models, as dbt's selectors; all of them when it is empty."""

    def __init__(self, stepping: Warehouse, anew: Warehouse) -> None:
        self.stepping, self.anew = stepping, anew
        self.select: tuple[str, ...] = ()
        self.begin_again()

    def begin_again(self) -> None:
        """Empty both, and take back what was done to their projects."""
        self._write(_READER, None)
        self._edit(edited=False)
        for each in (self.stepping, self.anew):
            each.reset()

    def begin(self, change: Change) -> None:
        """Have both land what is there at first. Only one is built: a first build is one of all that there is."""
        for load in change.loads:
            for each in (self.stepping, self.anew):
                each.land(load.events, load.organizations)
        self.stepping.dbt("run", *self._selected())

    def pass_through(self, change: Change) -> None:
        """Have both land what a change has, do the rest of it, and build.

        Raises:
            AssertionError: a table is not the same in both, or a second build changes a row.
        """
        stepping, anew = self.stepping, self.anew
        for load in change.loads:
            for each in (stepping, anew):
                each.land(load.events, load.organizations)
            if change.incident == "behind":  # while the others go on, so that their feeds wait for it
                stepping.dbt("run", *self._selected(), "--exclude", f"{self._one(change).name}+")
        full_refresh = self._suffer(change)
        selected = self._selected()
        stepping.dbt("run", *full_refresh, *selected)
        anew.dbt("run", "--full-refresh", *selected)
        self.expect_same(change)
        before = self.written()
        stepping.dbt("run", *selected)
        assert self.written() == before, f"again is nothing, after {change}"

    def expect_same(self, change: Change) -> None:
        """Compare every table of both."""
        names = self._names()
        have, wanted = self.stepping.content(names), self.anew.content(names)
        for name in names:
            more, fewer = Counter(have[name]) - Counter(wanted[name]), Counter(wanted[name]) - Counter(have[name])
            assert not more, f"{name}, after {change}: has {dict(more)} in place of {dict(fewer)}"
            assert not fewer, f"{name}, after {change}: lacks {dict(fewer)}"

    def written(self) -> dict[str, list[Any]]:
        """What changes when a row of a model, or of a feed, is written again."""
        return self.stepping.written([*self._names(), *self.stepping.feeds()])

    def _selected(self) -> list[str]:
        return ["--select", *self.select] if self.select else []

    def _names(self) -> list[str]:
        """The tables that are built."""
        names = [table.relation for table in self.stepping.tables()]
        return [name for name in names if self.anew.exists(name)] if self.select else names

    def _one(self, change: Change) -> BuiltTable:
        """The model that the incident of a change is about."""
        names = self._names()
        tables = [table for table in self.stepping.tables() if table.relation in names]
        return tables[int(change.chance * len(tables))]

    def _suffer(self, change: Change) -> list[str]:
        """What happens beside the loads; how the build after it has to go about it."""
        if not change.incident:
            return []
        stepping = self.stepping
        one = self._one(change)
        match change.incident:
            case "full refresh":
                return ["--full-refresh"]
            case "erased":
                for each in (stepping, self.anew):
                    each.execute(f"delete from raw.user_events where id = '{change.user}'")
                return ["--full-refresh"]  # as a transform does once rows are gone
            case "killed":
                stepping.dbt("run", *self._selected(), fails=True, environment={FAILS: one.name})
            case "feed lost":
                for feed in [feed for feed in stepping.feeds() if feed.endswith(f"__{one.name}")]:
                    stepping.execute(f"delete from {feed}")
            case "reader":
                self._write(_READER, _READER_SQL)
            case "edited":
                self._edit(edited=True)
        return []

    def _write(self, file: Path, text: str | None) -> None:
        for each in (self.stepping, self.anew):
            path = each.home / file
            if text is None and path.exists():
                path.unlink()
                each.forget()
            elif text is not None and not path.exists():
                path.write_text(text)
                each.forget()

    def _edit(self, *, edited: bool) -> None:
        for each in (self.stepping, self.anew):
            path = each.home / _EDITED
            text = (EXAMPLE / _EDITED).read_text()
            assert _EDIT[0].search(text)
            text = _EDIT[0].sub(_EDIT[1], text) if edited else text
            if path.read_text() != text:
                path.write_text(text)
                each.forget()


def add_fault(home: Path) -> None:
    """Have every model of a project's copy fail, after all it wrote, when it is told to."""
    (home / "macros").mkdir(exist_ok=True)
    (home / "macros" / "stop_if_told.sql").write_text(_HOOK)
    path = home / "dbt_project.yml"
    settings = yaml.safe_load(path.read_text())
    models = settings["models"]["user_events"]
    hooks = models.get("+post-hook") or []
    models["+post-hook"] = [*([hooks] if isinstance(hooks, str) else hooks), "{{ stop_if_told() }}"]
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
