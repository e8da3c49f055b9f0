"""Runs prepared steps: each in one transaction, in the order in which models read each other, side by side where the
engine lets several write. What is not prepared, or fails, dbt builds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, TransformError
from penstock.logs import described, get_log
from penstock.transform.dbt import Node
from penstock.transform.manifest import Manifest
from penstock.transform.steps import Load, Step, Window, read_builds, read_loads, read_marks, read_watermarks

if TYPE_CHECKING:
    from penstock.ports import Destination

_log = get_log("transform")

ByDbt = Callable[[Sequence[str]], Sequence[Node]]
"""Has dbt build models of these ids, and says what became of them."""


class Stepper:
    """Runs steps on connections of its own, which it keeps.

    Args:
        opened: gives a destination that nobody else uses.
        side_by_side: how many steps may run at a time.
    """

    def __init__(self, opened: Callable[[], Destination], side_by_side: int) -> None:
        self._opened = opened
        self._idle: SimpleQueue[Destination] = SimpleQueue()
        self._pool = ThreadPoolExecutor(side_by_side, thread_name_prefix="step")

    def run(self, step: Step, window: Window) -> int | None:
        """Have a model take in a window of loads, and its watermark move along, or neither; how many rows it wrote,
        None when there was nothing to take in.

        Raises:
            PenstockError: the warehouse refused it, it cannot be done by a step, or somebody else has taken in those
                loads.
        """
        destination = self._taken()
        try:
            with destination.writing() as execute:
                return _performed(step, window, execute)
        except BaseException:
            # whatever state the connection is in, the next step opens another
            destination.close()
            raise
        finally:
            self._idle.put(destination)

    def submit(self, step: Step, window: Window) -> Future[Node | None]:
        """:meth:`run` beside what runs already."""
        return self._pool.submit(self._node, step, window)

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        while not self._idle.empty():
            self._idle.get().close()

    def _node(self, step: Step, window: Window) -> Node | None:
        started_at, started = datetime.now(UTC), time.perf_counter()
        rows = self.run(step, window)
        return (
            None
            if rows is None
            else Node(
                name=step.name,
                kind="model",
                status="success",
                seconds=time.perf_counter() - started,
                rows=rows,
                message="",
                started_at=started_at,
                id=step.id,
                sql=step.text(step.query, window),
            )
        )

    def _taken(self) -> Destination:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._opened()


def _performed(step: Step, window: Window, execute: Callable[[str], int]) -> int | None:
    """Run the statements of a step in an open transaction; how many rows it wrote, None when there was no news."""
    written, news = 0, True
    for statement in step.statements:
        if not news and statement.kind != "mark":
            continue
        rows = execute(step.text(statement.sql, window))
        match statement.kind:
            case "rows":
                written += rows
            case "news":
                news = rows > 0
            case "sound" if rows:
                raise TransformError(f"what {step.model} reads does not say what has changed since its last step")
            case "mark" if not rows:
                raise TransformError(f"another run took in loads for {step.model} meanwhile")
    return written if news else None


@dataclass(slots=True)
class Stepping:
    """One run of steps up to a ``seq``, over the models of ``ids``."""

    destination: Destination
    manifest: Manifest
    steps: Mapping[str, Step]
    fingerprint: str
    upper_seq: int
    by_dbt: ByDbt
    stepper: Stepper
    nodes: dict[str, Node] = field(default_factory=dict)
    _watermarks: dict[str, int] = field(default_factory=dict)
    _builds: dict[str, str] = field(default_factory=dict)
    _marks: dict[tuple[str, str], int] = field(default_factory=dict)
    _loads: Sequence[Load] = ()
    _left_to_dbt: list[str] = field(default_factory=list)
    _ended_by_dbt: set[str] = field(default_factory=set)

    def build(self, ids: Collection[str]) -> list[Node]:
        """Have all models take in what has landed, each after those that it reads. What reads a model that failed is
        left out; nothing else waits for that.

        Raises:
            DestinationError: the warehouse is away.
            TransformError: dbt could not even start.
        """
        self._look()
        parents = {id_: self.manifest.parents_among(id_, ids) for id_ in ids}
        order = TopologicalSorter(parents)
        order.prepare()
        running: dict[Future[Node | None], str] = {}
        try:
            while order.is_active():
                for id_ in order.get_ready():
                    self._begin(id_, parents[id_], order, running)
                if running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        id_ = running.pop(future)
                        if self._has_ended(id_, future):
                            order.done(id_)
                elif self._left_to_dbt:
                    order.done(*self._left_to_dbt)
                    self._build_by_dbt(parents)
        finally:
            wait(running)
        return list(self.nodes.values())

    def _begin(
        self, id_: str, parents: Collection[str], order: TopologicalSorter[str], running: dict[Future[Node | None], str]
    ) -> None:
        """Have a model begin whose turn it is, unless there is nothing to do for it, or nothing that can be done."""
        if id_ in self._ended_by_dbt:
            order.done(id_)
        elif any(parent in self.nodes and _is_broken(self.nodes[parent]) for parent in parents):
            self.nodes[id_] = _skipped(self.manifest, id_)
            order.done(id_)
        elif (window := self._window(id_)) is None:
            self._left_to_dbt.append(id_)
        elif not self._is_news(self.steps[id_], window):
            order.done(id_)
        else:
            running[self.stepper.submit(self.steps[id_], window)] = id_

    def _look(self) -> None:
        names = {name for step in self.steps.values() for name in (step.model, *step.reads)}
        self._watermarks = read_watermarks(self.destination, names)
        if self.steps:
            self._builds = read_builds(self.destination, self.fingerprint)
            self._marks = read_marks(self.destination)
        if self._watermarks:
            self._loads = read_loads(self.destination, min(self._watermarks.values()), self.upper_seq)

    def _window(self, id_: str) -> Window | None:
        """What a model takes in; None when its step is not prepared, or follows from other builds of what it reads."""
        step = self.steps.get(id_)
        after = None if step is None else self._watermarks.get(step.model)
        if step is None or after is None or step.model not in self._builds:
            return None
        if any(self._builds.get(model, "") != build for model, build in step.builds.items()):
            return None
        upto = min([self.upper_seq, *(self._watermarks.get(name, 0) for name in step.reads)])
        feeds = {
            name: (self._marks.get((step.model, name), after), self._watermarks.get(name, 0)) for name in step.feeds
        }
        return Window(after=after, upto=upto, loads=self._loads, feeds=feeds)

    def _is_news(self, step: Step, window: Window) -> bool:
        """Whether there is anything to do; where nothing has landed, the watermark goes along."""
        if window.upto <= window.after:
            return False
        if step.has_news(window):
            return True
        self.destination.query(
            "update penstock.watermarks set seq = $1, updated_at = current_timestamp where model = $2 and seq = $3",
            [window.upto, step.model, window.after],
        )
        self._watermarks[step.model] = window.upto
        return False

    def _has_ended(self, id_: str, future: Future[Node | None]) -> bool:
        try:
            node = future.result()
        except PenstockError as e:
            _log.warning("a prepared step failed, and dbt takes its place", model=self.steps[id_].model, **described(e))
            self._left_to_dbt.append(id_)
            return False
        if node is not None:
            self.nodes[id_] = node
        step = self.steps[id_]
        if (window := self._window(id_)) is not None:
            self._watermarks[step.model] = window.upto
        return True

    def _build_by_dbt(self, parents: Mapping[str, Collection[str]]) -> None:
        """Have dbt build what was left to it, and at once what comes after that and is not prepared either. A warehouse
        that is away is told of before."""
        self.destination.query("select 1")
        ids, self._left_to_dbt = self._left_to_dbt, []
        there = {id_ for id_ in parents if id_ in self.nodes}
        for resource in self.manifest.in_order(parents):
            if resource.id not in self.steps and resource.id not in {*ids, *there}:
                ids += [resource.id] if {*ids, *there}.issuperset(parents[resource.id]) else []
        for node in self.by_dbt(ids):
            self.nodes[node.id] = node
        self._ended_by_dbt.update(ids)
        self._look()


def _is_broken(node: Node) -> bool:
    return node.failed or node.status == "skipped"


def _skipped(manifest: Manifest, id_: str) -> Node:
    resource = manifest.resources[id_]
    return Node(
        name=resource.name,
        kind=resource.kind,
        status="skipped",
        seconds=0.0,
        rows=None,
        message="",
        started_at=datetime.now(UTC),
        id=id_,
    )
