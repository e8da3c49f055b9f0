"""The broker's settings of the platform, in a RabbitMQ: plugins, the first user, streams."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.testing.private import free_port
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.compose import ROOT

SETTINGS = ROOT / "scripts" / "rabbitmq"
pytestmark = pytest.mark.slow  # a broker of its own, and settings that rarely change
USER, PASSWORD = "penstock", "f00dfeed" * 6


class Configured(PrivateRabbitMQ):
    """A broker with the settings that Compose mounts and the service's first user. Ports are its own."""

    def _configure(self) -> None:
        super()._configure()
        for name, file in (("enabled_plugins", "enabled_plugins"), ("rabbitmq.conf", "penstock.conf")):
            (self.folder / name).write_text((SETTINGS / file).read_text())
        listeners = {
            "rabbit": f'{{tcp_listeners, [{{"127.0.0.1", {self.port}}}]}}',
            "rabbitmq_management": f'{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {self.management_port}}}]}}',
            "rabbitmq_prometheus": f'{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {free_port()}}}]}}',
            "rabbitmq_stream": f'{{tcp_listeners, [{{"127.0.0.1", {self.stream_port}}}]}}',
        }
        terms = ", ".join(f"{{{application}, [{said}]}}" for application, said in listeners.items())
        (self.folder / "advanced.config").write_text(f"[{terms}].\n")
        self._environment |= {
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_DEFAULT_USER": USER,
            "RABBITMQ_DEFAULT_PASS": PASSWORD,
        }


@pytest.fixture(scope="module")
def broker() -> Iterator[Configured]:
    """One broker for all."""
    with Configured() as server:
        yield server


def api(broker: Configured, path: str, account: str = f"{USER}:{PASSWORD}") -> Any:
    """What the management API answers."""
    token = base64.b64encode(account.encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{broker.management_port}/api/{path}", headers={"authorization": f"Basic {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_plugins(broker: Configured) -> None:
    """Management, metrics for Prometheus and the stream protocol run."""
    running = broker.ctl("eval", "rabbit_plugins:active().")
    assert all(f"rabbitmq_{name}" in running for name in ("management", "prometheus", "stream")), running


def test_first_user(broker: Configured) -> None:
    """The first user may administer, and there is no guest."""
    assert [(u["name"], u["tags"]) for u in api(broker, "users")] == [(USER, ["administrator"])]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        api(broker, "users", "guest:guest")


def test_limits(broker: Configured) -> None:
    """The settings were read: a watermark of memory, and of disk."""
    assert float(broker.ctl("eval", "vm_memory_monitor:get_vm_memory_high_watermark().")) == 0.6
    assert int(broker.ctl("eval", "rabbit_disk_monitor:get_disk_free_limit().")) == 10**9


def test_advertised_host(broker: Configured) -> None:
    """Clients of the stream protocol are sent to the name that the other services know."""
    said = broker.ctl("eval", "rabbit_stream:host().")
    assert "rabbitmq" in said, said
