"""``verify``: what a project's models promise, held against random changes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.bars import doing
from penstock.cli.command import Call, command
from penstock.cli.options import ShowPii
from penstock.cli.printing import count, print_json, print_table
from penstock.errors import ContractError, UsageError
from penstock.ports import Rows

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.verify.differences import Difference
    from penstock.verify.steps import Verdict, Verification
    from penstock.verify.values import Ask

app = typer.Typer(name="verify", no_args_is_help=True, help="Hold what is promised against random changes.")
_MOST_ROWS = 5


@command("penstock verify models --select users_dim --steps 50", "json", "quiet")
def models(
    call: Call,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", metavar="SELECTOR", help="Compare only these models, in dbt's words."),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=100_000, help="How many change sets, after the first build.")
    ] = 20,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Begin chance with this number: the same happens again. Random by default."),
    ] = None,
    show_pii: ShowPii = False,
) -> None:
    """Build models step by step over random change sets, in a scratch warehouse, and compare with full refreshes."""
    from penstock.verify.steps import verify_models

    project = call.open()
    if not project.has_models:
        raise UsageError("the project has no models", where=str(project.directory), fix="add a dbt_project.yml")
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    with doing("verify", quiet=call.silent) as progress:
        outcome = verify_models(project, _ask(project), select=select or (), steps=steps, seed=seed, progress=progress)
    if not show_pii:
        outcome = replace(outcome, verdicts=[_masked(project, verdict) for verdict in outcome.verdicts])
    if call.json:
        print_json(_document(outcome))
    elif not call.quiet:
        _print(outcome)
    differing = [verdict for verdict in outcome.verdicts if verdict.difference is not None]
    if differing:
        error = _error(differing, outcome.seed)
        if call.json:
            raise typer.Exit(error.exit_code)
        raise error


def _ask(project: Project) -> Ask | None:
    """Whoever answers queries on the project's warehouse, which is only looked at; None where there is none yet."""
    from penstock import api

    if not project.destination.may_exist:
        return None
    return lambda sql: api.query(project, sql, show_pii=True)


def _masked(project: Project, verdict: Verdict) -> Verdict:
    """A verdict whose rows may be shown."""
    from penstock.privacy.masking import masked_rows

    found = verdict.difference
    if found is None:
        return verdict
    in_steps, in_full = (
        masked_rows(project, Rows(columns=found.columns, rows=rows), "").rows
        for rows in (found.only_in_steps, found.only_in_full)
    )
    return replace(verdict, difference=replace(found, only_in_steps=in_steps, only_in_full=in_full))


def _document(outcome: Verification) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "models": [
            {
                "model": verdict.model,
                "equal": verdict.difference is None,
                "steps": verdict.steps,
                "whole": verdict.whole,
                "loads": list(verdict.loads),
                "reads": list(verdict.reads),
                "only_in_steps": _rows(verdict.difference, "only_in_steps"),
                "only_in_full": _rows(verdict.difference, "only_in_full"),
            }
            for verdict in outcome.verdicts
        ],
        "left_out": list(outcome.left_out),
    }


def _rows(found: Difference | None, side: str) -> list[dict[str, Any]]:
    return [] if found is None else [dict(zip(found.columns, row, strict=True)) for row in getattr(found, side)]


def _print(outcome: Verification) -> None:
    made_up = sorted(stream for stream, values in outcome.values.items() if not values.real)
    for verdict in outcome.verdicts:
        if verdict.difference is None:
            print(f"ok    {verdict.model}: equal to a full refresh after each of {count(verdict.steps, 'change set')}")
        else:
            _print_difference(verdict, verdict.difference)
        if verdict.whole:
            print(f"      it is built whole with each step: {verdict.whole}")
    for name in outcome.left_out:
        print(f"left out: {name}: nothing is known of the records that it reads")
    if made_up:
        print(f"records of {', '.join(made_up)} were made up from the declared types: none have landed yet")
    print(f"seed {outcome.seed}")


def _print_difference(verdict: Verdict, found: Difference) -> None:
    print(f"FAIL  {verdict.model}: differs from a full refresh after change set {verdict.steps}")
    print(f"      {', '.join(verdict.loads)}")
    if verdict.reads:
        print(f"      it reads {', '.join(verdict.reads)}, which differed first")
        return
    for title, rows in (("only in steps", found.only_in_steps), ("only in a full refresh", found.only_in_full)):
        if rows:
            more = f", {count(len(rows) - _MOST_ROWS, 'more row')} not shown" if len(rows) > _MOST_ROWS else ""
            print_table(found.columns, rows[:_MOST_ROWS], f"{title}{more}")


def _error(differing: list[Verdict], seed: int) -> ContractError:
    first = min(differing, key=lambda verdict: verdict.steps)
    name = first.model.rpartition(".")[2]
    several = f"{count(len(differing), 'model')} are" if len(differing) > 1 else "1 model is"
    names = ", ".join(verdict.model for verdict in differing)
    return ContractError(
        f"built step by step, {several} not what a full refresh makes: {names}",
        fix=f"mend its scope, or have it built whole; then: penstock verify models --select {name}"
        f" --steps {max(first.steps, 1)} --seed {seed}",
    )


models.add_to(app)
