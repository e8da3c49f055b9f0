"""How soon a PostgreSQL server that has gone without a word is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_LIVENESS: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 120_000,
}
"""After how long a server that has gone without a word is noticed, in libpq's words: seconds, and milliseconds for the
last. Linux alone would wait for two hours, or for a quarter of one when something is under way."""


def noticing(conninfo: str) -> str:
    """``conninfo`` with :data:`_LIVENESS` where it says nothing else."""
    try:
        options = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        # connecting will say what is wrong with it
        return conninfo
    return make_conninfo(conninfo, **{k: v for k, v in _LIVENESS.items() if k not in options})
