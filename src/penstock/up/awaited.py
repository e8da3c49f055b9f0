"""The models of a scheduled run: built by the trigger, which follows every load, and waited for by the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.ledger.run_records import RunRecord, RunStep
from penstock.transform.built import node_step
from penstock.up.trigger import NEWEST

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.runs.batch import Build, Models
    from penstock.up.trigger import Heard, Trigger


def awaited_models(trigger: Trigger, session: Session) -> Models:
    """For :func:`penstock.runs.batch.perform`: waits until what has landed is modelled, and enters what was built."""

    @contextmanager
    def models() -> Iterator[Build]:
        # listened to before the loads: the first of them may be modelled before the last one has landed
        with trigger.listening() as heard:

            def build(record: RunRecord | None, attempt: int) -> None:
                assert record is not None
                newest = int(session.destination.query(NEWEST).rows[0][0])
                try:
                    trigger.wait_for(newest, heard)
                except Exception as e:
                    failed = RunStep(kind="transform", name="dbt", attempt=attempt)
                    failed.failed(e)
                    record.keep(*_node_steps(heard, attempt), failed)
                    raise
                record.keep(*_node_steps(heard, attempt))

            yield build

    return models


def _node_steps(heard: Heard, attempt: int) -> list[RunStep]:
    """The nodes that were built, each as it ended last: there may have been several builds."""
    steps = [node_step(node) for node in {(node.kind, node.name): node for node in heard.nodes}.values()]
    for step in steps:
        step.attempt = attempt
    return steps
