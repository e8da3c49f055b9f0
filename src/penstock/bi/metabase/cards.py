"""Questions as Metabase's cards: the SQL, how it is shown, and what becomes of each card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from penstock.bi.metabase.changes import Synced, What
from penstock.bi.metabase.metabase_api import Client
from penstock.bi.metabase.ownership import Mark, hashed, mark_of, without_mark
from penstock.errors import PenstockError, UsageError
from penstock.report.asking import Answer

_DISPLAYS = {"big number": "scalar", "map by country": "map", "pyramid": "bar"}
_TAGS = ("{{", "[[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A question as a card: ``name`` is the question's, ``title`` and ``text`` are its words; ``note`` says what
    Metabase cannot show."""

    name: str
    title: str
    text: str
    display: str
    settings: Mapping[str, Any]
    sql: str
    note: str = ""

    def content(self) -> dict[str, Any]:
        """All that a person could edit."""
        return {
            "name": self.title,
            "description": self.text,
            "display": self.display,
            "settings": dict(self.settings),
            "sql": self.sql,
        }

    def body(self, database: int | None, mark: Mark) -> dict[str, Any]:
        """What is written of it."""
        return {
            "name": self.title,
            "description": mark.under(self.text),
            "display": self.display,
            "visualization_settings": dict(self.settings),
            "dataset_query": {
                "type": "native",
                "database": database,
                "native": {"query": self.sql, "template-tags": {}},
            },
        }


def cards_of(answers: Sequence[Answer]) -> tuple[list[Card], list[PenstockError]]:
    """The questions as cards, and what is wrong with those that are none."""
    cards: list[Card] = []
    problems: list[PenstockError] = []
    for answered in answers:
        try:
            if answered.problem is not None:
                raise answered.problem
            cards.append(card_of(answered))
        except PenstockError as e:
            problems.append(e)
    return cards, problems


def card_of(answered: Answer) -> Card:
    """One question as a card.

    Raises:
        UsageError: Metabase would take a part of the SQL for something else.
    """
    question, sql = answered.question, answered.sql.strip()
    tag = next((t for t in _TAGS if t in sql), None)
    if tag is not None:
        raise UsageError(
            f"Metabase takes `{tag}` in SQL for the beginning of a variable",
            where=f"{question.path.parent.name}/{question.path.name}",
            fix=f"write `{tag[0]} {tag[1]}`",
        )
    display, settings, note = _shown(answered)
    return Card(
        name=question.name,
        title=question.header.question,
        text=question.header.about,
        display=display,
        settings=settings,
        sql=sql,
        note=note,
    )


def _shown(answered: Answer) -> tuple[str, dict[str, Any], str]:
    """Metabase's display and its settings; and what gets lost."""
    header, axes = answered.question.header, answered.axes
    by = header.by
    if header.each and by:
        return "table", {}, "as a table: Metabase has no small multiples"
    if header.each:
        by = header.each
    display = _DISPLAYS.get(header.show, header.show)
    if axes is None or answered.rows is None:
        return display, {}, ""
    match display:
        case "scalar":
            return display, {"scalar.field": axes.ys[0], **_suffix(axes.ys[0], header.unit)}, ""
        case "pie":
            return display, {"pie.dimension": axes.x, "pie.metric": axes.ys[0]}, ""
        case "map":
            region = {"map.type": "region", "map.region": "world_countries"}
            return display, {**region, "map.dimension": axes.x, "map.metric": axes.ys[0]}, ""
    settings: dict[str, Any] = {
        "graph.dimensions": [axes.x, *([by] if by else [])],
        "graph.metrics": list(axes.ys),
    }
    if header.unit:
        settings["graph.y_axis.title_text"] = header.unit
    if display == "bar" and not _temporal(answered, axes.x):
        settings["graph.x_axis.scale"] = "ordinal"
    if by and header.show in ("bar", "area"):
        settings["stackable.stack_type"] = "stacked"
    return display, settings, "as bars side by side: Metabase has no pyramid" if header.show == "pyramid" else ""


def _suffix(column: str, unit: str) -> dict[str, Any]:
    return {"column_settings": {f'["name","{column}"]': {"suffix": f" {unit}"}}} if unit else {}


def _temporal(answered: Answer, column: str) -> bool:
    values = [r[column] for r in answered.records() if r[column] is not None]
    return bool(values) and all(isinstance(v, date | datetime) for v in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The cards of a database, and how to change them. ``collection`` is where new ones go."""

    client: Client
    project: str
    database: int | None
    collection: int | None
    overwrite: bool
    synced: Synced

    def sync(self, cards: Sequence[Card], kept: frozenset[str]) -> dict[str, int | None]:
        """Bring the cards in line; question → id. Cards of questions in ``kept`` stay as they are.

        Cards that a person has edited are left, and so are those that a person has thrown away.
        """
        mine, strange = self._there()
        trash = self._trash() if any(c.name not in mine for c in cards) else {}
        ids: dict[str, int | None] = {}
        for card in cards:
            if card.name in mine:
                ids[card.name] = self._keep_up(card, mine[card.name])
            elif card.title in strange:
                ids[card.name] = self._take_back(card, strange[card.title])
            elif card.name in trash:
                id_ = self._from_trash(card, trash[card.name])
                if id_ is not None:
                    ids[card.name] = id_
            else:
                ids[card.name] = self._create(card)
        wanted = {c.name for c in cards} | kept
        for name, card in mine.items():
            if name not in wanted:
                self._throw_away(name, card)
        return ids

    def _there(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Question → card, and title → card of those in the collection that have no mark. Of copies the oldest is
        ours."""
        if self.database is None:
            return {}, {}
        cards = self.client.get("card", {"f": "database", "model_id": self.database})
        mine: dict[str, Any] = {}
        strange: dict[str, Any] = {}
        for card in sorted((c for c in cards if not c.get("archived")), key=lambda c: int(c["id"])):
            mark = mark_of(card.get("description"))
            if mark is not None and mark.project == self.project:
                mine.setdefault(mark.name, card)
            elif mark is None and self.collection is not None and card.get("collection_id") == self.collection:
                strange.setdefault(card["name"], card)
        return mine, strange

    def _trash(self) -> dict[str, Any]:
        """Question → card of ours in the trash, the youngest."""
        if self.database is None:
            return {}
        fields: dict[str, Any] = {}
        for card in sorted(self.client.get("card", {"f": "archived"}), key=lambda c: int(c["id"])):
            mark = mark_of(card.get("description"))
            if mark is not None and mark.project == self.project and card.get("database_id") == self.database:
                fields[mark.name] = card
        return fields

    def _create(self, card: Card) -> int | None:
        wrote = hashed(card.content())
        mark = Mark(project=self.project, name=card.name, wrote=wrote, holds=wrote)
        body = {**card.body(self.database, mark), "type": "question", "collection_id": self.collection}
        answer = self.client.post("card", body)
        self._settle(card, mark, answer)
        return self._done(card, "created", answer.get("id"))

    def _keep_up(self, card: Card, there: Mapping[str, Any]) -> int:
        mark = mark_of(there["description"])
        assert mark is not None
        edited = hashed(content_of(there)) != mark.holds
        if edited and not self.overwrite:
            self.synced.add("card", card.name, "left", "edited in Metabase; --overwrite takes it back")
            return int(there["id"])
        if not edited and mark.wrote == hashed(card.content()):
            self.synced.add("card", card.name, "unchanged", card.note)
            return int(there["id"])
        return self._write(card, there, "updated", {})

    def _take_back(self, card: Card, there: Mapping[str, Any]) -> int | None:
        if not self.overwrite:
            self.synced.add("card", card.name, "left", "a person's card has this name; --overwrite takes it")
            return int(there["id"])
        return self._write(card, there, "updated", {})

    def _from_trash(self, card: Card, there: Mapping[str, Any]) -> int | None:
        mark = mark_of(there["description"])
        assert mark is not None
        if not mark.archived and not self.overwrite:
            self.synced.add("card", card.name, "left", "thrown away in Metabase; --overwrite restores it")
            return None
        return self._write(card, there, "restored", {"archived": False, "collection_id": self.collection})

    def _throw_away(self, name: str, there: Mapping[str, Any]) -> None:
        mark = mark_of(there["description"])
        assert mark is not None
        if hashed(content_of(there)) != mark.holds:
            self.synced.add("card", name, "left", "edited in Metabase, and its question is gone")
            return
        description = mark.thrown_away().under(without_mark(there["description"]))
        self.client.put(f"card/{there['id']}", {"archived": True, "description": description})
        self.synced.add("card", name, "archived", "its question is gone")

    def _write(self, card: Card, there: Mapping[str, Any], what: What, also: Mapping[str, Any]) -> int:
        wrote = hashed(card.content())
        mark = Mark(project=self.project, name=card.name, wrote=wrote, holds=wrote)
        answer = self.client.put(f"card/{there['id']}", {**card.body(self.database, mark), **also})
        self._settle(card, mark, {**answer, "id": there["id"]} if answer else {})
        self._done(card, what, int(there["id"]))
        return int(there["id"])

    def _settle(self, card: Card, mark: Mark, answer: Mapping[str, Any]) -> None:
        """Where Metabase holds something else than what was written, have the mark say so."""
        if not answer:
            return
        holds = hashed(content_of(answer))
        if holds != mark.wrote:
            held = Mark(project=mark.project, name=mark.name, wrote=mark.wrote, holds=holds)
            self.client.put(f"card/{answer['id']}", {"description": held.under(card.text)})

    def _done(self, card: Card, what: What, id_: int | None) -> int | None:
        self.synced.add("card", card.name, what, card.note)
        return id_


def content_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of a card of Metabase's a person could have edited."""
    return {
        "name": card.get("name"),
        "description": without_mark(card.get("description")),
        "display": card.get("display"),
        "settings": card.get("visualization_settings") or {},
        "sql": sql_of(card.get("dataset_query") or {}),
    }


def sql_of(query: Mapping[str, Any]) -> str | None:
    """The SQL of a native query, in the form of before Metabase 0.57 or of since; None of any other query."""
    native = query.get("native")
    if isinstance(native, Mapping):
        return native.get("query")
    stages = query.get("stages") or [{}]
    sql = stages[0].get("native") if len(stages) == 1 else None
    return sql if isinstance(sql, str) else None
