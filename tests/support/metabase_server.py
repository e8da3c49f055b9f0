"""A Metabase written by hand, as far as Penstock speaks with one: it keeps state, and refuses what Metabase refuses.

It connects to the PostgreSQL that it is told of, with the user and password it is told, and sees the tables and columns
that this user may read, in the schemas it is told to look at. Requests that Metabase's API description does not have
are refused, and counted in ``wrong``.
"""

from __future__ import annotations

import copy
import itertools
import json
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any

import psycopg

from tests.support.api import Api, Asked, Said, said
from tests.support.metabase_api import find_endpoint, problems_of

EMAIL = "admin@example.com"
PASSWORD = "correct horse 1"
API_KEY = "mb_only-for-tests"
HIDDEN = "**MetabasePass**"

Item = dict[str, Any]


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body


class MetabaseServer:
    """A server for as long as its context lasts. ``settled`` is a Metabase that has its administrator."""

    def __init__(self, *, settled: bool = True, version: str = "v0.64.1", starts_after: int = 0) -> None:
        self.version = version
        self.users: dict[str, str] = {EMAIL: PASSWORD} if settled else {}
        self.superuser = True
        self.tracking = True
        self.setup_token = None if settled else "setup-token-only-for-tests"
        self.sessions: set[str] = set()
        self.databases: dict[int, Item] = {}
        self.tables: dict[int, Item] = {}
        self.collections: dict[int, Item] = {}
        self.cards: dict[int, Item] = {}
        self.dashboards: dict[int, Item] = {}
        self.wrong: list[str] = []
        self.starts_after = starts_after
        """How often it says that it is starting."""
        self.looks_before_seen = 0
        """How often tables may be asked for before a sync has seen them."""
        self.refused_password = ""
        """A password that the warehouse does not take: that of the tests takes any."""
        self.reformats = False
        """Whether it keeps settings otherwise than they were written."""
        self._waiting: dict[int, int] = {}
        self._ids = itertools.count(1)
        self.api = Api(self._answer)
        self.url = self.api.url

    def __enter__(self) -> MetabaseServer:
        self.api.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.api.__exit__(kind, error, trace)

    def writes(self, since: int = 0) -> list[str]:
        """The requests that change something, but for logging in and out."""
        return [
            f"{a.method} {a.path}"
            for a in self.api.asked[since:]
            if a.method != "GET" and not a.path.startswith("/api/session")
        ]

    def card(self, name: str) -> Item:
        """The card of a question, by its mark."""
        found: list[Item] = [c for c in self.cards.values() if f"/{name} " in (c["description"] or "")]
        assert len(found) == 1, name
        return found[0]

    def table(self, name: str) -> Item:
        """A table by its name."""
        (found,) = [t for t in self.tables.values() if t["name"] == name]
        return found

    def field(self, table: str, column: str) -> Item:
        """A field by its name."""
        found: list[Item] = [f for f in self.table(table)["fields"] if f["name"] == column]
        assert len(found) == 1, column
        return found[0]

    def run(self, card: Item) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The answer of a card, asked as the database's user."""
        with psycopg.connect(**_conninfo(self.databases[card["database_id"]]["details"])) as connection:
            cursor = connection.execute(_sql(card["dataset_query"]).encode())
            return [str(c.name) for c in cursor.description or ()], cursor.fetchall()

    def _answer(self, asked: Asked) -> Said:
        found = find_endpoint(asked.method, asked.path)
        if found is None:
            self.wrong.append(f"{asked.method} {asked.path}: there is no such endpoint")
            return Said(status=404, body=b'"API endpoint does not exist."')
        template, endpoint, ids = found
        if asked.path == "/api/health" and self.starts_after:
            self.starts_after -= 1
            return said({"status": "initializing", "progress": 0.3}, status=503)
        if not endpoint.public and not self._known(asked):
            return Said(status=401, body=b"Unauthenticated")
        problems = problems_of(endpoint, asked.query, asked.body)
        if problems:
            self.wrong += [f"{asked.method} {asked.path}: {p}" for p in problems]
            return said({"errors": {"_": "; ".join(problems)}}, status=400)
        path = template.removeprefix("/api").replace("/{id}", "_one").replace("/", "_").replace("-", "_")
        name = asked.method.lower() + path
        handler: Callable[..., Any] = getattr(self, f"_{name}")
        try:
            return said(handler(*ids, **({"asked": asked} if handler.__kwdefaults__ is not None else {})))
        except Refused as e:
            return Said(status=e.status, body=json.dumps(e.body).encode())

    def _known(self, asked: Asked) -> bool:
        return asked.headers.get("x-metabase-session") in self.sessions or asked.headers.get("x-api-key") == API_KEY

    # who asks

    def _get_health(self) -> Any:
        return {"status": "ok"}

    def _get_session_properties(self) -> Any:
        return {
            "version": {"tag": self.version},
            "has-user-setup": bool(self.users),
            "setup-token": self.setup_token,
        }

    def _post_session(self, *, asked: Asked | None = None) -> Any:
        body = _body(asked)
        if self.users.get(body["username"]) != body["password"]:
            raise Refused(401, {"errors": {"password": "did not match stored password"}})
        return self._session()

    def _delete_session(self, *, asked: Asked | None = None) -> Any:
        assert asked is not None
        self.sessions.discard(asked.headers["x-metabase-session"])
        return {}

    def _post_setup(self, *, asked: Asked | None = None) -> Any:
        body = _body(asked)
        if self.users:
            raise Refused(403, "The /api/setup route can only be used to create the first user.")
        if body["token"] != self.setup_token:
            raise Refused(400, {"errors": {"token": "Token does not match the setup token."}})
        if len(body["user"]["password"]) < 6 or not any(c.isdigit() for c in body["user"]["password"]):
            raise Refused(400, {"errors": {"password": "password is too common."}})
        self.users[body["user"]["email"]] = body["user"]["password"]
        self.setup_token = None
        return self._session()

    def _put_setting_anon_tracking_enabled(self, *, asked: Asked | None = None) -> Any:
        self.tracking = _body(asked)["value"]

    def _session(self) -> Any:
        session = secrets.token_hex(16)
        self.sessions.add(session)
        return {"id": session}

    def _get_user_current(self) -> Any:
        return {"id": 1, "is_superuser": self.superuser}

    # the warehouse

    def _get_database(self) -> Any:
        shown = [{k: v for k, v in d.items() if k != "details"} for d in self.databases.values()]
        return {"data": shown, "total": len(shown)}

    def _get_database_one(self, id_: int) -> Any:
        return _masked(self._there(self.databases, id_))

    def _post_database(self, *, asked: Asked | None = None) -> Any:
        body = _body(asked)
        self._connect(body["details"])
        database = {"id": next(self._ids), "initial_sync_status": "incomplete", **body}
        self.databases[database["id"]] = database
        self._waiting[database["id"]] = self.looks_before_seen
        return _masked(database)

    def _put_database_one(self, id_: int, *, asked: Asked | None = None) -> Any:
        database = self._there(self.databases, id_)
        body = _body(asked)
        details = {**database["details"], **body.get("details", {})}
        if details["password"] == HIDDEN:
            details["password"] = database["details"]["password"]
        self._connect(details)
        database |= {**body, "details": details}
        return _masked(database)

    def _get_database_one_healthcheck(self, id_: int) -> Any:
        try:
            self._connect(self._there(self.databases, id_)["details"])
        except Refused as e:
            return {"status": "error", **e.body}
        return {"status": "ok"}

    def _post_database_one_sync_schema(self, id_: int) -> Any:
        self._there(self.databases, id_)
        self._waiting[id_] = self.looks_before_seen
        return {"status": "ok"}

    def _get_database_one_metadata(self, id_: int, *, asked: Asked | None = None) -> Any:
        database = self._there(self.databases, id_)
        if id_ in self._waiting:
            self._waiting[id_] -= 1
            if self._waiting[id_] < 0:
                del self._waiting[id_]
                self._look(database)
        assert asked is not None
        hidden = asked.query.get("include_hidden") == "true"
        tables = copy.deepcopy([t for t in self.tables.values() if t["db_id"] == id_])
        for table in tables if not hidden else ():
            table["fields"] = [f for f in table["fields"] if f["visibility_type"] == "normal"]
        return {**_masked(database), "tables": tables}

    def _look(self, database: Item) -> None:
        """What a sync sees: what the user may read, in the schemas that are let through."""
        details = database["details"]
        with psycopg.connect(**_conninfo(details)) as connection:
            rows = connection.execute(
                "select table_schema, table_name, column_name from information_schema.columns"
                " where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2, ordinal_position"
            ).fetchall()
        let_through = details["schema-filters-patterns"].split(",")
        for schema, name, column in rows:
            if schema not in let_through:
                continue
            known = [t for t in self.tables.values() if (t["schema"], t["name"]) == (schema, name)]
            table = known[0] if known else self._new_table(database["id"], schema, name)
            if column not in [f["name"] for f in table["fields"]]:
                table["fields"].append(
                    {
                        "id": next(self._ids),
                        "name": column,
                        "description": None,
                        "visibility_type": "normal",
                        "semantic_type": None,
                        "fk_target_field_id": None,
                        "nfc_path": None,
                        "parent_id": None,
                    }
                )
        database["initial_sync_status"] = "complete"

    def _new_table(self, database: int, schema: str, name: str) -> Item:
        table: Item = {
            "id": next(self._ids),
            "db_id": database,
            "schema": schema,
            "name": name,
            "description": None,
            "active": True,
            "fields": [],
        }
        self.tables[table["id"]] = table
        return table

    def _put_table_one(self, id_: int, *, asked: Asked | None = None) -> Any:
        return self._changed(self.tables, id_, asked)

    def _put_field_one(self, id_: int, *, asked: Asked | None = None) -> Any:
        fields = {f["id"]: f for t in self.tables.values() for f in t["fields"]}
        body = _body(asked)
        if body.get("fk_target_field_id") not in (None, *fields):
            raise Refused(400, {"errors": {"fk_target_field_id": "Invalid target field"}})
        return self._changed(fields, id_, asked)

    # what people look at

    def _get_collection(self) -> Any:
        return [{"id": "root", "name": "Our analytics"}, *self.collections.values()]

    def _post_collection(self, *, asked: Asked | None = None) -> Any:
        collection = {"id": next(self._ids), "location": "/", "archived": False, "description": None, **_body(asked)}
        self.collections[collection["id"]] = collection
        return collection

    def _get_collection_one_items(self, id_: int, *, asked: Asked | None = None) -> Any:
        self._there(self.collections, id_)
        assert asked is not None
        kinds = {"dashboard": self.dashboards, "card": self.cards}
        found = [
            {"id": i["id"], "name": i["name"], "description": i["description"], "model": kind}
            for kind, items in kinds.items()
            for i in items.values()
            if i["collection_id"] == id_ and not i["archived"] and asked.query.get("models", kind) == kind
        ]
        return {"data": found, "total": len(found)}

    def _get_card(self, *, asked: Asked | None = None) -> Any:
        assert asked is not None
        archived = asked.query.get("f") == "archived"
        of = int(asked.query["model_id"]) if asked.query.get("f") == "database" else None
        return [c for c in self.cards.values() if c["archived"] is archived and (of is None or c["database_id"] == of)]

    def _post_card(self, *, asked: Asked | None = None) -> Any:
        body = self._kept(_body(asked))
        card = {"id": next(self._ids), "archived": False, "collection_id": None, "description": None, **body}
        self.cards[card["id"]] = card
        return card

    def _get_card_one(self, id_: int) -> Any:
        return self._there(self.cards, id_)

    def _put_card_one(self, id_: int, *, asked: Asked | None = None) -> Any:
        card = self._there(self.cards, id_)
        card |= self._kept(_body(asked))
        return card

    def _kept(self, body: Item) -> Item:
        """What Metabase keeps of a card: since 0.57 the query in another form than it came."""
        if body.get("collection_id") is not None:
            self._there(self.collections, body["collection_id"])
        query = body.get("dataset_query")
        if query is not None:
            self._there(self.databases, query["database"])
            body["database_id"] = query["database"]
            if int(self.version.split(".")[1]) >= 57:
                stage = {"lib/type": "mbql.stage/native", "native": query["native"]["query"]}
                body["dataset_query"] = {"lib/type": "mbql/query", "database": query["database"], "stages": [stage]}
        if self.reformats and "visualization_settings" in body:
            body["visualization_settings"] = {"table.pivot": False, **body["visualization_settings"]}
        return body

    def _post_dashboard(self, *, asked: Asked | None = None) -> Any:
        body = _body(asked)
        if body.get("collection_id") is not None:
            self._there(self.collections, body["collection_id"])
        dashboard = {"id": next(self._ids), "archived": False, "description": None, "dashcards": [], "tabs": [], **body}
        self.dashboards[dashboard["id"]] = dashboard
        return dashboard

    def _get_dashboard_one(self, id_: int) -> Any:
        return self._there(self.dashboards, id_)

    def _put_dashboard_one(self, id_: int, *, asked: Asked | None = None) -> Any:
        dashboard = self._there(self.dashboards, id_)
        body = _body(asked)
        if "dashcards" in body:
            tabs = body.get("tabs") or []
            tab_ids = {t["id"] for t in tabs}
            if tabs and not all(d.get("dashboard_tab_id") in tab_ids for d in body["dashcards"]):
                raise Refused(400, "This dashboard has tab, makes sure every card has a tab")
            there = {d["id"]: d for d in dashboard["dashcards"]}
            for new in body["dashcards"]:
                if new.get("card_id") is not None:
                    self._there(self.cards, new["card_id"])
                if new["id"] > 0 and new["id"] not in there:
                    raise Refused(404, "Not found.")
            body["dashcards"] = [
                {**there.get(d["id"], {}), **d, "id": d["id"] if d["id"] > 0 else next(self._ids)}
                for d in body["dashcards"]
            ]
            body["tabs"] = [{**t, "dashboard_id": id_, "position": i} for i, t in enumerate(tabs)]
        dashboard |= body
        return dashboard

    def _changed(self, items: dict[int, Item], id_: int, asked: Asked | None) -> Item:
        item = self._there(items, id_)
        item |= _body(asked)
        return item

    @staticmethod
    def _there(items: dict[int, Item], id_: int) -> Item:
        if id_ not in items:
            raise Refused(404, "Not found.")
        return items[id_]

    def _connect(self, details: Item) -> None:
        if self.refused_password and details["password"] == self.refused_password:
            raise Refused(400, {"message": "password authentication failed", "errors": {"password": "check it"}})
        try:
            psycopg.connect(**_conninfo(details)).close()
        except psycopg.OperationalError as e:
            raise Refused(400, {"message": str(e).replace("\n", " "), "errors": {"host": "check the host"}}) from None


def _body(asked: Asked | None) -> Item:
    assert asked is not None
    found: Item = json.loads(asked.body or b"{}")
    return found


def _masked(database: Item) -> Item:
    return {**database, "details": {**database["details"], "password": HIDDEN}}


def _sql(query: Item) -> str:
    return str(query["stages"][0]["native"] if "stages" in query else query["native"]["query"])


def _conninfo(details: Item) -> Item:
    return {
        "host": details["host"],
        "port": details["port"],
        "dbname": details["dbname"],
        "user": details["user"],
        "password": details["password"] or "none",
        "connect_timeout": 5,
    }
