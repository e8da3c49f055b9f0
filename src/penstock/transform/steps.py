"""Steps of models as prepared statements: what the dbt package renders once, with places for the loads to take in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.ports import Destination

PREPARE = "PENSTOCK_PREPARE"
"""The variable of the environment by which the package is asked for steps; it holds their fingerprint."""
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
    """The loads that a step takes in: those of ``loads`` whose ``seq`` is above ``after``, up to ``upto``."""

    after: int
    upto: int
    loads: Sequence[Load]

    def ids(self, stream: str) -> list[int]:
        """The load ids of a stream, or of all streams when it is empty, in order."""
        return sorted(
            load.load_id
            for load in self.loads
            if self.after < load.seq <= self.upto and (not stream or load.stream == stream)
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
    """How a model takes in loads. ``reads`` are the watermarks of the models that it goes no further than, ``query`` is
    its own SQL."""

    id: str
    name: str
    model: str
    reads: Sequence[str]
    query: str
    statements: Sequence[Statement]
    stands_for: Mapping[str, str]
    """What the texts have in the place of the numbers ``after`` and ``upto``."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Step:
        """From what the package keeps."""
        return cls(
            id=document["id"],
            name=document["name"],
            model=document["model"],
            reads=tuple(document["reads"]),
            query=document["sql"],
            statements=tuple(Statement(*each) for each in document["statements"]),
            stands_for={name: str(number) for name, number in document["window"].items()},
        )

    def has_news(self, window: Window) -> bool:
        """Whether rows may have landed that the statements look at."""
        streams = {match["stream"] for each in self.statements for match in _LOADS.finditer(each.sql)}
        return not streams or any(window.ids(stream) for stream in streams)

    def text(self, sql: str, window: Window) -> str:
        """A statement for a window."""

        def condition(match: re.Match[str]) -> str:
            ids, column = window.ids(match["stream"]), match["column"]
            if not ids:
                return "false"
            if len(ids) > MOST_LITERALS:
                return match["looked_up"]
            # literals, so that an index or a zone map can answer; never a bare range, since a load whose id lies inside
            # it may commit meanwhile
            return f"({column} between {ids[0]} and {ids[-1]} and {column} in ({', '.join(map(str, ids))}))"

        sql = _LOADS.sub(condition, sql)
        return sql.replace(self.stands_for["after"], str(window.after)).replace(
            self.stands_for["upto"], str(window.upto)
        )


def read_steps(destination: Destination, fingerprint: str) -> dict[str, Step]:
    """The steps that were prepared for this state of the models, by the models' ids."""
    rows = destination.query("select step from penstock.prepared_steps where fingerprint = $1", [fingerprint]).rows
    steps = (Step.of(json.loads(str(text))) for (text,) in rows)
    return {step.id: step for step in steps}


def read_loads(destination: Destination, after: int, upto: int) -> list[Load]:
    """The loads between two numbers that landed rows."""
    rows = destination.query(
        "select seq, load_id, stream from penstock.loads where seq > $1 and seq <= $2 and landed > 0", [after, upto]
    ).rows
    return [Load(seq=seq, load_id=load_id, stream=stream) for seq, load_id, stream in rows]


def read_watermarks(destination: Destination, models: Iterable[str]) -> dict[str, int]:
    """How far models are, of those that have a watermark."""
    wanted = set(models)
    rows = destination.query("select model, seq from penstock.watermarks").rows
    return {model: int(seq) for model, seq in rows if model in wanted}
