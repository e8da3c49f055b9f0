"""``ask`` and ``report``: a project's questions, answered."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.cli.command import Call, command
from penstock.cli.options import ShowPii
from penstock.cli.printing import count, end_with, print_json, print_table

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.report.asking import Answer
    from penstock.report.models import Models
    from penstock.report.questions import Question

Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Questions, by their files' names without number and .sql.", autocompletion=completion.questions
    ),
]


@command("penstock ask users_by_day", "json")
def ask(
    call: Call,
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="Answer all questions.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL as the warehouse gets it; do not ask.")] = False,
    show_pii: ShowPii = False,
) -> None:
    """List the project's questions, or answer those that are named."""
    from penstock.report.models import Models
    from penstock.report.plot import answers_as_data
    from penstock.report.questions import chosen, read_questions

    project = call.open()
    questions = read_questions(project.directory)
    if not names and not every:
        _list(questions, json=call.json)
        return
    picked = chosen(questions, names or [])
    models = Models(project)
    if sql:
        _print_sql(picked, models)
        return
    answers = _answers(project, picked, models, show_pii=show_pii)
    if call.json:
        print_json(answers_as_data(answers))
    else:
        for answer in answers:
            _print(answer)
    end_with([a.problem for a in answers if a.problem])


@command("penstock report --output report.html", "quiet")
def report(
    call: Call,
    names: Names = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; report.html in the project by default.")
    ] = None,
    show_pii: ShowPii = False,
) -> None:
    """Write one HTML file with all answers, freshness, last loads, quarantine and lineage."""
    from penstock.doctor.status import read_status
    from penstock.report.models import Models
    from penstock.report.page import report_page
    from penstock.report.page_writing import write_whole
    from penstock.report.pictures import check_renderer
    from penstock.report.questions import chosen, read_questions
    from penstock.up.running_process import holder

    check_renderer()
    project = call.open()
    models = Models(project)
    answers = _answers(project, chosen(read_questions(project.directory), names or []), models, show_pii=show_pii)
    running = holder(project)
    status = read_status(project) if running is None else running.status()
    page = report_page(project, answers, status, models, now=datetime.now(UTC))
    path = output or project.directory / "report.html"
    write_whole(path, page)
    if not call.quiet:
        print(f"{path}: {count(len(answers), 'question')}, {len(page.encode()) / 2**10:,.0f} KiB")
    end_with([a.problem for a in answers if a.problem])


def _answers(project: Project, questions: list[Question], models: Models, *, show_pii: bool) -> list[Answer]:
    from penstock.report.asking import answer, asking

    with asking(project, show_pii=show_pii) as query:
        return [answer(question, query, models) for question in questions]


def _list(questions: list[Question], *, json: bool) -> None:
    if json:
        listed = [{"name": q.name, "question": q.header.question, "show": q.header.show} for q in questions]
        print_json(
            [{**item, "problem": q.problem and q.problem.what} for item, q in zip(listed, questions, strict=True)]
        )
        return
    if not questions:
        print("there are no questions yet; write them to questions/*.sql: see docs/questions.md")
        return
    print_table(["name", "question", "shown as"], [[q.name, q.header.question, q.header.show] for q in questions])
    for question in questions:
        if question.problem:
            print(f"error: {question.problem}", file=sys.stderr)
    print("\nanswer one with: penstock ask NAME; all of them with: penstock ask --all")


def _print_sql(questions: list[Question], models: Models) -> None:
    from penstock.report.asking import render

    for question in questions:
        if question.problem:
            raise question.problem
        print(f"-- {question.header.question}\n{render(question, models, [])};\n")


def _print(answer: Answer) -> None:
    from penstock.report.plot import plotted

    print(answer.question.header.question)
    if answer.rows is None:
        print("  no answer: see below\n")
        return
    bars = plotted(answer, shutil.get_terminal_size((100, 24)).columns)
    if bars:
        print("\n" + "\n".join(bars) + "\n")
    elif not answer.rows.rows:
        print("  there are no rows yet\n")
    else:
        print_table(answer.rows.columns, answer.rows.rows)
        print()
