"""``${VAR}`` in the file, ``.env`` beside it, and ``PENSTOCK__…`` over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ProjectError
from penstock.project import Postgres, Project, load_project

HEAD = "name: p\nsources: {files: {type: files, path: d}}\n"
LOCAL = "destinations: {local: {type: duckdb, path: w}}\n"
STREAM = "streams: {user_events: {from: files}}\n"


def project(folder: Path, text: str, environ: dict[str, str] | None = None, target: str | None = None) -> Project:
    (folder / "penstock.yml").write_text(text, encoding="utf-8")
    return load_project(folder, environ=environ or {}, target=target)


def password(folder: Path, written: str, environ: dict[str, str]) -> str | None:
    text = HEAD + f"destinations:\n  d:\n    type: postgres\n    password: {written}\n"
    found = project(folder, text, environ).destination
    assert isinstance(found, Postgres)
    return None if found.password is None else found.password.get_secret_value()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${A}", "one"),
        ("'${A}'", "one"),
        ('"x${A}y${B}"', "xoney2"),
        ("${C:-three}", "three"),
        ("${A:-three}", "one"),
        ("${EMPTY:-three}", "three"),
        ("${C:-}", None),
        ('"${C:-}"', ""),
        ("${EMPTY}", None),
        ('"a$$b"', "a$b"),
        ('"$${A}"', "${A}"),
        ("a$b", "a$b"),
        ("${ODD}", "a: [b, {c # ${A} 'd"),
        ("${ZEROS}", "007"),
    ],
)
def test_variables_are_filled_in(tmp_path: Path, written: str, meant: str | None) -> None:
    """A variable's value takes its place as one text, whatever it holds; nothing bare means no value."""
    environ = {"A": "one", "B": "2", "EMPTY": "", "ODD": "a: [b, {c # ${A} 'd", "ZEROS": "007"}
    assert password(tmp_path, written, environ) == meant


def test_numbers_and_switches_are_typed_again(tmp_path: Path) -> None:
    """A variable that holds a number, a size or a truth value serves where one is asked for."""
    text = HEAD + "destinations: {d: {type: postgres, port: '${PORT}'}}\nstreams:\n"
    text += "  e: {from: files, event_time: '${FLAT}', max_record_bytes: '${SIZE:-1kB}'}\ntransform: '${MODELS}'\n"
    found = project(tmp_path, text, {"PORT": "6000", "FLAT": "true", "MODELS": "false"})
    assert isinstance(found.destination, Postgres)
    assert found.destination.port == 6000
    assert found.streams["e"].event_time == "true"
    assert found.streams["e"].max_record_bytes == 1000
    assert found.transform is None


def test_an_unset_variable_is_named(tmp_path: Path) -> None:
    """The error has the variable, the line, the setting, and the nearest variable there is."""
    text = HEAD + "destinations:\n  d:\n    type: postgres\n    password: ${WAREHOUSE_PASWORD}\n"
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, text, {"WAREHOUSE_PASSWORD": "s3cret"})
    message = str(caught.value)
    assert "penstock.yml:6: `destinations.d.password`: the variable WAREHOUSE_PASWORD is not set" in message
    assert "${WAREHOUSE_PASSWORD}" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("value", "told"), [("", "SOME_KEY, which it comes from, is empty"), ("short", "it comes from SOME_KEY")]
)
def test_a_wrong_value_names_the_variable_it_came_from(tmp_path: Path, value: str, told: str) -> None:
    """As in a copied ``.env.example``, where what is to be filled in is empty; the value itself is not shown."""
    text = HEAD + "destinations: {d: {type: duckdb, path: a.duckdb}}\nprivacy:\n  keys:\n    v1: ${SOME_KEY}\n"
    with pytest.raises(ProjectError, match=told) as caught:
        project(tmp_path, text, {"SOME_KEY": value})
    assert "`privacy.keys.v1`" in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_bare_variable_between_braces(tmp_path: Path) -> None:
    """YAML takes a bare ``${A}`` between braces for a mapping; the error says to quote it."""
    with pytest.raises(ProjectError, match=r"needs quotes, as does \$\{VAR\} between braces"):
        project(tmp_path, HEAD + "destinations: {d: {type: postgres, password: ${A}}}", {"A": "x"})


def test_a_broken_variable_is_named(tmp_path: Path) -> None:
    """``${`` that begins no variable is an error and not text."""
    with pytest.raises(ProjectError, match=r"write \$\$"):
        password(tmp_path, '"${not closed"', {})


def test_unused_destinations_need_no_variables(tmp_path: Path) -> None:
    """Who works on the local destination does not need the secrets of production."""
    text = HEAD + "target: local\ndestinations:\n  local: {type: duckdb, path: w}\n"
    text += "  production: {type: postgres, password: '${SECRET}'}\n"
    assert set(project(tmp_path, text).destinations) == {"local"}
    assert set(project(tmp_path, text, {"SECRET": "x"}).destinations) == {"local", "production"}
    with pytest.raises(ProjectError, match="SECRET is not set"):
        project(tmp_path, text, target="production")


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    """``.env`` serves what the environment does not have; its own dollar signs are text."""
    (tmp_path / ".env").write_text("A=file\nB='fi$le ${A}'\nexport C=exported\n")
    assert password(tmp_path, '"${A} ${B} ${C}"', {"A": "env"}) == "env fi$le ${A} exported"


def test_a_setting_from_a_variable(tmp_path: Path) -> None:
    """``PENSTOCK__`` and the path sets any setting, in any case, over ``.env``, over the file."""
    text = HEAD + LOCAL + "streams: {user_events: {from: files, max_record_bytes: 5}}\n"
    name = "PENSTOCK__STREAMS__USER_EVENTS__MAX_RECORD_BYTES"
    assert project(tmp_path, text).streams["user_events"].max_record_bytes == 5
    (tmp_path / ".env").write_text(f"{name}=6\n")
    assert project(tmp_path, text).streams["user_events"].max_record_bytes == 6
    assert project(tmp_path, text, {name: "1kB"}).streams["user_events"].max_record_bytes == 1000
    assert project(tmp_path, text, {name.lower(): "8"}).streams["user_events"].max_record_bytes == 8


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("TARGET", "other", ("target", "other")),
        ("STREAMS__USER_EVENTS__FROM", "[files]", ("streams", {"from": ["files"]})),
        ("STREAMS__USER_EVENTS__IDENTITY", "[a, b]", ("streams", {"identity": ["a", "b"]})),
        ("STREAMS__USER_EVENTS__COLUMNS", "{a: int}", ("streams", {"columns": {"a": "bigint"}})),
        (
            "STREAMS__USER_EVENTS__CONTRACT",
            "freeze",
            ("streams", {"contract": {"columns": "freeze", "types": "freeze"}}),
        ),
        (
            "STREAMS__USER_EVENTS__CONTRACT__TYPES",
            "reject",
            ("streams", {"contract": {"columns": "evolve", "types": "reject"}}),
        ),
        ("LOAD__BATCH_BYTES", "7", ("load", {"batch_bytes": 7})),
        ("TRANSFORM", "false", ("transform", None)),
        ("TRANSFORM__THREADS", "9", ("transform", {"threads": 9})),
    ],
)
def test_every_kind_of_setting_has_a_variable(tmp_path: Path, name: str, value: str, shown: tuple[str, object]) -> None:
    """Groups, lists, mappings and whole groups can be set."""
    text = (
        HEAD
        + "target: local\ndestinations: {local: {type: duckdb, path: w}, other: {type: duckdb, path: v}}\n"
        + STREAM
    )
    view = project(tmp_path, text, {f"PENSTOCK__{name}": value}).masked()
    at, expected = shown
    found = view[at]["user_events"] if at == "streams" else view[at]
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert expected.items() <= found.items()
    else:
        assert found == expected


def test_names_with_two_underscores_and_dashes(tmp_path: Path) -> None:
    """A name that holds the separator, or a character that no variable can, is still reached."""
    text = HEAD + "destinations: {my-db: {type: duckdb, path: w}}\nstreams: {a__b: {from: files}, a: {from: files}}\n"
    environ = {"PENSTOCK__DESTINATIONS__MY_DB__PATH": "v.duckdb", "PENSTOCK__STREAMS__A__B__EVENT_TIME": "at"}
    found = project(tmp_path, text, environ)
    assert found.masked()["destinations"]["my-db"]["path"] == str(tmp_path / "v.duckdb")
    assert (found.streams["a__b"].event_time, found.streams["a"].event_time) == ("at", None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PENSTOCK__STREMS__USER_EVENTS__VERSION", "PENSTOCK__STREAMS__USER_EVENTS__VERSION?"),
        ("PENSTOCK__STREAMS__USER_EVENT__VERSION", "PENSTOCK__STREAMS__USER_EVENTS__VERSION?"),
        ("PENSTOCK__STREAMS__USER_EVENTS__VERSIN", "PENSTOCK__STREAMS__USER_EVENTS__VERSION?"),
        ("PENSTOCK__NAME__X", "`name` is one value"),
        ("PENSTOCK__DESTINATIONS__LOCAL__HOST", "is no setting"),
    ],
)
def test_a_variable_that_sets_nothing_is_an_error(tmp_path: Path, name: str, said: str) -> None:
    """A variable with an unknown path is named, with the nearest one."""
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, HEAD + LOCAL + STREAM, {name: "true"})
    assert name in str(caught.value)
    assert said in str(caught.value)


def test_a_wrong_value_is_told_by_its_variable(tmp_path: Path) -> None:
    """What a variable gets wrong is told with the variable's name instead of a line."""
    name = "PENSTOCK__TRANSFORM__THREADS"
    with pytest.raises(ProjectError, match=rf"{name} \(environment\): `transform.threads`"):
        project(tmp_path, HEAD + LOCAL, {name: "many"})
    with pytest.raises(ProjectError, match="neither a plain value nor"):
        project(tmp_path, HEAD + LOCAL, {"PENSTOCK__TARGET": "[a"})


def test_other_variables_of_penstock_are_left_alone(tmp_path: Path) -> None:
    """One underscore is no path: ``PENSTOCK_UPPER_SEQ`` is not a setting."""
    assert project(tmp_path, HEAD + LOCAL, {"PENSTOCK_UPPER_SEQ": "5"}).name == "p"
