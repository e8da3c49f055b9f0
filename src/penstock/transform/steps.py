"""Steps of models as prepared statements: what the dbt package renders once, with places for the loads to take in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.sql import literal

if TYPE_CHECKING:
    from penstock.ports import Destination

FINGERPRINT = "PENSTOCK_MODELS"
"""The variable of the environment that tells the package for which state of the models it keeps steps."""
PREPARE = "PENSTOCK_PREPARE"
"""The variable of the environment by which incremental models are asked for their steps, and take none."""
MOST_LITERALS = 1_000
"""More loads than that are looked up in the ledger by the statement itself."""
_LOADS = re.compile(
    r"/\* penstock loads of (?P<stream>.*?) in (?P<column>.*?) \*/(?P<looked_up>.*?)/\* penstock loads end \*/",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load that landed rows."""

    seq: int
    load_id: int
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The loads that a step takes in: those of ``loads`` whose ``seq`` is above ``after``, up to ``upto``; and between
    which numbers it takes in each of ``feeds``, by their models."""

    after: int
    upto: int
    loads: Sequence[Load]
    feeds: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def ids(self, streams: Sequence[str]) -> list[int]:
        """The load ids of some streams, or of all when none is named, in order."""
        return sorted(
            load.load_id
            for load in self.loads
            if self.after < load.seq <= self.upto and (not streams or load.stream in streams)
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a step, or several in one text. ``kind`` says what it is for: ``do`` is just run, ``rows``
    writes the rows that the step writes, ``news`` gives a row when there is something to take in, ``sound`` gives a row
    when the step cannot be taken so, and ``mark`` moves the watermark, and gives no row when somebody else has."""

    kind: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a model takes in loads, as ``plan_of`` in the package's ``modes.sql`` has it. ``reads`` are the watermarks of
    the models that it goes no further than, ``feeds`` those whose feeds it takes in, ``streams`` those that ``{loads}``
    is about, ``query`` is its own SQL, and ``builds`` says from which build of each model that it reads it follows."""

    id: str
    name: str
    model: str
    reads: Sequence[str]
    feeds: Sequence[str]
    streams: Sequence[str]
    builds: Mapping[str, str]
    query: str
    statements: Sequence[Statement]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Step:
        """From what the package keeps."""
        return cls(
            id=document["id"],
            name=document["name"],
            model=document["model"],
            reads=tuple(document["reads"]),
            feeds=tuple(document["feeds"]),
            streams=tuple(document["streams"]),
            builds=document["read"],
            query=document["sql"],
            statements=tuple(Statement(*each) for each in document["step"]),
        )

    def has_news(self, window: Window) -> bool:
        """Whether rows may have landed that the statements look at; where they ask for that themselves, they may."""
        streams = {match["stream"] for each in self.statements for match in _LOADS.finditer(each.sql)}
        return not streams or any(window.ids([stream] if stream else ()) for stream in streams)

    def text(self, sql: str, window: Window) -> str:
        """A statement for a window."""

        def condition(match: re.Match[str]) -> str:
            ids = window.ids([match["stream"]] if match["stream"] else ())
            return match["looked_up"] if len(ids) > MOST_LITERALS else _among(ids, match["column"])

        sql = _LOADS.sub(condition, sql)
        if "{loads}" in sql:
            sql = sql.replace("{loads}", self._loads(window))
        for model, (after, upto) in window.feeds.items():
            sql = sql.replace(f"{{after {model}}}", str(after)).replace(f"{{upto {model}}}", str(upto))
        return sql.replace("{after}", str(window.after)).replace("{upto}", str(window.upto))

    def _loads(self, window: Window) -> str:
        ids = window.ids(self.streams) if self.streams else []
        if len(ids) <= MOST_LITERALS:
            return _among(ids, "_pen_load")
        streams = ", ".join(map(literal, self.streams))
        return (
            f"(_pen_load >= {ids[0]} and _pen_load in (select load_id from penstock.loads where stream in ({streams})"
            " and seq > {after} and seq <= {upto} and landed > 0))"
        )


def _among(ids: Sequence[int], column: str) -> str:
    """The condition on a column that holds load ids. Literals, so that an index or a zone map can answer; never a bare
    range, since a load whose id lies inside it may commit meanwhile."""
    if not ids:
        return "false"
    return f"({column} between {ids[0]} and {ids[-1]} and {column} in ({', '.join(map(str, ids))}))"


def has_kept_models(destination: Destination) -> bool:
    """Whether the package has built a model here: it keeps in ``penstock_changes.models`` how."""
    return bool(
        destination.query(
            "select 1 from information_schema.tables where table_schema = 'penstock_changes' and table_name = 'models'"
        ).rows
    )


def read_steps(destination: Destination, fingerprint: str) -> dict[str, Step]:
    """The steps that were prepared for this state of the models, by the models' ids."""
    if not has_kept_models(destination):
        return {}
    rows = destination.query("select step from penstock_changes.models where fingerprint = $1", [fingerprint]).rows
    steps = (Step.of(json.loads(str(text))) for (text,) in rows)
    return {step.id: step for step in steps}


def read_builds(destination: Destination, fingerprint: str) -> dict[str, str]:
    """Which build of each model is there, of those whose steps :func:`read_steps` has given."""
    rows = destination.query("select model, version from penstock_changes.models where fingerprint = $1", [fingerprint])
    return {str(model): str(version) for model, version in rows.rows}


def read_loads(destination: Destination, after: int, upto: int) -> list[Load]:
    """The loads between two numbers that landed rows."""
    rows = destination.query(
        "select seq, load_id, stream from penstock.loads where seq > $1 and seq <= $2 and landed > 0", [after, upto]
    ).rows
    return [Load(seq=seq, load_id=load_id, stream=stream) for seq, load_id, stream in rows]


def read_marks(destination: Destination) -> dict[tuple[str, str], int]:
    """How much each model has taken in of the feeds that it reads: by the model, and by the model whose feed it is."""
    rows = destination.query("select model, input, seq from penstock_changes.marks").rows
    return {(str(model), str(input_)): int(seq) for model, input_, seq in rows}


def read_watermarks(destination: Destination, models: Iterable[str]) -> dict[str, int]:
    """How far models are, of those that have a watermark."""
    wanted = set(models)
    rows = destination.query("select model, seq from penstock.watermarks").rows
    return {model: int(seq) for model, seq in rows if model in wanted}
