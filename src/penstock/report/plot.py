"""An answer drawn with letters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.report.asking import Answer
from penstock.report.numbers import shown

MAX_BARS = 60
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def plotted(answer: Answer, width: int) -> list[str]:
    """A bar a row, to one scale, in ``width`` letters; nothing where bars would not help."""
    axes, header = answer.axes, answer.question.header
    if axes is None or answer.rows is None or header.show in ("table", "big number") or len(axes.ys) > 1:
        return []
    records = answer.records()
    if not 0 < len(records) <= MAX_BARS:
        return []
    names = [n for n in (axes.each, axes.x, axes.by) if n]
    labels = [[_label(r[n]) for n in names] for r in records]
    numbers = [float(r[axes.ys[0]] or 0) for r in records]
    if min(numbers) < 0:
        return []
    texts = [shown(r[axes.ys[0]]) for r in records]
    widths = [max(len(label[i]) for label in labels) for i in range(len(names))]
    room = max(10, min(60, width - sum(widths) - 2 * len(widths) - max(map(len, texts)) - 2))
    greatest = max(numbers) or 1
    return [
        f"{'  '.join(t.ljust(w) for t, w in zip(label, widths, strict=True))}  {_bar(number / greatest * room)} {text}"
        for label, number, text in zip(labels, numbers, texts, strict=True)
    ]


def _bar(length: float) -> str:
    whole, part = divmod(round(length * 8), 8)
    return "█" * whole + (_EIGHTHS[part] if part else "")


def _label(value: Any) -> str:
    return "(none)" if value is None else str(value) if isinstance(value, int) else shown(value)


def answers_as_data(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers for programs: the question, its rows, or its problem."""
    documents = []
    for answer in answers:
        question = answer.question
        problem = answer.problem
        documents.append(
            {
                "name": question.name,
                "question": question.header.question,
                "show": question.header.show,
                "reads": list(dict.fromkeys(f"{m.schema}.{m.table}" for m in answer.reads)),
                "rows": answer.records() if answer.rows else None,
                "problem": {"what": problem.what, "where": problem.where, "fix": problem.fix} if problem else None,
            }
        )
    return documents
