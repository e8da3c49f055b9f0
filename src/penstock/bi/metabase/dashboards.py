"""A project's collection, and the dashboard in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.bi.metabase.cards import Card
from penstock.bi.metabase.changes import Synced
from penstock.bi.metabase.metabase_api import Client
from penstock.bi.metabase.ownership import owned_by, owner_line, without_mark
from penstock.plural import count

COLUMNS = 24
"""How many units a dashboard is wide."""

_SIZES = {"scalar": (6, 3), "table": (24, 8)}
_CHART = (12, 8)
_KEPT = (
    "id",
    "card_id",
    "action_id",
    "dashboard_tab_id",
    "size_x",
    "size_y",
    "row",
    "col",
    "parameter_mappings",
    "visualization_settings",
    "inline_parameters",
)
"""What of a card on a dashboard is sent back; newer versions refuse anything else."""


def sync_collection(client: Client, project: str, title: str, synced: Synced) -> int | None:
    """The project's collection: the one with its mark, else one of its name, else a new one."""
    collections = [] if client.fresh else client.get("collection", {"exclude-other-user-collections": "true"})
    listed = [c for c in collections if isinstance(c.get("id"), int) and not c.get("archived")]
    marked = [c for c in listed if owned_by(c.get("description"), project) is not None]
    named = [c for c in listed if c.get("name") == title and c.get("location") in ("/", None)]
    there = next(iter([*marked, *named]), None)
    if there is not None:
        synced.add("collection", there["name"], "unchanged", "" if marked else "made by a person; used as it is")
        return int(there["id"])
    description = f"Questions of the project {project}.\n\n{owner_line(project)}"
    made: dict[str, Any] = client.post("collection", {"name": title, "description": description})
    synced.add("collection", title, "created")
    return made.get("id")


def sync_dashboard(
    client: Client,
    project: str,
    title: str,
    collection: int | None,
    cards: Sequence[Card],
    ids: Mapping[str, int | None],
    synced: Synced,
) -> int | None:
    """Have each card stand on the project's dashboard, once: what people move, resize, add or take off stays so.

    A card that was put on it before and is not there any more was taken off, unless it has just been restored.
    """
    restored = {c.name for c in synced.changes if c.kind == "card" and c.what in ("created", "restored")}
    there = _find(client, project, title, collection)
    if there is None:
        body = {"name": title, "description": _text(project, ()), "collection_id": collection}
        made = client.post("dashboard", body)
        dashboard: dict[str, Any] = {"dashcards": [], "tabs": [], **made}
        synced.add("dashboard", title, "created", count(len(cards), "question"))
    else:
        dashboard = client.get(f"dashboard/{there['id']}")
    placed = owned_by(dashboard.get("description"), project) or ()
    on_it = {d["card_id"] for d in dashboard["dashcards"] if d.get("card_id")}
    new = [
        c for c in cards if c.name in ids and ids[c.name] not in on_it and (c.name not in placed or c.name in restored)
    ]
    if new:
        client.put(f"dashboard/{dashboard.get('id')}", _with(dashboard, new, ids, project, placed))
    if there is not None:
        note = f"new on it: {', '.join(c.name for c in new)}" if new else ""
        synced.add("dashboard", there["name"], "updated" if new else "unchanged", note)
    return dashboard.get("id")


def _find(client: Client, project: str, title: str, collection: int | None) -> Mapping[str, Any] | None:
    if collection is None:
        return None
    items = client.get(f"collection/{collection}/items", {"models": "dashboard"})
    listed = [d for d in items["data"] if d.get("model", "dashboard") == "dashboard"]
    marked = [d for d in listed if owned_by(d.get("description"), project) is not None]
    named = [d for d in listed if d["name"] == title]
    dashboard: Mapping[str, Any] | None = next(iter([*marked, *named]), None)
    return dashboard


def _with(
    dashboard: Mapping[str, Any],
    new: Sequence[Card],
    ids: Mapping[str, int | None],
    project: str,
    placed: Sequence[str],
) -> dict[str, Any]:
    """The dashboard with new cards below all that is on it, and nothing else changed."""
    kept = [
        {
            **{k: d[k] for k in _KEPT if k in d},
            "series": [{"id": s["id"]} for s in d.get("series") or ()],
        }
        for d in dashboard["dashcards"]
    ]
    tabs = [{"id": t["id"], "name": t["name"]} for t in dashboard.get("tabs") or ()]
    first_tab = {"dashboard_tab_id": tabs[0]["id"]} if tabs else {}
    same_tab = [d for d in kept if not tabs or d.get("dashboard_tab_id") == tabs[0]["id"]]
    below = max((d["row"] + d["size_y"] for d in same_tab), default=0)
    places = laid_out([c.display for c in new])
    added = [
        {
            "id": -number,
            "card_id": ids[card.name],
            "row": below + row,
            "col": column,
            "size_x": width,
            "size_y": height,
            "parameter_mappings": [],
            "visualization_settings": {},
            "series": [],
            **first_tab,
        }
        for number, (card, (row, column, width, height)) in enumerate(zip(new, places, strict=True), 1)
    ]
    names = tuple(dict.fromkeys([*placed, *(c.name for c in new)]))
    text = without_mark(dashboard.get("description"))
    line = owner_line(project, names)
    body: dict[str, Any] = {
        "description": f"{text}\n\n{line}" if text else line,
        "dashcards": [*kept, *added],
    }
    return {**body, "tabs": tabs} if tabs else body


def laid_out(displays: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Row, column, width and height of each, in their order, from left to right and then below."""
    row = column = tallest = 0
    for display in displays:
        width, height = _SIZES.get(display, _CHART)
        if column + width > COLUMNS or (column and height != tallest):
            row, column, tallest = row + tallest, 0, 0
        yield row, column, width, height
        column, tallest = column + width, max(tallest, height)


def _text(project: str, placed: tuple[str, ...]) -> str:
    return f"The answers to the questions of the project {project}.\n\n{owner_line(project, placed)}"
