"""What the settings of a queue mean, and which do not fit each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.errors import ProjectError, SourceError, UsageError
from penstock.land.session import Session
from penstock.project import Project, RabbitMQ, load_project
from penstock.runs.batch import perform
from penstock.runs.plan import plan_run
from penstock.sources.rabbitmq.amqp import connection_parameters

HEAD = "name: p\ndestinations: {local: {type: duckdb, path: w.duckdb}}\n"


def project(
    folder: Path, source: str, streams: str = "{e: {from: q}}", environ: dict[str, str] | None = None
) -> Project:
    text = f"{HEAD}sources:\n  q: {{type: rabbitmq, queue: events, {source}}}\n  f: {{type: files, path: d}}\n"
    (folder / "penstock.yml").write_text(f"{text}streams: {streams}\n", encoding="utf-8")
    return load_project(folder, environ=environ or {})


def queue(folder: Path, source: str, environ: dict[str, str] | None = None) -> RabbitMQ:
    found = project(folder, source, environ=environ).sources["q"]
    assert isinstance(found, RabbitMQ)
    return found


def test_a_url_says_all_of_the_connection(tmp_path: Path) -> None:
    """A URL's parts arrive as if written one by one, with escapes undone and TLS by its scheme."""
    found = queue(tmp_path, "url: 'amqps://me:s%40crt@mq.example:5700/a%2Fb?heartbeat=7&verify=verify_none'")
    parameters = connection_parameters(found)
    assert (parameters.host, parameters.port, parameters.virtual_host) == ("mq.example", 5700, "a/b")
    assert (found.user, found.password.get_secret_value()) == ("me", "s@crt")
    assert (found.heartbeat_seconds, parameters.heartbeat) == (7, 7)
    assert found.tls is not None
    assert not found.tls.verify
    assert parameters.ssl_options is not None
    assert (parameters.client_properties or {})["connection_name"] == "penstock"


@pytest.mark.parametrize(
    ("source", "port", "tls"),
    [
        ("host: h", 5672, False),
        ("tls: true", 5671, True),
        ("tls: false", 5672, False),
        ("tls: {verify: false}", 5671, True),
    ],
)
def test_the_port_follows_tls(tmp_path: Path, source: str, port: int, tls: bool) -> None:
    """Without a port it is the protocol's own."""
    found = queue(tmp_path, source)
    assert (found.amqp_port, found.tls is not None) == (port, tls)


def test_secrets_stay_secret(tmp_path: Path) -> None:
    """Neither what is printed nor an error shows a password."""
    found = project(tmp_path, "url: 'amqp://me:hunter2@mq/v'")
    assert "hunter2" not in repr(found) + json.dumps(found.masked())
    assert found.masked()["sources"]["q"]["password"] == "*****"
    with pytest.raises(ProjectError) as wrong:
        project(tmp_path, "url: 'http://me:hunter2@mq/v'")
    assert "hunter2" not in str(wrong.value)
    assert "amqp://" in str(wrong.value)


def test_settings_from_variables(tmp_path: Path) -> None:
    """A queue's settings have variables too, also inside of its TLS group."""
    found = queue(
        tmp_path, "tls: true", {"PENSTOCK__SOURCES__Q__PREFETCH": "7", "PENSTOCK__SOURCES__Q__TLS__CA": "ca.pem"}
    )
    assert found.prefetch == 7
    assert found.tls is not None
    assert found.tls.ca == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("source", "streams", "says"),
    [
        ("url: 'amqp://h', host: x", "{e: {from: q}}", "leave out host"),
        ("url: 'amqp://h?x=1'", "{e: {from: q}}", "not known: x"),
        ("prefetch: 70000", "{e: {from: q}}", "65535"),
        ("queue_type: quorums", "{e: {from: q}}", "did you mean quorum"),
        ("protocol: stream", "{e: {from: q}}", "queue_type: stream"),
        ("routing_keys: a", "{e: {from: q}}", "name the exchange"),
        ("host: h", "{e: {from: q}, g: {from: [f, q]}}", "a queue of its own"),
        ("host: h", "{e: {from: q, disposition: replace, identity: [a]}}", "a queue has no end"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, source: str, streams: str, says: str) -> None:
    """Settings that make no sense, or not together, are named with what to do."""
    with pytest.raises(ProjectError) as wrong:
        project(tmp_path, source, streams)
    assert says in str(wrong.value)


def test_a_queue_is_not_loaded(tmp_path: Path) -> None:
    """Loading takes what comes to an end, and names the command that consumes when there is nothing else."""
    found = project(tmp_path, "host: h", "{e: {from: [f, q]}, g: {from: f}}")
    assert [(s.stream, s.source) for s in plan_run(found).loads] == [("e", "f"), ("g", "f")]
    found = project(tmp_path, "host: h")
    with pytest.raises(UsageError, match="penstock consume e"):
        perform(plan_run(found, ["e"]), Session(found))


def test_tls_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing certificate is an error that names it."""
    with pytest.raises(SourceError, match="none"):
        connection_parameters(queue(tmp_path, "tls: {ca: none.pem}"))
