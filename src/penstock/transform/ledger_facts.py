"""What the ledger knows of loads and of runs that built models, as a plan goes by it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.ledger import ledger_sql
from penstock.sql import literal
from penstock.transform.layers import find_layer, layers_of
from penstock.transform.plan import Facts

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

TEST_EVERY = timedelta(days=1)
"""How long the tests that read whole tables may be left out of the steps between."""
_CHANGED = "(landed > 0 or deleted > 0)"
_GOOD = "kind = 'transform' and status = 'success'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the models stand: ``facts`` without what has landed since the last good run, and whether loads that it
    took in are gone from the ledger."""

    facts: Facts
    loads_gone: bool = False


def standing(
    project: Project, destination: Destination, fingerprint: str, layer: str | None, *, test_every: timedelta
) -> Standing:
    """What is known at once, by few questions: it is asked after each load.

    Args:
        fingerprint: of the models as they are.
        layer: build this layer only, as far as the one before it was built.
        test_every: how long tests may be left out.

    Raises:
        UsageError: there is no such layer, or the one before it was never built.
    """
    upper = _upper_seq(project, destination, layer)
    seen, same, tested, columns = _last_run(destination, fingerprint, layer, test_every)
    newest = int(destination.query("select coalesce(max(seq), 0) from penstock.loads").rows[0][0])
    if seen is not None and seen > newest:  # what was seen was deleted, and the streams were reset: all is built anew
        return Standing(facts=Facts(upper_seq=upper), loads_gone=True)
    return Standing(facts=Facts(upper_seq=upper, seen_seq=seen, same_models=same, tested=tested, columns=columns))


def with_news(project: Project, destination: Destination, facts: Facts, layer: str | None) -> Facts:
    """The facts, with what has landed since the last good run."""
    seen, upper = facts.seen_seq or 0, facts.upper_seq
    changed = destination.query(
        f"select distinct stream from penstock.loads where {_CHANGED} and seq > $1 and seq <= $2", [seen, upper]
    ).rows
    return replace(
        facts,
        shrunk=bool(destination.query(ledger_sql("shrunk"), [seen, upper]).rows[0][0]),
        changed=frozenset(stream for (stream,) in changed),
        not_landed=_not_landed(project, destination, None if layer is None else upper),
    )


def _not_landed(project: Project, destination: Destination, upper: int | None) -> frozenset[str]:
    """The streams that have no table yet: their models wait for the first load. With ``upper``, those too that landed
    later: the layers before did without them."""
    tables = destination.query("select table_name from information_schema.tables where table_schema = 'raw'").rows
    landed = {name for (name,) in tables}
    if upper is not None:
        known = destination.query("select distinct stream from penstock.loads where seq <= $1", [upper])
        landed &= {name for (name,) in known.rows}
    return frozenset(project.streams) - landed


def _upper_seq(project: Project, destination: Destination, layer: str | None) -> int:
    """Up to which ``seq`` to take in loads: all of them, or, for a layer, as far as the one before it did."""
    if layer is not None:
        layers = layers_of(project.directory)
        if at := find_layer(layers, layer, project.directory):
            before = layers[at - 1].name
            runs = destination.query(
                f"select upper_seq from penstock.runs where {_GOOD} and {_of(before)} order by run_id desc limit 1"
            ).rows
            if not runs:
                raise UsageError(
                    f"layer {layer} builds on {before}, which was never built",
                    where=str(project.directory),
                    fix=f"penstock transform --layer {before}",
                )
            return int(runs[0][0])
    return int(destination.query(f"select coalesce(max(seq), 0) from penstock.loads where {_CHANGED}").rows[0][0])


def _last_run(
    destination: Destination, fingerprint: str, layer: str | None, test_every: timedelta
) -> tuple[int | None, bool, bool, int | None]:
    """Of the last good run of the layer, or of all layers at once: its upper ``seq``, and whether the models are still
    those; whether such a run of these models tested whole tables within ``test_every``; and how many columns the raw
    tables had, where it says so."""
    runs = destination.query(
        "select upper_seq, fingerprint, cast(detail ->> 'columns' as bigint) from penstock.runs"
        f" where {_GOOD} and {_of(layer)} order by run_id desc limit 1"
    ).rows
    if not runs:
        return None, False, False, None
    seen = int(runs[0][0])
    if runs[0][1] != fingerprint:
        return seen, False, False, None
    tests = destination.query(
        f"select ended_at from penstock.runs where {_GOOD} and {_of(layer)} and fingerprint = $1 and whole"
        " order by run_id desc limit 1",
        [fingerprint],
    ).rows
    return seen, True, bool(tests) and datetime.now(UTC) - tests[0][0] < test_every, runs[0][2]


def _of(layer: str | None) -> str:
    """The runs that built a layer whole: those of all layers at once, and its own; without a layer, only the former.
    Runs of selected models are none of them."""
    own = f" or layer = {literal(layer)}" if layer else ""
    return f"not coalesce(selected, false) and (layer is null{own})"
