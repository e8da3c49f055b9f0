"""How the hosts of HTTP sources stand, kept for ``penstock status``: a small file a source in the project."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.sources.http.breaker import CircuitBreaker

_FOLDER = Path(".penstock") / "hosts"


def keep_standing(directory: Path, source: str) -> Callable[[Mapping[str, CircuitBreaker]], None]:
    """Writes down the breakers of a source, for the project in ``directory``. A folder that cannot be written is left
    as it is: what is kept here is for people to look at, and no load depends on it."""
    path = directory / _FOLDER / f"{source}.json"

    def keep(breakers: Mapping[str, CircuitBreaker]) -> None:
        now = datetime.now(UTC)
        hosts = [
            {
                "host": host,
                "breaker": b.state,
                "failures": b.failures,
                "tries_again_at": (now + timedelta(seconds=b.open_seconds)).isoformat() if b.state == "open" else None,
                "as_of": now.isoformat(),
            }
            for host, b in breakers.items()
        ]
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"hosts": hosts}, file)
            Path(name).replace(path)

    return keep


def read_standing(directory: Path, sources: Iterable[str]) -> list[dict[str, Any]]:
    """For each host of these sources, as last seen: ``source``, ``host``, ``breaker`` (closed, open, half-open),
    ``failures`` in a row, ``tries_again_at`` and ``as_of``."""
    seen: list[dict[str, Any]] = []
    for source in sources:
        try:
            hosts = json.loads((directory / _FOLDER / f"{source}.json").read_text(encoding="utf-8"))["hosts"]
            for host in hosts:
                times = {k: host[k] and datetime.fromisoformat(host[k]) for k in ("tries_again_at", "as_of")}
                seen.append({"source": source, **host, **times})
        except (OSError, ValueError, KeyError, TypeError):  # never asked, or written by another version
            continue
    return seen
