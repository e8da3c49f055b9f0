"""An object store with an Iceberg REST catalog, of a test's own: SeaweedFS, which the environment for Spark has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

BUCKET = "lake"
_ACCOUNT = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "of-these-tests"}
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port",
    "s3.port.grpc", "s3.port.iceberg",
)  # fmt: skip


class PrivateSeaweed:
    """The server, from the start of the block to its end; its files are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Those of a destination in it."""
        properties = {
            "s3.endpoint": f"http://127.0.0.1:{self._ports['s3.port']}",
            "s3.access-key-id": _ACCOUNT["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": _ACCOUNT["AWS_SECRET_ACCESS_KEY"],
            "s3.region": "us-east-1",
        }
        catalog = {
            "type": "rest",
            "uri": f"http://127.0.0.1:{self._ports['s3.port.iceberg']}",
            "properties": {"credential": ":".join(_ACCOUNT.values())},
        }
        return {"warehouse": f"s3://{BUCKET}", "store": properties, "catalog": catalog}

    def __enter__(self) -> PrivateSeaweed:
        program = Path(sys.executable).with_name("weed")
        assert program.exists(), "make test-spark sets up an environment that has SeaweedFS"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        words = [f"-{name}={port}" for name, port in self._ports.items()]
        log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                str(program), "mini", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false",
                "-admin.ui=false", "-s3.port.lance=0", f"-tableBucket={BUCKET}", *words,
            ],
            stdout=log, stderr=log, env={**os.environ, **_ACCOUNT},
        )  # fmt: skip
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def _wait(self) -> None:
        """Until it says that all of it is there, the bucket too."""
        give_up = time.monotonic() + 120
        while "Press Ctrl+C to stop" not in (log := (self._folder / "log").read_text()):
            assert self._process is not None
            assert self._process.poll() is None, log[-2000:]
            assert time.monotonic() < give_up, log[-2000:]
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
