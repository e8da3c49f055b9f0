"""Logs: one record a line, for people or for programs, with their context and without secrets."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.errors import DestinationError, UsageError
from penstock.logs import FORMAT_VARIABLE, LEVEL_VARIABLE, Commits, bound, captured, configure, described, get_log
from penstock.ports import Receipt
from penstock.sources.http.secrets import MaskedLog, Secrets
from tests.support.queues import until

log = get_log("part")


class Terminal(io.StringIO):
    """As standard error is for a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The logs of the tests' own process are as they were."""
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    monkeypatch.delenv(FORMAT_VARIABLE, raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    monkeypatch.undo()
    configure()
    root.handlers[:] = handlers
    root.setLevel(level)


def records(written: str) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in written.splitlines()]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal: an object a line, times in UTC, the context with it."""
    configure(serves=True)
    with bound(run_id=7, stream="events", source=None), bound(load_id=3):
        log.info("landed", read=2, moment=datetime(2026, 5, 1, tzinfo=UTC), nothing=None)
    log.debug("not this")
    (record,) = records(capsys.readouterr().err)
    assert list(record)[:4] == ["timestamp", "level", "logger", "event"]
    assert datetime.fromisoformat(record.pop("timestamp")).utcoffset() == timedelta(0)
    assert record == {
        "level": "info", "logger": "part", "event": "landed", "run_id": 7, "stream": "events", "load_id": 3, "read": 2,
        "moment": "2026-05-01 00:00:00+00:00",
    }  # fmt: skip


def test_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: time, level, event, fields; coloured, unless NO_COLOR asks for none."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure(serves=True)
    log.info("landed", read=2)
    coloured = terminal.getvalue()
    assert "\x1b[" in coloured and "landed" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    log.info("landed", read=2, why="a b")
    plain = terminal.getvalue().removeprefix(coloured)
    assert "\x1b[" not in plain and plain.split()[1:4] == ["[info", "]", "landed"]
    assert "read=2" in plain and "why='a b'" in plain


def test_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """A password is in no record: not in its event, fields, errors nor tracebacks, whoever wrote it."""
    configure(serves=True)
    url = "postgresql://me:hunter2@host/db"
    log.info(f"at {url}", address=url, password="hunter2", deep={"api_key": "hunter2", "urls": [url]})
    log.error("failed", **described(DestinationError(f"cannot reach {url}", fix="password=hunter2")))
    log.warning("odd", cause=ValueError(f"token: hunter2 {url}"))
    try:
        secret = "hunter2"  # a local, which no traceback shows
        raise ConnectionError(f"refused: {url}, {'pwd=' + secret}")
    except ConnectionError:
        logging.getLogger("pika.adapters").exception("lost %s", url)
    written = capsys.readouterr().err
    assert "hunter2" not in written and len(records(written)) == 4
    last = records(written)[-1]
    assert last["logger"] == "pika.adapters" and last["exception"][0]["exc_type"] == "ConnectionError"
    assert all("locals" not in frame for frame in last["exception"][0]["frames"])


def test_masks_of_http_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """What the filter of an HTTP source masks stays masked."""
    configure(level="debug")
    logger, masked = logging.getLogger("httpx2"), MaskedLog(Secrets(["s3cr3t-value"]))
    logger.addFilter(masked)
    try:
        logger.info("%s %s", "https://a.example/?q=s3cr3t-value", "s3cr3t-value")
    finally:
        logger.removeFilter(masked)
    (record,) = records(capsys.readouterr().err)
    assert "s3cr3t" not in json.dumps(record) and record["event"].startswith("https://a.example/?q=")


def test_levels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is stronger than the project file, and ``--verbose`` than both; others' info is for debugging."""
    configure()
    log.info("no")
    configure(level="info")
    log.info("file")
    logging.getLogger("pika").info("no")
    configure(serves=True, level="info", quiet=True)
    log.info("no")
    monkeypatch.setenv(LEVEL_VARIABLE, "ERROR")
    configure(serves=True, level="debug")
    log.warning("no")
    configure(verbose=True)
    log.info("verbose")
    configure(serves=True, verbose=True)
    log.debug("more")
    logging.getLogger("pika").info("theirs")
    assert [r["event"] for r in records(capsys.readouterr().err)] == ["file", "verbose", "more", "theirs"]
    monkeypatch.setenv(LEVEL_VARIABLE, "loud")
    with pytest.raises(UsageError, match="PENSTOCK_LOG_LEVEL is 'loud'"):
        configure()


def test_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be written hinders nobody."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        configure(serves=True)
        log.info("landed")
        monkeypatch.undo()
        with contextlib.suppress(BrokenPipeError):
            gone.close()


def test_threads_have_their_own_context() -> None:
    """A thread knows of what its maker was about only if it is given its context."""
    with captured() as found:
        with bound(stream="events"):
            alone = threading.Thread(target=log.info, args=("alone",))
            given = threading.Thread(target=copy_context().run, args=(log.info, "given"))
            for thread in (alone, given):
                thread.start()
                thread.join()
        log.info("after")
    assert [(r["event"], r.get("stream")) for r in found] == [("alone", None), ("given", "events"), ("after", None)]


def a_receipt(load_id: int) -> Receipt:
    """Of ten records."""
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Receipt(
        load_id=load_id, seq=load_id, stream="s", source="f", read=10, landed=7, duplicates=2, quarantined=1, deleted=0,
        bytes=100, started_at=at, committed_at=at + timedelta(seconds=0.5),
    )  # fmt: skip


def test_many_commits_are_summed_up() -> None:
    """The first commit is told at once, those that follow together, by a timer when no more come; each of them is told
    at level debug."""
    with captured() as found:
        commits = Commits(log, every_seconds=0.4, stream="s")
        for number in range(1, 1_001):
            commits(a_receipt(number))
        until(lambda: sum(r["event"] == "landed" for r in found) >= 2, "the timer")
        commits.flush()
    sums = [r for r in found if r["event"] == "landed"]
    assert sums[0]["commits"] == 1 and sums[0]["load_id"] == 1
    assert len(sums) <= 5 and sums[-1]["load_id"] == 1_000
    assert sum(r["commits"] for r in sums) == 1_000 and sum(r["read"] for r in sums) == 10_000
    assert sum(r["event"] == "committed" and r["level"] == "debug" for r in found) == 1_000
    assert {r["stream"] for r in sums} == {"s"}


def test_commands() -> None:
    """A command's error is text; that of one that serves is a record where its log is JSON."""
    words = [sys.executable, "-m", "penstock"]
    for options, command, is_record in (
        ([], "load", False),
        (["--log-format", "json"], "up", True),
        (["--log-format", "text"], "up", False),
    ):
        done = subprocess.run([*words, *options, command], capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 2
        if is_record:
            (record,) = records(done.stderr)
            assert record["event"] == "failed" and record["exit_code"] == 2 and "penstock init" in record["fix"]
        else:
            assert done.stderr.startswith("error: ") and "fix: " in done.stderr
    wrong = subprocess.run([*words, "--log-level", "loud", "load"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "debug, info, warning or error" in wrong.stderr
