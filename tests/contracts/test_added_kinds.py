"""A kind of source that an installed distribution adds is as good as one that is built in.

The distribution is the one that ``docs/how-to/write-a-source.md`` makes, word for word.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock.doctor.examine import examine
from penstock.doctor.forecast import explain_loads
from penstock.errors import ProjectError
from penstock.land.loop import Stop
from penstock.project import load_project
from penstock.project.kinds import installed_kind
from penstock.runs.plan import plan_loads
from penstock.runs.schedules import plan_schedules
from penstock.sources.kinds import kind_of
from penstock.up.supervisor import Supervisor

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-source.md"
SETTINGS = """
name: counting
destinations: {{local: {{type: duckdb, path: warehouse.duckdb}}}}
{body}
transform: false
"""


def blocks(title: str) -> list[str]:
    """What the page shows of a file."""
    return re.findall(rf'```\w+ title="{re.escape(title)}"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL)


def install(folder: Path, module: str, text: str, distribution: str, entries: str) -> None:
    """A distribution as installers leave it."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[penstock.sources]\n{entries}\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's distribution, and two that are broken, among those that can be imported."""
    folder = tmp_path_factory.mktemp("site")
    described = tomllib.loads(blocks("pyproject.toml")[0])
    (entry,) = described["project"]["entry-points"]["penstock.sources"].items()
    install(
        folder, "penstock_numbers", "\n".join(blocks("penstock_numbers.py")), described["project"]["name"],
        " = ".join(entry),
    )  # fmt: skip
    install(
        folder, "penstock_broken", "import nothing_that_is_there", "penstock-broken", "broken = penstock_broken:KIND"
    )
    install(folder, "penstock_odd", "KIND = 1", "penstock-odd", "odd = penstock_odd:KIND")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    installed_kind.cache_clear()
    yield folder
    sys.path.remove(str(folder))
    importlib.invalidate_caches()
    installed_kind.cache_clear()


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Path:
    """The page's project."""
    (tmp_path / "penstock.yml").write_text(SETTINGS.format(body=blocks("penstock.yml")[0]))
    return tmp_path


def test_it_is_loaded_once(project: Path) -> None:
    """A run lands what there is, the next one nothing, and one after more came only that."""
    assert penstock.run(project).total("landed") == 1_000
    assert penstock.run(project).total("read") == 0
    text = (project / "penstock.yml").read_text()
    (project / "penstock.yml").write_text(text.replace("last: 1000", "last: 1005"))
    assert penstock.run(project).total("read") == 5
    rows = penstock.query(project, "select count(*), max(n), min(_pen_origin) from raw.numbers").rows
    assert [tuple(row) for row in rows] == [(1_005, 1_005, "numbers#1")]


def test_the_command_finds_it(project: Path, installed: Path) -> None:
    """In a process of its own, whose path has the distribution; variables set its settings too."""
    environ = {**os.environ, "PYTHONPATH": str(installed), "PENSTOCK__SOURCES__COUNTER__LAST": "7"}
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "run"], cwd=project, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert penstock.query(project, "select count(*) from raw.numbers").rows == [(7,)]


def test_it_is_described_and_checked(project: Path) -> None:
    """By ``explain`` in its own words, by ``doctor`` with what the first batch has, and with its settings' defaults."""
    loaded = load_project(project)
    (plan,) = explain_loads(loaded, plan_loads(loaded), dated=False)
    assert plan.how.endswith("the numbers from 1 to 1000") and not plan.problem
    (check,) = [c for c in examine(project, None) if c.name == "source counter of numbers"]
    assert check.ok and check.detail == "100 records at first"
    assert loaded.masked()["sources"] == {"counter": {"type": "numbers", "last": 1_000}}


def test_up_loads_it_on_request_or_by_the_clock(project: Path) -> None:
    """It is neither consumed nor watched; a schedule takes it."""
    loaded = load_project(project)
    assert [(p.name, p.schedule) for p in plan_schedules(loaded)] == [("on request", None)]
    parts = [part.name for part in Supervisor(loaded, models=False, stop=Stop()).parts]
    assert parts == ["on request", "alerts"]
    with (project / "penstock.yml").open("a") as file:
        file.write('schedule: "@daily"\n')
    assert [p.name for p in plan_schedules(load_project(project))] == ["project"]


def test_its_settings_are_checked(project: Path) -> None:
    """As those of all sources: by name, by value, with line and fix."""
    text = (project / "penstock.yml").read_text()
    for wrong, message in (
        ("lsat: 1000", r"(?s)penstock.yml:\d+: `sources.counter.lsat`: is no setting .did you mean `last`"),
        ("last: 0", r"penstock.yml:\d+: `sources.counter.last`: expected greater than or equal to 1, not 0"),
    ):
        (project / "penstock.yml").write_text(text.replace("last: 1000", wrong))
        with pytest.raises(ProjectError, match=message):
            load_project(project)


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("number", r"expected files, rabbitmq, http, broken, numbers or odd, not 'number'\n.*did you mean numbers\?"),
        ("kafka", "expected files, rabbitmq, http, broken, numbers or odd, not 'kafka'"),
        ("broken", r"'broken' comes from penstock-broken 1.0, which cannot be loaded: ModuleNotFoundError: No module"),
        ("odd", r"'odd' comes from penstock-odd 1.0, and penstock_odd:KIND there is no kind of source"),
    ],
)
def test_a_kind_that_is_not_there(project: Path, type_: str, message: str) -> None:
    """A type that nothing adds is told with those there are, a distribution that is broken by its name."""
    body = f"sources: {{counter: {{type: {type_}}}}}\nstreams: {{numbers: {{from: counter}}}}"
    (project / "penstock.yml").write_text(SETTINGS.format(body=body))
    with pytest.raises(ProjectError) as error:
        load_project(project)
    assert re.search(message, f"{error.value.what}\n{error.value.fix}"), str(error.value)
    assert error.value.where.endswith("penstock.yml:4")


def test_two_distributions_of_one_kind(project: Path, installed: Path) -> None:
    """Neither is taken: which one it would be is nobody's guess."""
    install(installed, "penstock_twice", "", "penstock-twice", "twice = penstock_twice:KIND")
    install(installed, "penstock_again", "", "penstock-again", "twice = penstock_again:KIND")
    importlib.invalidate_caches()
    (project / "penstock.yml").write_text(SETTINGS.format(body="sources: {counter: {type: twice}}"))
    with pytest.raises(ProjectError, match=r"'twice' is added by penstock-\w+ 1.0 and by penstock-\w+ 1.0"):
        load_project(project)


def test_built_in_kinds_are_found_the_same_way(tmp_path: Path) -> None:
    """Each has an object that knows its settings."""
    (tmp_path / "penstock.yml").write_text(
        SETTINGS.format(
            body="sources: {f: {type: files, path: x}, q: {type: rabbitmq, queue: q}, "
            "h: {type: http, base_url: 'http://h', endpoints: {e: {}}}}\nlake: {path: lake}"
        )
    )
    for settings in load_project(tmp_path).sources.values():
        assert kind_of(settings).settings is type(settings)
