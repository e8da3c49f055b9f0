"""The health check of containers: what it finds, what it says, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from penstock.testing.private import free_port


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Path]:
    """A folder whose process is alive and not ready."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            alive = self.path == "/healthz"
            self.send_response(200 if alive else 503)
            self.end_headers()
            self.wfile.write(b"ok\n" if alive else b"trigger: waiting\ndestination: away\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    write(tmp_path, json.dumps({"pid": 1, "host": "127.0.0.1", "port": server.server_address[1], "token": "secret"}))
    yield tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


def write(folder: Path, text: str) -> None:
    """What ``penstock up`` writes down of itself."""
    (folder / ".penstock").mkdir(exist_ok=True)
    (folder / ".penstock" / "up.json").write_text(text, encoding="utf-8")


def probe(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code and what is said, without any proxy that the environment may name."""
    done = subprocess.run(
        [sys.executable, "-m", "penstock.up.probe", *words],
        cwd=folder, capture_output=True, text=True, check=False, env={"http_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def test_alive(up: Path) -> None:
    """0 and the answer where it is 200, which ``/healthz`` is asked for without a word; else 1, with the reasons."""
    assert probe(up) == (0, "ok")
    assert probe(up, "/healthz") == (0, "ok")
    assert probe(up, "/readyz") == (1, "trigger: waiting\ndestination: away")


def test_away(tmp_path: Path) -> None:
    """1 where nothing is up: not started, not yet written, ended without taking its word back."""
    code, said = probe(tmp_path)
    assert code == 1 and ".penstock/up.json" in said
    write(tmp_path, "{")
    assert probe(tmp_path)[0] == 1
    port = free_port()
    write(tmp_path, json.dumps({"host": "127.0.0.1", "port": port}))
    code, said = probe(tmp_path)
    assert code == 1 and f"127.0.0.1:{port} does not answer" in said
