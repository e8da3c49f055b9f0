"""Questions, asked for a few rows: enough to tell which columns there are, and which are numbers."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.ports import Rows
from penstock.report.asking import Answer, Query, answer
from penstock.report.models import Models
from penstock.report.questions import Question

SAMPLE_ROWS = 200


def answers_of(questions: Sequence[Question], query: Query, models: Models) -> list[Answer]:
    """Each question's SQL, its first rows and its columns, or its problem."""

    def limited(sql: str) -> Rows:
        return query(f"select * from (\n{sql}\n) as question limit {SAMPLE_ROWS}")

    return [answer(question, limited, models) for question in questions]
