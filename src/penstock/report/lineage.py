"""Sources → raw tables → models → questions, as a graph, and as a picture of it in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from penstock.report.asking import Answer
from penstock.report.models import Models

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.transform.manifest import Resource

ROW, GAP, HEIGHT, LETTER, PAD = 36, 44, 26, 7.1, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A box: ``kind`` is source, raw, model or question; ``where`` its schema or what kind of source it is."""

    id: str
    name: str
    kind: str
    where: str = ""
    reads: Sequence[str] = ()


def lineage(project: Project, models: Models, answers: Sequence[Answer]) -> list[Node]:
    """Every source, stream, model and question, each with what it reads."""
    nodes = [Node(id=f"from:{n}", name=n, kind="source", where=s.type) for n, s in project.sources.items()]
    for name, stream in project.streams.items():
        nodes.append(
            Node(id=f"raw:{name}", name=name, kind="raw", where="raw", reads=[f"from:{s}" for s in stream.from_])
        )
    known = models.all()
    for model in known.values():
        if model.kind != "source":
            reads = tuple(dict.fromkeys(r for i in model.reads if i in known and (r := _id(known[i], project))))
            nodes.append(Node(id=model.id, name=model.name, kind="model", where=model.schema, reads=reads))
    for answer in answers:
        reads = tuple(dict.fromkeys(r for m in answer.reads if (r := _id(m, project))))
        question = answer.question
        nodes.append(
            Node(id=f"asks:{question.name}", name=question.name, kind="question", where="questions", reads=reads)
        )
    return nodes


def _id(model: Resource, project: Project) -> str:
    if model.kind != "source":
        return model.id
    return f"raw:{model.stream}" if model.stream in project.streams else ""


def picture(nodes: Sequence[Node]) -> str:
    """The graph as SVG, what is read to the left of what reads it."""
    columns = _columns(nodes)
    place: dict[str, tuple[float, float, float]] = {}
    left = 1.0
    height = max((len(c) for c in columns), default=1) * ROW
    for column in columns:
        width = max(len(n.name) for n in column) * LETTER + 2 * PAD
        top = (height - len(column) * ROW) / 2
        for i, node in enumerate(column):
            place[node.id] = (left, top + i * ROW + (ROW - HEIGHT) / 2, width)
        left += width + GAP
    edges, boxes = [], []
    for column in columns:
        for node in column:
            x, y, width = place[node.id]
            for other in node.reads:
                if other in place:
                    ox, oy, owidth = place[other]
                    a, b, c, d = ox + owidth, oy + HEIGHT / 2, x, y + HEIGHT / 2
                    bend = (c - a) / 2
                    edges.append(
                        f'<path d="M{a:.1f},{b:.1f}C{a + bend:.1f},{b:.1f} {c - bend:.1f},{d:.1f} {c:.1f},{d:.1f}"/>'
                    )
            boxes.append(
                f'<g class="{node.kind}"><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{HEIGHT}" rx="5"/>'
                f'<text x="{x + PAD:.1f}" y="{y + 17:.1f}">{escape(node.name)}</text></g>'
            )
    total = left - GAP + 1
    return (
        f'<svg class="lineage" role="img" aria-label="What is made from what: {len(nodes)} boxes;'
        f' the table below has them in words." viewBox="0 0 {total:.0f} {height:.0f}"'
        f' style="min-width:{total * 0.65:.0f}px;max-width:{total:.0f}px">'
        f'<g class="edges">{"".join(edges)}</g>{"".join(boxes)}</svg>'
    )


def _columns(nodes: Sequence[Node]) -> list[list[Node]]:
    """By the longest way from a source; each column ordered so that few lines cross."""
    known = {n.id: n for n in nodes}
    depth: dict[str, int] = {}

    def deep(node: Node) -> int:
        if node.id not in depth:
            depth[node.id] = {"source": 0, "raw": 1}.get(node.kind, 2)
            reads = [deep(known[r]) for r in node.reads if r in known]
            depth[node.id] = max([depth[node.id], *(r + 1 for r in reads)])
        return depth[node.id]

    for node in nodes:
        deep(node)
    last = max([d for n in nodes if n.kind != "question" for d in [depth[n.id]]], default=0) + 1
    levels: dict[int, list[Node]] = {}
    for node in nodes:
        levels.setdefault(last if node.kind == "question" else depth[node.id], []).append(node)
    columns = [levels[d] for d in sorted(levels)]
    readers: dict[str, list[str]] = {}
    for node in nodes:
        for other in node.reads:
            readers.setdefault(other, []).append(node.id)
    for sweep in range(4):
        at = {n.id: i / max(len(c) - 1, 1) for c in columns for i, n in enumerate(c)}
        for column in columns if sweep % 2 == 0 else reversed(columns):
            beside = {n.id: n.reads if sweep % 2 == 0 else readers.get(n.id, ()) for n in column}
            middles = {i: _middle(others, at, at[i]) for i, others in beside.items()}
            column.sort(key=lambda n, middles=middles: middles[n.id])  # type: ignore[misc]
            at |= {n.id: i / max(len(column) - 1, 1) for i, n in enumerate(column)}
    return columns


def _middle(ids: Sequence[str], at: Mapping[str, float], otherwise: float) -> float:
    places = [at[i] for i in ids if i in at]
    return sum(places) / len(places) if places else otherwise
