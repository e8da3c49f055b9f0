"""What became of a build: its nodes as steps of a run, and as the error for those that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.errors import ContractError, TransformError
from penstock.ledger.run_records import RunStep, short
from penstock.transform.manifest import TESTS
from penstock.transform.plan import TransformPlan

if TYPE_CHECKING:
    from penstock.transform.dbt import Node

_HEAD = re.compile(r"\w+ Error in \w+ \S+ \((.+)\)")
"""The line with which dbt begins what it says of a node; it has the file."""


@dataclass(slots=True)
class Built:
    """What became of a ``plan``: the ``nodes`` that dbt built and asked."""

    plan: TransformPlan = field(default_factory=lambda: TransformPlan(upper_seq=0))
    nodes: list[Node] = field(default_factory=list)

    @property
    def upper_seq(self) -> int:
        """Loads up to here were to be taken in."""
        return self.plan.upper_seq

    @property
    def reason(self) -> str:
        """Why nothing was built, when nothing was."""
        return self.plan.reason

    @property
    def waiting(self) -> list[str]:
        """The streams that have not landed yet, so that nothing that reads them was built."""
        return list(self.plan.waiting)

    @property
    def tests_left_out(self) -> bool:
        """Whether there are tests which were not due."""
        return self.plan.tests_left_out

    def count(self, kind: str, *statuses: str) -> int:
        """How many nodes of a kind ended so; in any way without ``statuses``."""
        return sum(n.kind == kind and (not statuses or n.status in statuses) for n in self.nodes)


def node_step(node: Node) -> RunStep:
    """A node as a step of a run."""
    return RunStep(
        kind=node.kind,
        name=node.name,
        status=node.status,
        started_at=node.started_at,
        seconds=node.seconds,
        rows=node.rows,
        error=short(node.message) if node.failed else None,
        fix=_fix(node) if node.failed else None,
    )


def _fix(node: Node) -> str:
    return f"mend {'the data or the model' if node.refuted else _broken(node)}, then: penstock transform"


def _broken(node: Node) -> str:
    """What is wrong with a node that could not be built or run."""
    return "the test, or the model it reads" if node.kind in TESTS else "the model"


def raise_for_failed(nodes: Sequence[Node], where: str) -> None:
    """Raise for the nodes that failed, if any did, and name those that were left out for them.

    Raises:
        ContractError: tests failed, and nothing else.
        TransformError: a model or a test could not be built.
    """
    failed = [n for n in nodes if n.failed]
    if not failed:
        return
    lines = [_described(n) for n in failed]
    skipped = [n.name for n in nodes if n.status == "skipped" and n.kind not in TESTS]
    if skipped:
        lines.append(f"  skipped, as they read what failed: {', '.join(skipped)}")
    detail = "\n".join(lines)
    many = "s" if len(failed) > 1 else ""
    if all(n.refuted for n in failed):
        raise ContractError(f"{len(failed)} dbt test{many} failed:\n{detail}", where=where, fix=_fix(failed[0]))
    broken = next(n for n in failed if not n.refuted)
    raise TransformError(
        f"{len(failed)} dbt node{many} failed:\n{detail}",
        where=where,
        fix=f"{_fix(broken)}; details are in .penstock/logs/dbt.log",
    )


def _described(node: Node) -> str:
    """A node that failed, with its file and what dbt says of it, without the lines that are about dbt itself."""
    lines = [line.strip() for line in node.message.splitlines()]
    heads = [match for line in lines if (match := _HEAD.fullmatch(line))]
    kept = [line for line in lines if line and not _HEAD.fullmatch(line) and not line.startswith("compiled code at")]
    file = f" ({heads[0][1]})" if heads else ""
    reason = "\n    ".join(kept) or node.message
    return f"  {node.kind} {node.name}{file}: {short(reason)}"
