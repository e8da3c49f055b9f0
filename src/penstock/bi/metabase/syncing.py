"""One synchronisation, from the warehouse to the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from penstock.bi.catalog import described_tables
from penstock.bi.metabase.access import Access, details_of
from penstock.bi.metabase.cards import Shelf, cards_of
from penstock.bi.metabase.changes import Synced
from penstock.bi.metabase.dashboards import sync_collection, sync_dashboard
from penstock.bi.metabase.database import await_tables, sync_database, sync_descriptions, visible_columns
from penstock.bi.metabase.metabase_api import NEWEST, OLDEST, Client
from penstock.bi.sampled_answers import answers_of
from penstock.bi.warehouse import reach_of
from penstock.report.asking import asking
from penstock.report.models import Models
from penstock.report.questions import read_questions

if TYPE_CHECKING:
    from penstock.project import Project


def sync_metabase(
    project: Project,
    access: Access,
    variables: Mapping[str, str],
    *,
    apply: bool = True,
    overwrite: bool = False,
    wait_seconds: float = 300.0,
    say: Callable[[str], None] = lambda _: None,
) -> Synced:
    """Bring Metabase in line with the project. A second time nothing is written.

    Args:
        apply: whether to change anything; if not, what would be changed is told.
        overwrite: take back cards that people have edited or thrown away.
        wait_seconds: how long to wait for Metabase's start, and for it to see new tables, each.
        say: is told what is waited for.

    Raises:
        UsageError: a setting is wrong, or nobody can act in Metabase.
        DestinationError: the warehouse is away, for Penstock or for Metabase.
        MetabaseError: Metabase is away, or refuses.
    """
    reach = reach_of(project, "Metabase", variables)
    details = details_of(reach)
    models = Models(project)
    described = described_tables(models.manifest())
    schemas = sorted({schema for schema, _ in described})
    questions = read_questions(project.directory)
    with asking(project, show_pii=True) as query:
        visible = {p: c for p, c in visible_columns(query, reach.user, schemas).items() if p in described}
        cards, problems = cards_of(answers_of(questions, query, models))
    title = project.metabase.collection or project.name.replace("_", " ").capitalize()
    synced = Synced(url=access.url, problems=problems)
    if reach.owner:
        personal = any(about.personal(project, visible.get(place, ())) for place, about in described.items())
        seen = ", and sees personal data" if personal else ""
        synced.notes.append(
            f"Metabase reads as {reach.user}, who may change the warehouse{seen}: give it a login with the role"
            f" {project.name}_analyst (penstock grants) by METABASE_WAREHOUSE_USER and METABASE_WAREHOUSE_PASSWORD"
        )
    with Client(access, apply=apply, say=say) as client:
        if client.open(site_name=title, wait_seconds=wait_seconds):
            synced.add("administrator", access.email, "created")
        synced.version = client.version
        if client.release is None or client.release > NEWEST:
            synced.notes.append(
                f"Metabase {client.version} is none of those this was written for: 0.{OLDEST} to 0.{NEWEST}"
            )
        database, new = sync_database(client, project.name, details, schemas, synced)
        if database is not None:
            tables = await_tables(client, database, visible, new=new, wait_seconds=wait_seconds, say=say)
            sync_descriptions(client, project, described, tables, synced)
        collection = sync_collection(client, project.name, title, synced)
        shelf = Shelf(
            client=client,
            project=project.name,
            database=database,
            collection=collection,
            overwrite=overwrite,
            synced=synced,
        )
        ids = shelf.sync(cards, kept=frozenset(q.name for q in questions))
        if cards:
            synced.dashboard = sync_dashboard(client, project.name, title, collection, cards, ids, synced)
    return synced
