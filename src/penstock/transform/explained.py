"""What a run would build, were it started now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.errors import TransformError, UsageError
from penstock.transform.ledger_facts import TEST_EVERY, standing, with_news
from penstock.transform.plan import Facts, Request, TransformPlan, plan_transform
from penstock.transform.stored_manifest import read_manifest
from penstock.transform.unsafe_models import known_unsafe, notes_of, read_reasons
from penstock.transform.workspace import project_fingerprint

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project


def explain_transform(project: Project, destination: Destination | None, coming: Collection[str]) -> TransformPlan:
    """The plan of a run that first lands the streams ``coming``; without a destination nothing has landed yet. When dbt
    cannot read the models, the plan's reason says so."""
    facts = Facts(not_landed=frozenset(project.streams))
    if destination is not None:
        stand = standing(project, destination, project_fingerprint(project), None, test_every=TEST_EVERY)
        facts = with_news(project, destination, stand.facts, None)
    facts = replace(facts, coming=frozenset(coming))
    request = Request()
    if reason := facts.nothing_to_do(request):
        return TransformPlan(upper_seq=facts.upper_seq, reason=reason)
    try:
        manifest = read_manifest(project)
        whole = dict(known_unsafe(project))
        if destination is not None:
            whole = {**read_reasons(destination, manifest), **whole}
        return plan_transform(request, facts, manifest, notes=notes_of(whole))
    except (TransformError, UsageError) as e:
        return TransformPlan(upper_seq=facts.upper_seq, reason=f"the models cannot be read: {e.what}")
