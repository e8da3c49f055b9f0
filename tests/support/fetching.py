"""Landing the endpoint of a test's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.land.loop import Landed, load
from penstock.ports import Destination, Target, Window
from penstock.project import Http
from penstock.shape.shaper import Shaper
from penstock.sources.http.source import HttpSource
from penstock.spec import StreamSpec
from tests.support.api import Api

IMPATIENT = {
    "retries": {"attempts": 3, "first_wait_seconds": 0.02, "longest_wait_seconds": 0.05},
    "timeouts": {"connect_seconds": 5, "read_seconds": 1},
    "breaker": {"failures": 1_000},
}
"""Settings of a source that gives up soon."""


def source_of(
    api: Api, endpoint: Mapping[str, Any], *, name: str = "cars", others: Mapping[str, Any] | None = None, **more: Any
) -> HttpSource:
    """The source that reads an endpoint; ``more`` are settings of the source, or arguments of it."""
    own = {
        k: more.pop(k) for k in ("batch_bytes", "window", "fingerprint", "refresh", "identity", "lookback") if k in more
    }
    said = {"type": "http", "base_url": api.url, **IMPATIENT, **more, "endpoints": {name: endpoint, **(others or {})}}
    return HttpSource("api", Http.model_validate(said), name, **own)


def fetch(
    destination: Destination,
    api: Api,
    endpoint: Mapping[str, Any],
    *,
    rules: StreamSpec | None = None,
    disposition: str = "append",
    window: Window | None = None,
    commit_bytes: int | None = None,
    **more: Any,
) -> Landed:
    """Land what is new at an endpoint into ``raw.cars``, or the rules' stream."""
    spec = replace(rules or StreamSpec(stream="cars"), disposition=disposition)  # type: ignore[arg-type]
    shaper = Shaper(spec, threads=1)
    try:
        return load(
            source_of(api, endpoint, window=window, refresh=disposition == "replace", **more),
            destination,
            shaper,
            Target(spec=spec, source="api"),
            commit_bytes=commit_bytes,
        )
    finally:
        shaper.close()


def origins(destination: Destination, stream: str = "cars") -> list[str]:
    """Where the rows came from, in order."""
    return [r[0] for r in destination.query(f"select _pen_origin from raw.{stream} order by _pen_origin").rows]


def ids(destination: Destination, stream: str = "cars", column: str = "id") -> list[Any]:
    """The rows' field ``id``, in order."""
    return [r[0] for r in destination.query(f"select {column} from raw.{stream} order by 1").rows]
