"""Messages to real servers: what they say, who may read what, and what becomes of them when nobody takes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.alerts import delivery
from penstock.alerts.delivery import Outbox, Outcome, deliver_now, send
from penstock.alerts.notices import Problem
from penstock.alerts.wording import Message, guarded
from penstock.errors import DeliveryError, RefusedDelivery
from penstock.project import Channel, Project, load_project
from tests.support.queues import until
from tests.support.receiver import free_port, mail_server, receiver
from tests.support.up import call

BEGAN = datetime(2026, 5, 1, 12, tzinfo=UTC)
FAILING = Problem(
    alert="schedule_failed",
    subject="schedule daily",
    first_failed_at=BEGAN,
    last_failed_at=BEGAN,
    told="failed",
    told_at=BEGAN,
    what="field odd is <not> in the contract & more",
    where="events.json",
    fix="penstock load",
    run=42,
    updated_at=BEGAN,
)
WELL = replace(
    FAILING,
    subject="schedule hourly",
    told="recovered",
    well_since=BEGAN + timedelta(hours=2, minutes=5),
    recovered_at=BEGAN + timedelta(hours=3),
)


def a_message(*problems: Problem) -> Message:
    """One message."""
    return Message(project="shop", target="here", problems=problems, sent_at=BEGAN + timedelta(hours=3), host="h1")


def a_channel(**settings: Any) -> Channel:
    """A channel."""
    return Channel.model_validate(settings)


def test_json() -> None:
    """The JSON says project, target, host, what, where, the fix, since when, the run and the command to look with; of a
    recovery, how long it lasted; it is signed as Standard Webhooks has it, and headers of the settings come along."""
    with receiver() as server:
        webhook = {
            "url": server.url, "headers": {"Authorization": "Bearer sesame"}, "secret": "whsec_" + "c2VzYW1l" * 4,
        }  # fmt: skip
        message = a_message(FAILING, WELL)
        send(a_channel(webhook=webhook), message)
        (post,) = server.posts
    said = post.said
    assert {k: said[k] for k in ("version", "event", "project", "target", "host", "id")} == {
        "version": 1, "event": "alert", "project": "shop", "target": "here", "host": "h1", "id": message.id,
    }  # fmt: skip
    failing, well = said["alerts"]
    assert failing == {
        "alert": "schedule_failed", "subject": "schedule daily", "event": "failed",
        "what": "field odd is <not> in the contract & more", "where": "events.json", "fix": "penstock load",
        "look": "penstock runs show 42", "run": 42, "failures": 1, "since": "2026-05-01T12:00:00+00:00",
        "recovered_at": None, "lasted_seconds": None,
    }  # fmt: skip
    assert (well["event"], well["lasted_seconds"]) == ("recovered", 7500.0)
    assert "schedule hourly: recovered after 2h5m" in said["text"]
    assert said["subject"] == "[shop] failing: schedule daily; recovered: schedule hourly"
    assert post.headers["authorization"] == "Bearer sesame"
    signed = ".".join((post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body.decode()))
    wanted = hmac.new(base64.b64decode("c2VzYW1l" * 4), signed.encode(), hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(wanted).decode()}"
    assert post.headers["webhook-id"] == message.id


def test_slack_and_teams() -> None:
    """Slack gets text with its three characters escaped, Teams a card; which one is told from the host."""
    with receiver() as server:
        send(a_channel(webhook={"url": server.url, "format": "slack"}), a_message(FAILING))
        send(a_channel(webhook={"url": server.url, "format": "teams"}), a_message(FAILING))
        slack, teams = (post.said for post in server.posts)
    assert slack["text"].startswith("*[shop] failing: schedule daily*\n")
    assert "field odd is &lt;not&gt; in the contract &amp; more" in slack["text"]
    assert "penstock runs show 42" in slack["text"]
    (card,) = (a["content"] for a in teams["attachments"])
    assert card["type"] == "AdaptiveCard" and card["body"][0]["text"] == "[shop] failing: schedule daily"
    kinds = {
        "https://hooks.slack.com/services/x": "slack",
        "https://prod-1.westeurope.logic.azure.com/x": "teams",
        "https://example.com/hooks.slack.com": "json",
    }
    for url, kind in kinds.items():
        webhook = a_channel(webhook=url).webhook
        assert webhook is not None and webhook.kind == kind


def test_mail(tmp_path: Path) -> None:
    """Mail goes by STARTTLS, with a certificate that is checked, and a user: one message to all recipients."""
    with mail_server(tmp_path) as server:
        email = {
            "host": "127.0.0.1", "port": server.port, "ca": server.ca, "user": "penstock", "password": "hunter2",
            "from": "Penstock <data@example.com>", "to": ["a@example.com", "b@example.com"],
        }  # fmt: skip
        message = a_message(FAILING)
        send(a_channel(email=email), message)
        (mail,) = server.taken
        with pytest.raises(RefusedDelivery, match="535") as wrong:
            send(a_channel(email={**email, "password": "hunter3"}), message)
        assert "hunter3" not in str(wrong.value)
        with pytest.raises(RefusedDelivery, match="not trusted"):
            send(a_channel(email={k: v for k, v in email.items() if k != "ca"}), message)
        server.refuse = "451 later"
        with pytest.raises(DeliveryError, match="451") as later:
            send(a_channel(email=email), message)
        assert not isinstance(later.value, RefusedDelivery)
    assert mail["Subject"] == "[shop] failing: schedule daily" and mail["To"] == "a@example.com, b@example.com"
    assert mail["Message-ID"] == f"<{message.id}@example.com>" and mail["Auto-Submitted"] == "auto-generated"
    assert "penstock runs show 42" in mail.get_content()
    with pytest.raises(DeliveryError, match="did not answer"):
        send(a_channel(email=email), message)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries that follow each other soon."""
    monkeypatch.setattr(delivery, "FIRST_BACKOFF_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "LAST_BACKOFF_SECONDS", 0.2)


@pytest.mark.usefixtures("quick")
def test_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """An address that answers 500, asks for patience, or says nothing is tried again with the same id, until it takes
    the message; one that refuses is not. Nothing that is said or logged of it has the address."""
    caplog.set_level(logging.DEBUG)
    with receiver() as server:
        channel = a_channel(webhook={"url": server.url, "timeout_seconds": 0.3})
        server.answers = [500, 429, 1.0, 503]
        server.headers = {"Retry-After": "1"}
        began = time.monotonic()
        (outcome,) = deliver_now([channel], a_message(FAILING), 20)
        assert outcome.error is None and server.tries == 5 and len(server.posts) == 1
        assert time.monotonic() - began >= 3, "it waits as long as it is asked to"
        server.answers = [404]
        (refused,) = deliver_now([channel], a_message(FAILING), 20)
        assert isinstance(refused.error, RefusedDelivery) and server.tries == 6
        assert "answered 404" in refused.error.what and "T0PSECRET" not in str(refused.error)
    away = a_channel(webhook=f"http://127.0.0.1:{free_port()}/T0PSECRET")
    (gone,) = deliver_now([away], a_message(FAILING), 0.3)
    assert gone.error is not None and "T0PSECRET" not in str(gone.error)
    assert "T0PSECRET" not in caplog.text


@pytest.mark.usefixtures("quick")
def test_one_channel_holds_up_no_other() -> None:
    """While one channel hangs, the other has its messages, in their order; ``only`` keeps out the rest."""
    outcomes: list[Outcome] = []
    with receiver() as hanging, receiver() as good, receiver() as choosy:
        hanging.answers = [3.0]
        channels = [
            a_channel(webhook={"url": hanging.url, "timeout_seconds": 30}),
            a_channel(webhook=good.url),
            a_channel(webhook=choosy.url, only=["models_failed"]),
        ]
        outbox = Outbox(channels, outcomes.append)
        began = time.monotonic()
        outbox.put(a_message(FAILING))
        outbox.put(a_message(WELL, replace(FAILING, alert="models_failed", subject="models")))
        assert time.monotonic() - began < 1
        until(lambda: len(good.posts) == 2 and len(choosy.posts) == 1, "the others have theirs")
        assert not hanging.posts
        assert good.events() == [
            ("failed", "schedule daily"), ("recovered", "schedule hourly"), ("failed", "models"),
        ]  # fmt: skip
        assert choosy.events() == [("failed", "models")]
        until(lambda: len(hanging.posts) == 2, "it comes to itself")
        outbox.close(5)
    assert not [t for t in threading.enumerate() if t.name.startswith("notify ")]


def a_project(folder: Path, **settings: Any) -> Project:
    """A project with a stream of files."""
    folder.mkdir(exist_ok=True)
    file = {
        "name": "told",
        "destinations": {"here": {"type": "duckdb", "path": "warehouse.duckdb"}},
        "sources": {"files": {"type": "files", "path": "data/*.ndjson"}},
        "streams": {"things": {"from": "files"}},
        "transform": False,
        **settings,
    }
    (folder / "penstock.yml").write_text(json.dumps(file))
    return load_project(folder)


def test_what_leaves_the_house(tmp_path: Path) -> None:
    """No password, no mail address, and in a project with personal data nothing that an engine quoted."""
    open_ = a_project(tmp_path / "open")
    private = a_project(
        tmp_path / "private",
        streams={"things": {"from": "files", "pii": "mail"}},
        privacy={"keys": {"k1": "0" * 64}},
    )
    text = "postgresql://u:hunter2@h/d: cannot cast 'Ann Smith' of ann@example.com; Key (id)=(4711) exists"
    assert guarded(text, open_) == "postgresql://u:*****@h/d: cannot cast 'Ann Smith' of *****; Key (id)=(4711) exists"
    assert guarded(text, private) == "postgresql://u:*****@h/d: cannot cast ***** of *****; Key (id)=***** exists"
    assert len(guarded("x" * 9_000, open_)) < 1_100


def test_notify_command(tmp_path: Path) -> None:
    """``penstock notify --test`` sends to each channel and says how it went; without channels it says what to add."""
    with receiver() as good, receiver() as bad:
        bad.answers = [403]
        directory = a_project(tmp_path / "p", notify=[{"webhook": good.url}, {"webhook": bad.url}]).directory
        listed = call(directory, "notify")
        assert listed.returncode == 0 and "webhook 127.0.0.1" in listed.stdout and "SECRET" not in listed.stdout
        tested = call(directory, "notify", "--test")
        assert tested.returncode == 1
        assert "ok    webhook" in tested.stdout and "FAIL  webhook" in tested.stdout and "answered 403" in tested.stdout
        assert good.posts[0].said["event"] == "test" and good.posts[0].said["alerts"] == []
        assert json.loads(call(directory, "notify", "--test", "--json").stdout)[0]["arrived"]
        assert "SECRET" not in call(directory, "explain", "--json").stdout
    none = call(a_project(tmp_path / "q").directory, "notify", "--test")
    assert none.returncode == 2 and "notify:" in none.stderr
