"""What a wrong ``penstock.yml`` is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ProjectError
from penstock.project import load_project

HEAD = "name: p\ndestinations: {local: {type: duckdb, path: w}}\nsources: {files: {type: files, path: d}}\n"


def error(folder: Path, text: str | bytes, environ: dict[str, str] | None = None, target: str | None = None) -> str:
    (folder / "penstock.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProjectError) as caught:
        load_project(folder, environ=environ or {}, target=target)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", [":1:", "is empty"]),
        ("# only a comment\n", [":1:", "is empty"]),
        ("- a\n- b\n", [":1:", "not a list"]),
        ("just text\n", [":1:", "not a single value"]),
        ("name: p\n\tload: {}\n", [":2:", "tab", "use spaces"]),
        ("name: p\nload: {batch_bytes: 1\n", ["is not YAML"]),
        ("name: 'p\n", ["is not YAML"]),
        (HEAD + "name: q\n", [":4: `name`", "is set twice, first on line 1"]),
        (HEAD + "streams:\n  a: {from: files}\n  a: {from: files}\n", [":6: `streams.a`", "first on line 5"]),
        (HEAD + "target: !!python/name:os.system x\n", [":4: `target`", "tag"]),
        (HEAD + "target: !secret x\n", [":4: `target`", "tag"]),
        (HEAD + "streams: &a {b: *a}\n", ["alias that holds itself"]),
        (HEAD + "? [a, b]\n: c\n", ["has to be text"]),
        (HEAD + "---\nname: q\n", ["is not YAML"]),
    ],
)
def test_what_is_not_a_mapping_of_settings(tmp_path: Path, text: str, said: list[str]) -> None:
    """A file that is no YAML, or other YAML than settings, is named with its line."""
    message = error(tmp_path, text)
    for words in said:
        assert words in message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file in another encoding is told so; a byte order mark is no harm."""
    assert "is not UTF-8" in error(tmp_path, b"name: \xff\xfe")
    (tmp_path / "penstock.yml").write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_project(tmp_path, environ={}).name == "p"


def test_control_characters(tmp_path: Path) -> None:
    """A NUL byte is an error of the file, not a crash."""
    assert "is not YAML" in error(tmp_path, b"name: a\x00b")


def test_no_file(tmp_path: Path) -> None:
    """A folder without the file gives the command that makes one."""
    with pytest.raises(ProjectError, match="penstock init"):
        load_project(tmp_path, environ={})


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    """A folder called penstock.yml is an error, not a crash."""
    (tmp_path / "penstock.yml").mkdir()
    with pytest.raises(ProjectError, match="cannot be read"):
        load_project(tmp_path, environ={})


def test_aliases_cannot_fill_the_memory(tmp_path: Path) -> None:
    """Aliases of aliases that would write out to millions of values are refused."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "aliases written out" in error(tmp_path, "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: p\n", ["`destinations`: is missing"]),
        ("name: p\ndestinations: {}\n", ["`destinations`", "at least one"]),
        (HEAD.replace("name: p", "name: My-Project"), [":1: `name`", "small letters, digits and _"]),
        (HEAD + "straems: {}\n", [":4: `straems`: is no setting", "did you mean `streams`?"]),
        (HEAD + "zzz: 1\n", ["`zzz`: is no setting", "there are name, target"]),
        (
            HEAD + "streams:\n  e:\n    form: files\n",
            [":6: `streams.e.form`", "did you mean `from`?", "`streams.e.from`"],
        ),
        (HEAD + "streams:\n  e: {from: filez}\n", [":5: `streams.e.from`", "'filez'", "did you mean files?"]),
        (HEAD + "streams:\n  e: {from: []}\n", ["`streams.e.from`", "at least one"]),
        (HEAD + "streams:\n  e: {from: [files, files]}\n", ["`streams.e.from`", "twice"]),
        (HEAD + "streams:\n  Events: {from: files}\n", [":5: `streams.Events`", "cannot name a stream"]),
        (HEAD + "streams:\n  e__delta: {from: files}\n", ["`streams.e__delta`", "__delta"]),
        (HEAD + f"streams:\n  {'e' * 49}: {{from: files}}\n", ["cannot name a stream", "48"]),
        (HEAD + "streams:\n  e: {from: files, identity: id}\n", ["`streams.e.identity`", "[id]"]),
        (HEAD + "streams:\n  e: {from: files, identity: []}\n", ["`streams.e.identity`", "list of fields"]),
        (HEAD + "streams:\n  e: {from: files, identity: [a, a]}\n", ["`streams.e.identity`", "twice"]),
        (HEAD + "streams:\n  e: {from: files, identity: {a: b}}\n", ["`streams.e.identity`"]),
        (HEAD + "streams:\n  e: {from: files, disposition: upsert}\n", ["append, merge or replace", "'upsert'"]),
        (HEAD + "streams:\n  e: {from: files, disposition: mege}\n", ["did you mean merge?"]),
        (HEAD + "streams:\n  e: {from: files, version: v}\n", ["`streams.e.version`", "disposition: merge"]),
        (HEAD + "streams:\n  e: {from: files, disposition: merge}\n", ["no key", "identity: [id]"]),
        (HEAD + "streams:\n  e: {from: files, contract: frozen}\n", ["`streams.e.contract", "did you mean freeze?"]),
        (HEAD + "streams:\n  e: {from: files, contract: {type: x}}\n", ["did you mean `types`?"]),
        (HEAD + "streams:\n  e: {from: files, columns: {a: txt}}\n", ["`streams.e.columns.a`", "did you mean text?"]),
        (HEAD + "streams:\n  e: {from: files, columns: {a: 'decimal(50,2)'}}\n", ["`streams.e.columns.a`", "38"]),
        (HEAD + "streams:\n  e: {from: files, columns: {a: 'decimal(5,6)'}}\n", ["after the point"]),
        (HEAD + "streams:\n  e: {from: files, columns: [a]}\n", ["`streams.e.columns`", "`name: value`"]),
        (HEAD + "streams:\n  e: {from: files, event_time: n, columns: {n: bigint}}\n", ["which is no time"]),
        (HEAD + "streams:\n  e: {from: files, max_record_bytes: 5 apples}\n", ["`streams.e.max_record_bytes`", "16MB"]),
        (HEAD + "streams:\n  e: {from: files, max_record_bytes: 0}\n", ["`streams.e.max_record_bytes`", "greater"]),
        (
            HEAD + "streams:\n  e: {from: files, disposition: perhaps}\n",
            ["`streams.e.disposition`", "append", "'perhaps'"],
        ),
        (HEAD + "streams:\n  e: text\n", ["`streams.e`", "`name: value`"]),
        (HEAD.replace("path: d", "path: d, csv: {delimiter: §}"), ["`sources.files.csv.delimiter`", "ASCII"]),
        (HEAD.replace("path: d", 'path: d, csv: {quote: ","}'), ["`sources.files.csv`", "the same character"]),
        (HEAD + "streams: {e: }\n", ["`streams.e`"]),
        (HEAD + "load: {batch_byte: 1}\n", ["did you mean `batch_bytes`?"]),
        (HEAD + "transform: {threads: 0}\n", ["`transform.threads`", "greater than or equal to 1"]),
        (HEAD + "target: lokal\n", [":4: `target`", "did you mean local?"]),
        ("name: p\ndestinations: {d: {path: x}}\n", ["`destinations.d.type`: is missing", "duckdb or postgres"]),
        ("name: p\ndestinations: {d: {type: postgre}}\n", ["`destinations.d.type`", "did you mean postgres?"]),
        ("name: p\ndestinations: {d: {type: duckdb}}\n", ["`destinations.d.path`: is missing"]),
        ("name: p\ndestinations: {d: {type: duckdb, pth: x}}\n", ["`destinations.d.pth`", "did you mean `path`?"]),
        ("name: p\ndestinations: {d: {type: duckdb, path: x, memory_limit: much}}\n", ["such as 2GB", "'much'"]),
        ("name: p\ndestinations: {d: {type: postgres, port: 99999}}\n", ["`destinations.d.port`", "65535"]),
        ("name: p\ndestinations: {d: {type: postgres, url: 'postgresql://h/d', host: x}}\n", ["leave out host"]),
        ("name: p\ndestinations: {d: {type: postgres, url: 'postgresql://h:port/d'}}\n", ["expected postgresql://"]),
        ("name: p\ndestinations: {'a b': {type: duckdb, path: x}}\n", ["`destinations.a b`", "cannot name"]),
        (
            "name: p\ndestinations: {a: {type: duckdb, path: x}, b: {type: duckdb, path: y}}\n",
            ["2 destinations and none is chosen", "target: a"],
        ),
        (
            "name: p\ndestinations: {d: {type: duckdb, path: x}}\nsources: {s: {type: file, path: x}}\n",
            ["`sources.s.type`"],
        ),
    ],
)
def test_wrong_settings(tmp_path: Path, text: str, said: list[str]) -> None:
    """A wrong setting is named by its path, with what was expected and the nearest right name."""
    message = error(tmp_path, text)
    for words in said:
        assert words in message


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    """One error lists all that is wrong, in the order of the lines."""
    message = error(
        tmp_path,
        HEAD
        + "load: {batch_bytes: x}\nstreams:\n  a: {from: files, flaten: true}\n  b: {from: files, disposition: y}\n",
    )
    assert "3 things are wrong" in message
    places = [message.index(f"penstock.yml:{line}: ") for line in (4, 6, 7)]
    assert places == sorted(places)


def test_a_closed_contract_needs_its_fields(tmp_path: Path) -> None:
    """Where no other columns are let in, identity, version and event time have to be declared."""
    stream = "{from: files, contract: freeze, columns: {user_id: text}, identity: [userid]}"
    message = error(tmp_path, HEAD + f"streams:\n  e: {stream}\n")
    assert "field 'userid' is not among the columns" in message
    assert "did you mean user_id?" in message


def test_target_from_the_call(tmp_path: Path) -> None:
    """A destination that ``--target`` names wrongly is told as the call's mistake."""
    message = error(tmp_path, HEAD, target="loca")
    assert "--target" in message
    assert "did you mean local?" in message
