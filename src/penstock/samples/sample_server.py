"""Runs a sample on the loopback address: in this thread until it is stopped, or in one of its own for a while."""

from __future__ import annotations

import importlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from penstock.errors import UsageError
from penstock.extras import require
from penstock.samples import SAMPLES
from penstock.samples.conditions import App, Conditions

_SECONDS = 10.0


def sample_app(name: str, conditions: Conditions | None = None, **settings: Any) -> App:
    """A sample of :data:`penstock.samples.SAMPLES`, under conditions.

    Args:
        settings: what the sample's own ``create_app`` takes, such as ``records``, ``seed`` and ``page_size``.

    Raises:
        UsageError: no such sample, or the libraries to serve with are missing.
    """
    if name not in SAMPLES:
        raise UsageError(f"there is no sample {name!r}", fix=f"there are {', '.join(SAMPLES)}")
    require_server()
    app: App
    try:
        app = importlib.import_module(f"penstock.samples.{name}").create_app(**settings)
    except TypeError as e:
        raise UsageError(f"the sample {name!r} has no such setting: {e}", fix="penstock serve-sample --help") from None
    return (conditions or Conditions()).around(app)


def require_server() -> None:
    """Raises MissingLibrary when Starlette or uvicorn is missing."""
    require("examples")


def serve(app: App, *, port: int = 0, ready: Callable[[str], None] = lambda _: None) -> None:
    """Answer until Ctrl-C or SIGTERM. ``ready`` gets the address once it may be asked."""
    listener = _listen(port)
    ready(_url(listener))
    _server(app).run(sockets=[listener])


class SampleServer:
    """An application on a free loopback port, in a thread. A context manager; ``url`` is where it answers."""

    def __init__(self, app: App, *, port: int = 0) -> None:
        listener = _listen(port)
        self.url = _url(listener)
        """``http://127.0.0.1:port``."""
        self._server = _server(app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="sample", daemon=True
        )
        self._thread.start()
        until = time.monotonic() + _SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        if not self._server.started:
            raise RuntimeError("the sample server did not start")

    @classmethod
    def of(cls, name: str, conditions: Conditions | None = None, *, port: int = 0, **settings: Any) -> SampleServer:
        """A sample by its name; see :func:`sample_app`."""
        return cls(sample_app(name, conditions, **settings), port=port)

    def stop(self) -> None:
        """End all connections, also stalled ones. Harmless again."""
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(_SECONDS)

    def __enter__(self) -> SampleServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _server(app: App) -> Any:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
    )


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as e:
        raise UsageError(
            f"port {port} cannot be had: {e.strerror or e}", where="--port", fix="take another, or 0 for a free one"
        ) from None


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"
