"""What the doctor finds in a broker: each fault is made, found, and told with its cure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from penstock.errors import SourceError
from penstock.findings import Finding
from penstock.project import RabbitMQ
from penstock.sources.rabbitmq.checking import check_queue
from tests.support import commands
from tests.support.queues import a_queue, declare, publish, until, waiting
from tests.support.servers import RabbitMQServer

Diagnose = Callable[..., dict[str, Finding]]


@pytest.fixture
def diagnose(rabbitmq_server: RabbitMQServer) -> Diagnose:
    """Gives the findings on a queue by their names."""
    port = urlsplit(rabbitmq_server.management).port

    def diagnose(settings: RabbitMQ) -> dict[str, Finding]:
        asked = (
            settings.model_copy(update={"management_port": port}) if settings.management_port == 15_672 else settings
        )
        checks = check_queue("queue", asked)
        assert all(c.detail and (c.ok or c.fix) for c in checks)
        return {c.name.removeprefix("queue, "): c for c in checks}

    return diagnose


@pytest.fixture
def user(rabbitmq_server: RabbitMQServer, rabbitmq_url: str) -> Callable[..., str]:
    """Makes a user with the permissions given, and gives the address to log in with."""
    vhost = urlsplit(rabbitmq_url).path[1:]

    def user(configure: str, write: str, read: str, *, tags: str = "management") -> str:
        name = f"user_{vhost}"
        permissions = {"configure": configure, "write": write, "read": read}
        rabbitmq_server.api("PUT", f"users/{name}", {"password": "secret", "tags": tags})
        rabbitmq_server.api("PUT", f"permissions/{vhost}/{name}", permissions)
        parts = urlsplit(rabbitmq_url)
        return urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))

    return user


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_nothing_is_wrong(diagnose: Diagnose, rabbitmq_url: str, kind: str) -> None:
    """On a queue as penstock declares it, also before it is declared, and nothing is changed by looking."""
    settings = a_queue(rabbitmq_url, kind, exchange="facts", routing_keys="a.#")
    before = diagnose(settings)
    assert "will be declared" in before["queue"].detail
    declare(settings)
    publish(settings, [b"{}"] * 3)
    after = diagnose(settings)
    for checks in (before, after):
        assert all(c.ok for c in checks.values()), checks
        assert checks["permissions"].detail == "read, configure, write granted"
    if kind != "stream":
        assert waiting(settings) == 3


def test_no_message_is_touched(diagnose: Diagnose, rabbitmq_url: str, rabbitmq_server: RabbitMQServer) -> None:
    """Looking at a quorum queue does not count as a delivery."""
    settings = a_queue(rabbitmq_url, arguments={"x-delivery-limit": 1, "x-dead-letter-exchange": "dead"})
    publish(settings, [b"{}"])
    for _ in range(4):
        assert not diagnose(settings)["dead letters"].ok
    assert waiting(settings) == 1


def test_broker_away() -> None:
    """An error as for any source."""
    with pytest.raises(SourceError, match="away"):
        check_queue("queue", a_queue("amqp://guest:guest@127.0.0.1:9"))


def test_queue_missing(diagnose: Diagnose, rabbitmq_url: str) -> None:
    """Where it may not be declared, it has to be there."""
    with pytest.raises(SourceError, match="no queue"):
        diagnose(a_queue(rabbitmq_url, declare=False))


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        (("", ".*", ".*"), "configure"),
        ((".*", "", ".*"), "write"),
        ((".*", ".*", ""), "read, write"),  # binding reads from the exchange
        (("", "", ""), "read, configure, write"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_permissions(
    diagnose: Diagnose,
    user: Callable[..., str],
    rabbitmq_url: str,
    granted: tuple[str, str, str],
    missing: str,
    there: bool,
) -> None:
    """Those that are missing are named, whether the queue is there yet or not."""
    settings = a_queue(user(*granted), exchange="facts")
    if there:
        declare(a_queue(rabbitmq_url, exchange="facts").model_copy(update={"queue": settings.queue}))
    found = diagnose(settings)["permissions"]
    assert not found.ok
    assert f"may not {missing} in" in found.detail
    assert "set_permissions" in found.fix


def test_permission_that_only_publishing_needs(diagnose: Diagnose, user: Callable[..., str], rabbitmq_url: str) -> None:
    """Told, and no fault."""
    settings = a_queue(user("", "", ".*"), declare=False)
    declare(settings.model_copy(update={"declare": True, **_account(rabbitmq_url)}))
    found = diagnose(settings)["permissions"]
    assert found.ok
    assert "only penstock publish needs" in found.detail


def test_another_type(diagnose: Diagnose, rabbitmq_url: str) -> None:
    """The queue is not what the project says."""
    settings = a_queue(rabbitmq_url, "classic")
    declare(settings)
    found = diagnose(settings.model_copy(update={"queue_type": "quorum"}))["type"]
    assert not found.ok
    assert found.fix.startswith("queue_type: classic")


def test_quorum_without_dead_letters(diagnose: Diagnose, rabbitmq_url: str, rabbitmq_server: RabbitMQServer) -> None:
    """With a delivery limit, a message is dropped; a policy mends it."""
    settings = a_queue(rabbitmq_url, arguments={"x-delivery-limit": 20})
    declare(settings)
    found = diagnose(settings)["dead letters"]
    assert not found.ok
    assert "dropped after 20 deliveries" in found.detail
    _policy(rabbitmq_server, rabbitmq_url, {"dead-letter-exchange": "dead"})
    until(lambda: diagnose(settings)["dead letters"].ok, "the policy is not seen")


def test_few_deliveries(diagnose: Diagnose, rabbitmq_url: str) -> None:
    """A few crashes, and what was in hand leaves the queue."""
    settings = a_queue(rabbitmq_url, arguments={"x-delivery-limit": 2, "x-dead-letter-exchange": "dead"})
    declare(settings)
    found = diagnose(settings)["dead letters"]
    assert not found.ok
    assert "after 2 deliveries" in found.detail


def test_mirrored(diagnose: Diagnose, rabbitmq_url: str, rabbitmq_server: RabbitMQServer) -> None:
    """A classic queue that a policy mirrors."""
    settings = a_queue(rabbitmq_url, "classic")
    declare(settings)
    _policy(rabbitmq_server, rabbitmq_url, {"ha-mode": "all"})
    until(lambda: "mirroring" in diagnose(settings), "the policy is not seen")
    found = diagnose(settings)["mirroring"]
    assert not found.ok
    assert "clear_policy" in found.fix


@pytest.mark.parametrize("said", [{"batch_seconds": 3600}, {"arguments": {"x-consumer-timeout": 400}}])
def test_consumer_timeout(diagnose: Diagnose, rabbitmq_url: str, said: dict[str, Any]) -> None:
    """Messages are held for longer than the broker has patience; also of a queue that is not there yet."""
    settings = a_queue(rabbitmq_url, "classic", **said)
    for _ in range(2):
        found = diagnose(settings)["consumer timeout"]
        assert not found.ok
        assert "batch_seconds" in found.fix
        declare(settings)


def test_prefetch(diagnose: Diagnose, rabbitmq_url: str) -> None:
    """More is sent ahead than is held."""
    settings = a_queue(rabbitmq_url, "classic", prefetch=1000)
    publish(settings, [b"x" * 200_000] * 3)
    until(lambda: "prefetch" in diagnose(settings), "the broker's figures do not come")
    found = diagnose(settings)["prefetch"]
    assert not found.ok
    assert found.fix == f"prefetch: {(64 << 20) // 200_000}"
    assert diagnose(settings.model_copy(update={"prefetch": 300}))["prefetch"].ok


def test_no_management_api(diagnose: Diagnose, user: Callable[..., str], rabbitmq_url: str) -> None:
    """It is said that it cannot be asked, and why; that is no fault."""
    away = diagnose(a_queue(rabbitmq_url, "classic", management_port=9))["management API"]
    assert away.ok
    assert "does not answer" in away.detail
    refused = diagnose(a_queue(user(".*", ".*", ".*", tags=""), "classic"))["management API"]
    assert refused.ok
    assert "set_user_tags" in refused.detail


def test_command(tmp_path: Path, rabbitmq_url: str, rabbitmq_server: RabbitMQServer) -> None:
    """The findings are among the doctor's, and no password is."""
    settings = a_queue(rabbitmq_url, arguments={"x-delivery-limit": 3})
    declare(settings)
    (tmp_path / "penstock.yml").write_text(
        f"""
name: trial
destinations: {{ local: {{ type: duckdb, path: w.duckdb }} }}
sources:
  queue:
    type: rabbitmq
    url: "{rabbitmq_url}"
    queue: {settings.queue}
    management_port: {urlsplit(rabbitmq_server.management).port}
    arguments: {{ x-delivery-limit: 3 }}
streams: {{ events: {{ from: queue }} }}
"""
    )
    done = commands.penstock(tmp_path, "doctor", "--json")
    found = {check["check"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert not found["source queue of events, dead letters"]["ok"]
    assert found["source queue of events, permissions"]["ok"]
    assert "guest:guest" not in done.stdout


def _policy(server: RabbitMQServer, url: str, definition: dict[str, Any]) -> None:
    vhost = quote(urlsplit(url).path[1:], safe="")
    server.api("PUT", f"policies/{vhost}/trial", {"pattern": ".*", "definition": definition, "apply-to": "queues"})


def _account(url: str) -> dict[str, Any]:
    settings = a_queue(url)
    return {"user": settings.user, "password": settings.password}
