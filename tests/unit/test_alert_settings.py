"""``expect:`` and ``notify:`` in the project file: what they may say, and what is said of what they may not."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has none

from penstock.alerts.catalogue import ALERTS
from penstock.errors import ProjectError
from penstock.project import Project, load_project
from penstock.project.notify import ALERT_NAMES
from tests.support.pages import codes, rows_under
from tools.reference.configuration import project_schema

ROOT = Path(__file__).parents[2]


def a_project(folder: Path, expect: Any = None, environ: dict[str, str] | None = None, **settings: Any) -> Project:
    """A project that expects something of a stream, and of its queue."""
    file = {
        "name": "p",
        "destinations": {"here": {"type": "duckdb", "path": "w.duckdb"}},
        "sources": {"f": {"type": "files", "path": "d"}, "q": {"type": "rabbitmq", "queue": "q"}},
        "streams": {
            "a": {"from": "f", "event_time": "at", "expect": [] if expect is None else expect},
            "b": {"from": "q"},
        },
        **settings,
    }
    problems = list(Draft202012Validator(project_schema()).iter_errors(file))
    (folder / "penstock.yml").write_text(json.dumps(file, indent=1))
    found = load_project(folder, environ=environ or {})
    assert not problems, problems
    return found


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("fresh within 10m", ["fresh within 10m"]),
        ("  fresh   within 1h30m OR warn ", ["fresh within 1h30m"]),
        (["checked within 90", "event_time within 2h"], ["checked within 1m30s", "event_time within 2h"]),
        ("rows >= 1_000 per day", ["rows >= 1000 per day"]),
        ("rows <=5 within 1h", ["rows <= 5 in 1h"]),
        ("rows between 100 and 5000 per week", ["rows between 100 and 5000 per week"]),
        ("quarantined <= 1 % in 2d", ["quarantined <= 1% in 2d"]),
        ("quarantined <= 0.5%", ["quarantined <= 0.5% in 1d"]),
        ({"fresh_within": "10m"}, ["fresh within 10m"]),
        (
            {"fresh_within": "10m", "rows": {"per": "day", "at_least": 1, "at_most": 2}, "severity": "warn"},
            ["fresh within 10m", "rows between 1 and 2 per day"],
        ),
        ([{"quarantined": {"at_most": 20, "within": "1d"}}, "rows >= 1 in 1d"],
         ["quarantined <= 20 in 1d", "rows >= 1 in 1d"]),
    ],
)  # fmt: skip
def test_what_can_be_expected(tmp_path: Path, expect: Any, words: list[str]) -> None:
    """Each form is taken, is in the JSON Schema, and is said in the same words, which are read as the same again."""
    found = a_project(tmp_path, expect).streams["a"].expect
    assert [e.words for e in found] == words
    again = a_project(tmp_path, words).streams["a"].expect
    assert [e.model_copy(update={"severity": "error"}) for e in found] == list(again)
    warned = "warn" in str(expect)
    assert {e.severity for e in found} == {"warn" if warned else "error"}


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("frsh within 10m", ["streams.a.expect`", "did you mean fresh?"]),
        ("fresh within soon", ["expected a time such as", "'soon'"]),
        ("fresh within 0s", ["less than a second"]),
        ("rows > 5 per day", ["'rows > 5 per day' is no expectation: rows takes >= or <=; write `fresh within 10m`"]),
        ("rows >= 5 pro day", ["is no expectation; write `fresh within 10m`"]),
        ("quarantined < 1%", ["quarantined takes <=;"]),
        ("rows >= 5 per month", ["per hour, per day, per week"]),
        ("quarantined <= 101%", ["expected a share such as 1%"]),
        (["fresh within 1h", "fresh within 60m"], ["expect[1]", "fresh within 1h stands there twice"]),
        ([{"fresh_withn": "1h"}], ["expect[0].fresh_withn", "did you mean `fresh_within`?"]),
        ({"rows": {"at_least": 5}}, ["expect.rows`", "per: or within:"]),
        ({"rows": {"at_least": 5, "at_most": 4, "per": "day"}}, ["at_least: is more than at_most:"]),
        ({"severity": "warn"}, ["expected one of fresh_within"]),
        ({"fresh_within": "1h", "severity": "wran"}, ["did you mean warn?"]),
        (7, ["expected a list"]),
    ],
)
def test_what_cannot_be_expected(tmp_path: Path, expect: Any, said: list[str]) -> None:
    """What is wrong is named with its line and setting, and what was probably meant."""
    with pytest.raises(ProjectError) as e:
        a_project(tmp_path, expect)
    text = str(e.value)
    assert all(part in text for part in said), text
    line = int(text.split("penstock.yml:")[1].split(":")[0])
    assert line > 20


def test_what_can_never_be_told(tmp_path: Path) -> None:
    """A queue is not asked, and a stream without an event time has no latest event."""
    streams = {"b": {"from": "q", "expect": ["checked within 1h", "event_time within 1h"]}}
    with pytest.raises(ProjectError, match=r"write fresh within 1h(.|\n)*name the field: event_time"):
        a_project(tmp_path, streams=streams)


def test_channels(tmp_path: Path) -> None:
    """A list of channels stands for the whole group; an address alone for a webhook. A variable that is not set is an
    error, unless it may be empty: then there is no channel."""
    mail = {"host": "mail.example.com", "from": "Data <d@example.com>", "to": "a@example.com"}
    notify: list[Any] = [{"webhook": "${URL}"}, {"email": mail, "only": ["models_failed"]}, {"webhook": "${NO:-}"}]
    (tmp_path / "penstock.yml").write_text("")
    found = a_project(tmp_path, notify=notify, environ={"URL": "https://hooks.slack.com/services/T/B/s3cr3t"})
    first, second = found.notify.channels
    assert first.name == "webhook hooks.slack.com" and first.webhook is not None and first.webhook.kind == "slack"
    assert second.email is not None and second.email.address == "mail.example.com:587"
    assert "s3cr3t" not in str(found) + json.dumps(found.masked())
    with pytest.raises(ProjectError, match="URL is not set"):
        a_project(tmp_path, notify=notify)
    group = {"to": notify, "after": 2, "for": "5m", "remind_every": "0s"}
    assert a_project(tmp_path, notify=group, environ={"URL": "http://h"}).notify.after == 2
    environ = {"URL": "http://h", "PENSTOCK__NOTIFY__CALM": "1h"}
    more = a_project(tmp_path, notify=notify, environ=environ).notify
    assert len(more.channels) == 2 and more.calm.total_seconds() == 3600


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({"webhok": "x"}, "did you mean `webhook`?"),
        ({"webhook": "ftp://s3cr3t"}, "notify[0].webhook`: expected an address such as https://"),
        ({"webhook": {"url": "https://s3cr3t", "formt": "slack"}}, "did you mean `format`?"),
        ({"webhook": {"url": "https://s3cr3t", "headers": {"A": "s3cr3t\nB"}}}, "one line"),
        ({}, "webhook: or email:"),
        ({"email": {"host": "h", "from": "d@e.f", "to": []}}, "at least one"),
        ({"email": {"host": "h", "to": "d@e.f"}}, "email.from`: is missing\n  fix: from: penstock@example.com"),
        ("https://s3cr3t", "notify[0]`: expected webhook: or email:, not a text: write `- webhook: https://…`"),
        ({"email": {"host": "h", "from": "nobody", "to": "d@e.f"}}, "expected an address such as data@example.com"),
        ({"email": {"host": "h", "from": "d@e.f", "to": "d@e.f", "user": "u"}}, "both user: and password:"),
        (
            {"email": {"host": "h", "from": "d@e.f", "to": "d@e.f", "user": "u", "password": "s3cr3t", "tls": "none"}},
            "for all to read",
        ),
        ({"webhook": "https://h", "only": ["model_failed"]}, "did you mean models_failed?"),
    ],
)
def test_wrong_channels(tmp_path: Path, channel: Any, said: str) -> None:
    """What is wrong with a channel is named, and no secret with it."""
    with pytest.raises(ProjectError) as e:
        a_project(tmp_path, notify=[channel])
    assert said in str(e.value) and "s3cr3t" not in str(e.value)


def test_an_address_is_no_list(tmp_path: Path) -> None:
    """An address in the place of the list is met by an example, and not shown; a stream's source is named as such."""
    with pytest.raises(ProjectError) as e:
        a_project(tmp_path, notify="http://s3cr3t")
    assert "`notify`: expected a list of channels, not a text: write `- webhook: https://…`" in str(e.value)
    assert "s3cr3t" not in str(e.value)
    with pytest.raises(ProjectError, match="name the source that the records come from"):
        a_project(tmp_path, streams={"a": {}})


def test_the_catalogue() -> None:
    """Every alert has a meaning, is in the settings and on the page, in the same words."""
    assert tuple(ALERTS) == ALERT_NAMES
    assert all(getattr(alert, f.name) for alert in ALERTS.values() for f in fields(alert))
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    rows = {codes(row[0])[0]: row[1:] for row in rows_under(page, "## The alerts")}
    wanted = {
        a.name: [a.subject, a.meaning, a.well_again, a.do, f"`{a.look}`"] for a in ALERTS.values()
    }  # fmt: skip
    assert rows == wanted
