"""A run as commands print it: a line a step while it goes on, JSON at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from penstock.cli.bars import doing, progress_bar
from penstock.cli.printing import count, failures_json, print_warnings
from penstock.runs.outcome import Listener, words_of
from penstock.sources.kinds import kind_of, opening_of

if TYPE_CHECKING:
    from penstock.land.loop import Landed
    from penstock.land.session import Session
    from penstock.ports import Batch
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.runs.outcome import Report, StepReport
    from penstock.transform.built import Built
    from penstock.transform.dbt import Node


class Printing(Listener):
    """Prints what a run does, but nothing when ``silent``; ``nodes`` has it print each model and test."""

    def __init__(self, session: Session, *, began: Callable[[int], None], nodes: bool, silent: bool) -> None:
        self._session = session
        self._began = began
        self._nodes = nodes
        self._silent = silent

    def began(self, report: Report) -> None:
        if report.run_id is not None:
            self._began(report.run_id)

    @contextmanager
    def loading(self, step: LoadStep) -> Iterator[Callable[[Batch], None]]:
        total = 0
        # only a progress bar wants to know beforehand what the load will find out itself
        if not self._silent:
            project = self._session.project
            settings = project.sources[step.source]
            known = self._session.destination.ledger.positions(step.stream, step.source)
            total = kind_of(settings).forecast(settings, opening_of(project, step), known).bytes
        with progress_bar(step.stream, total, quiet=self._silent) as progress:
            yield progress

    def loaded(self, load: StepReport) -> None:
        if load.error is not None:
            self._say(f"{load.step.stream}: failed, {words_of(load.error)}")
        elif load.landed is not None:
            self._say(landed_line(load.landed, load.seconds))
            if not self._silent:
                print_warnings(load.landed.warnings)

    @contextmanager
    def building(self) -> Iterator[Callable[[str], object]]:
        self._say("dbt: looking for what the loads touch")
        with doing("dbt", quiet=self._silent) as progress:
            yield progress

    def built(self, built: Built, seconds: float) -> None:
        for node in built.nodes if self._nodes else ():
            if node.kind != "exposure":
                self._say(node_line(node))
        self._say(built_line(built, seconds))

    def unbuilt(self, reason: str) -> None:
        self._say(f"dbt: {reason}")

    def _say(self, line: str) -> None:
        if not self._silent:
            print(line, flush=True)


def landed_line(landed: Landed, seconds: float) -> str:
    """One line on what loading a stream from a source did."""
    skipped = f", {len(landed.skipped):,} skipped: landed before" if landed.skipped else ""
    if landed.failures:
        skipped += f", {len(landed.failures):,} not read"
    if landed.kept:
        return f"{landed.stream}: not replaced, since {landed.source} could not be read whole{skipped}"
    if not landed.receipts and landed.failures:
        return f"{landed.stream}: 0 rows landed from {landed.source}{skipped}"
    if not landed.receipts:
        return f"{landed.stream}: 0 rows landed, nothing new in {landed.source}{skipped}"
    read = landed.total("read")
    parts = [
        f"{read:,} read",
        f"{landed.total('landed'):,} landed",
        count(landed.total("duplicates"), "duplicate"),
        f"{landed.total('quarantined'):,} quarantined",
    ]
    if deleted := landed.total("deleted"):
        parts.append(f"{deleted:,} deleted")
    rate = f" ({seconds:.1f} s, {read / seconds:,.0f} rows/s)" if seconds > 0.05 else ""
    return f"{landed.stream}: {', '.join(parts)}{skipped}{rate}"


def built_line(built: Built, seconds: float) -> str:
    """One line on what dbt did."""
    if built.reason:
        return f"dbt: 0 rows rebuilt, {built.reason}"
    models = built.count("model", "success")
    tests = built.count("test", "pass")
    units = built.count("unit_test", "pass")
    warned = sum(n.status == "warn" for n in built.nodes)
    failed = [n for n in built.nodes if n.failed]
    skipped = [n for n in built.nodes if n.status == "skipped"]
    parts = [f"{count(models, 'model')} built"]
    if failed:
        parts.append(f"{len(failed):,} failed")
    if skipped:
        parts.append(f"{len(skipped):,} skipped")
    if tests:
        parts.append(f"{count(tests, 'test')} passed")
    elif built.tests_left_out:
        parts.append("tests of whole tables passed within a day")
    if units:
        parts.append(f"{count(units, 'unit test')} passed")
    if warned:
        parts.append(count(warned, "warning"))
    if built.waiting:
        parts.append(f"what reads {', '.join(built.waiting)} waits for its first load")
    parts += built.plan.notes
    return f"dbt: {', '.join(parts)} ({seconds:.1f} s)"


def node_line(node: Node) -> str:
    """One line on what became of a model or test."""
    rows = "" if node.rows is None or node.kind != "model" else f", {count(node.rows, 'row')}"
    why = f": {' '.join(node.message.split())[:300]}" if node.failed or node.status in ("warn", "skipped") else ""
    return f"  {node.status:8} {node.kind} {node.name}{rows} ({node.seconds:.2f} s){why}"


def report_json(project: Project, report: Report) -> dict[str, Any]:
    """A report as data."""
    data: dict[str, Any] = {
        "project": project.name,
        "target": project.target,
        "loads": [_load_json(load) for load in report.loads],
        "warnings": list(report.plan.warnings),
    }
    if report.unbuilt:
        data["transform"] = {"reason": report.unbuilt, "nodes": []}
    elif report.built is not None:
        data["transform"] = _built_json(report.built)
    if report.run_id is not None:
        data["run"] = report.run_id
    return data


def _load_json(load: StepReport) -> dict[str, Any]:
    if load.landed is not None:
        return _landed_json(load.landed)
    return {"stream": load.step.stream, "source": load.step.source, "error": str(load.error)}


def _landed_json(landed: Landed) -> dict[str, Any]:
    counts = {n: landed.total(n) for n in ("read", "landed", "duplicates", "quarantined", "deleted", "bytes")}
    return {
        "stream": landed.stream,
        "source": landed.source,
        **counts,
        "loads": [r.load_id for r in landed.receipts],
        "skipped": landed.skipped,
        **({} if landed.failure is None else {"error": str(landed.failure)}),
        **failures_json(landed.failures),
        "warnings": landed.warnings,
    }


def _built_json(built: Built) -> dict[str, Any]:
    return {
        "upper_seq": built.upper_seq,
        "reason": built.reason or None,
        "waiting": built.waiting,
        "notes": list(built.plan.notes),
        "steps": [asdict(step) for step in built.plan.steps],
        "nodes": [
            {
                "name": n.name,
                "kind": n.kind,
                "status": n.status,
                "seconds": round(n.seconds, 3),
                "rows": n.rows,
                "error": n.message if n.failed else None,
            }
            for n in built.nodes
        ],
    }
