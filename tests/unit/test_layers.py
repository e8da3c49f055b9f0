"""The layers of a dbt project, told from its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.transform.layers import find_layer, layers_of

ROOT = Path(__file__).parents[2]


def project(folder: Path, **files: str) -> Path:
    """A dbt project with these files, where ``__`` in a name parts folders and the last one is before the suffix."""
    (folder / "dbt_project.yml").write_text("name: p\n")
    for name, text in files.items():
        *folders, stem, suffix = name.split("__")
        path = folder.joinpath(*folders, f"{stem}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    """The layers, in order."""
    return [layer.name for layer in layers_of(folder)]


def test_the_example() -> None:
    """Each folder of the example comes after those it reads."""
    example = ROOT / "examples" / "user_events"
    ordered = names(example)
    assert set(ordered) == {p.name for p in (example / "models").iterdir() if p.is_dir()}
    for i, name in enumerate(ordered):
        text = " ".join(p.read_text() for p in (example / "models" / name).glob("*.sql"))
        read = {next(example.glob(f"models/*/{m}.sql")).parent.name for m in re.findall(r"ref\('(\w+)'\)", text)}
        assert read - {name} <= set(ordered[:i]), name


def test_order_is_by_what_is_read(tmp_path: Path) -> None:
    """Names do not matter, nor quotes, packages, versions or depth; schema files and Jinja comments do not count."""
    project(
        tmp_path,
        models__a__deep__last__sql="select * from {{ ref( \"p\", 'middle' ) }} -- {# ref('nothing') #}",
        models__b__middle__sql="{# {{ ref('last') }} #} select * from {{ ref('first', v=2) }}",
        models__c__first_v2__sql="select 1",
        models__c__schema__yml="- ref('last')",
    )
    assert names(tmp_path) == ["c", "b", "a"]
    assert [layer.paths for layer in layers_of(tmp_path)] == [("models/c",), ("models/b",), ("models/a",)]


def test_folders_that_read_each_other_are_one_layer(tmp_path: Path) -> None:
    """Two folders that read each other, through a third one too, are one layer, and come before what reads them."""
    project(
        tmp_path,
        models__x__x1__sql="{{ ref('y1') }}",
        models__y__y1__sql="{{ ref('z1') }}",
        models__z__z1__sql="select 1",
        models__z__z2__sql="{{ ref('x1') }}",
        models__after__after__sql="{{ ref('z2') }}",
    )
    assert names(tmp_path) == ["x-y-z", "after"]
    assert layers_of(tmp_path)[0].paths == ("models/x", "models/y", "models/z")


def test_seeds_snapshots_python_and_the_root(tmp_path: Path) -> None:
    """Seeds, snapshots of both kinds, Python models and models outside any folder have their places."""
    project(
        tmp_path,
        seeds__countries__csv="a,b\n",
        models__staging__stg__sql="select * from {{ ref('countries') }}",
        snapshots__old__sql="{% snapshot old_kind %} select * from {{ ref('stg') }} {% endsnapshot %}",
        snapshots__new__yml="snapshots:\n  - name: new_kind\n    relation: ref('stg')\n",
        models__top__sql="select * from {{ ref('old_kind') }} join {{ ref('new_kind') }}",
        models__py__m__py="def model(dbt, session): return dbt.ref('top')",
    )
    assert names(tmp_path) == ["seeds", "staging", "snapshots", "models", "py"]
    top = layers_of(tmp_path)[3]
    assert top.holds("models/top.sql") and not top.holds("models/staging/stg.sql")


def test_other_folders(tmp_path: Path) -> None:
    """The project file may say where models are."""
    project(tmp_path, sql__a__one__sql="select 1", models__b__two__sql="select 1")
    (tmp_path / "dbt_project.yml").write_text("name: p\nmodel-paths: [sql]\n")
    assert names(tmp_path) == ["a"]


def test_errors(tmp_path: Path) -> None:
    """A project file that is none, and a layer that is not there, are wrong calls."""
    with pytest.raises(UsageError, match=r"dbt_project\.yml"):
        layers_of(tmp_path)
    project(tmp_path, models__a__one__sql="select 1")
    with pytest.raises(UsageError, match="there is a"):
        find_layer(layers_of(tmp_path), "b", tmp_path)
    (tmp_path / "dbt_project.yml").write_text("[]")
    with pytest.raises(UsageError, match="no dbt project"):
        layers_of(tmp_path)
