"""A shop is shown in Metabase: what is made there, what a second time changes, and what people made stays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from penstock.errors import DestinationError, MetabaseError, UsageError
from tests.support.api import Api, Said
from tests.support.metabase_server import API_KEY, EMAIL, PASSWORD, MetabaseServer
from tests.support.metabase_shop import CARDS, QUESTIONS, Shop

THERE = {"database shop", "collection Shop", "dashboard Shop", *(f"card {c}" for c in CARDS)}


@pytest.fixture(scope="module")
def built(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop with its orders landed and its models built."""
    name = f"shop_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0".encode())
    shop = Shop(tmp_path_factory.mktemp("shop"), f"{postgres_server.rpartition('/')[0]}/{name}")
    shop.penstock("run")
    yield shop
    from dbt.adapters.factory import reset_adapters

    reset_adapters()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def shop(built: Shop) -> Shop:
    """The shop with its first questions."""
    built.ask(QUESTIONS)
    return built


@pytest.fixture
def metabase() -> Iterator[MetabaseServer]:
    """A Metabase with an administrator and nothing else. No request may be one that it does not know."""
    with MetabaseServer() as server:
        yield server
        assert server.wrong == []


def changed(found: dict[str, str]) -> dict[str, str]:
    """What did not stay as it was."""
    return {k: v for k, v in found.items() if v != "unchanged"}


def test_a_new_metabase(shop: Shop) -> None:
    """It gets its administrator, the warehouse, every question and a dashboard; a second time nothing is written, and
    no session stays open."""
    with MetabaseServer(settled=False, starts_after=2) as server:
        server.looks_before_seen = 2
        found = shop.sync(server)
        assert found.keys() == {f"administrator {EMAIL}", *THERE, "table marts.dim_city", "table marts.fct_order"}
        assert server.users == {EMAIL: PASSWORD}
        assert not server.tracking
        [database] = server.databases.values()
        assert database["details"]["schema-filters-patterns"] == "marts"
        assert {t["schema"] for t in server.tables.values()} == {"marts"}
        before = len(server.api.asked)
        again = shop.sync(server)
        assert server.writes(before) == []
        assert set(again.values()) == {"unchanged"}
        assert server.sessions == set()
        assert server.wrong == []


def test_cards_and_their_answers(shop: Shop, metabase: MetabaseServer) -> None:
    """A card has the question's words, its SQL with the models' tables, and its way to be shown; asked as Metabase's
    user it gives the answer."""
    shop.sync(metabase)
    [collection] = metabase.collections.values()
    assert {c["collection_id"] for c in metabase.cards.values()} == {collection["id"]}
    orders, cities = metabase.card("orders"), metabase.card("by_city")
    assert (orders["name"], orders["display"]) == ("How many orders are there?", "scalar")
    assert orders["visualization_settings"]["scalar.field"] == "orders"
    assert metabase.run(orders) == (["orders"], [(3,)])
    assert cities["description"].startswith("In whole amounts.\n\npenstock shop/by_city ")
    assert cities["visualization_settings"]["graph.dimensions"] == ["city"]
    assert cities["visualization_settings"]["graph.metrics"] == ["amount"]
    assert metabase.run(cities) == (["city", "amount"], [("Oslo", 3), ("Rome", 9)])
    assert metabase.card("all")["display"] == "table"


def test_descriptions(shop: Shop, metabase: MetabaseServer) -> None:
    """Tables and columns have dbt's words, a relationship is a foreign key, a personal column is kept from view; and
    what dbt says nothing of stays as people wrote it."""
    shop.sync(metabase)
    assert metabase.table("fct_order")["description"] == "One row an order."
    assert metabase.field("fct_order", "id")["description"] == "The shop's number."
    city = metabase.field("fct_order", "city")
    assert city["semantic_type"] == "type/FK"
    assert city["fk_target_field_id"] == metabase.field("dim_city", "city")["id"]
    assert metabase.field("fct_order", "customer")["visibility_type"] == "sensitive"
    assert metabase.field("fct_order", "amount")["visibility_type"] == "normal"
    metabase.field("fct_order", "amount")["description"] = "In crowns."
    metabase.field("fct_order", "id")["description"] = "Older words of dbt's"
    found = shop.sync(metabase)
    assert changed(found) == {"table marts.fct_order": "updated"}
    assert metabase.field("fct_order", "amount")["description"] == "In crowns."
    assert metabase.field("fct_order", "id")["description"] == "The shop's number."


def test_a_changed_question(shop: Shop, metabase: MetabaseServer) -> None:
    """Only its card is written."""
    shop.sync(metabase)
    before = len(metabase.api.asked)
    text = QUESTIONS["2_by_city.sql"]
    shop.ask({**QUESTIONS, "2_by_city.sql": text.replace("show: bar", "show: pie")})
    assert changed(shop.sync(metabase)) == {"card by_city": "updated"}
    card = metabase.card("by_city")
    assert metabase.writes(before) == [f"PUT /api/card/{card['id']}"]
    assert card["display"] == "pie"
    assert card["visualization_settings"] == {"pie.dimension": "city", "pie.metric": "amount"}


@pytest.mark.parametrize(
    "edit",
    [
        {"display": "line"},
        {"name": "My name for it"},
        {"description": "My words\n\npenstock shop/by_city 0123456789ab"},
        {"visualization_settings": {"graph.show_values": True}},
    ],
    ids=lambda e: next(iter(e)),
)
def test_an_edited_card(shop: Shop, metabase: MetabaseServer, edit: dict[str, Any]) -> None:
    """A card that a person has changed stays so, also when its question changes or goes; it is taken back on demand."""
    shop.sync(metabase)
    card = metabase.card("by_city")
    ours = dict(card)
    card |= edit
    theirs = dict(card)
    assert changed(shop.sync(metabase)) == {"card by_city": "left"}
    shop.ask({**QUESTIONS, "2_by_city.sql": QUESTIONS["2_by_city.sql"].replace("amount", "AMOUNT")})
    assert changed(shop.sync(metabase)) == {"card by_city": "left"}
    shop.ask({k: v for k, v in QUESTIONS.items() if k != "2_by_city.sql"})
    assert changed(shop.sync(metabase)) == {"card by_city": "left"}
    assert card == theirs
    shop.ask(QUESTIONS)
    assert changed(shop.sync(metabase, "--overwrite")) == {"card by_city": "updated"}
    assert card == ours
    assert changed(shop.sync(metabase)) == {}


def test_a_card_without_its_mark(shop: Shop, metabase: MetabaseServer) -> None:
    """A person who writes another description over the mark keeps the card; there is no second one."""
    shop.sync(metabase)
    card = metabase.card("by_city")
    card["description"] = "Mine now."
    assert changed(shop.sync(metabase)) == {"card by_city": "left"}
    assert len(metabase.cards) == len(CARDS)
    assert changed(shop.sync(metabase, "--overwrite")) == {"card by_city": "updated"}
    assert changed(shop.sync(metabase)) == {}


def test_a_question_that_goes_and_comes(shop: Shop, metabase: MetabaseServer) -> None:
    """Its card goes to the trash, and comes back with what it says now; a copy of it that a person made stays."""
    shop.sync(metabase)
    card = metabase.card("by_city")
    copy = {**card, "id": 999, "name": f"{card['name']} - Duplicate"}
    metabase.cards[999] = copy
    shop.ask({k: v for k, v in QUESTIONS.items() if k != "2_by_city.sql"})
    assert changed(shop.sync(metabase)) == {"card by_city": "archived"}
    assert (card["archived"], copy["archived"]) == (True, False)
    del metabase.cards[999]
    assert changed(shop.sync(metabase)) == {}
    shop.ask({**QUESTIONS, "2_by_city.sql": QUESTIONS["2_by_city.sql"].replace("In whole", "In")})
    assert changed(shop.sync(metabase)) == {"card by_city": "restored"}
    assert (card["archived"], card["description"].partition("\n")[0]) == (False, "In amounts.")
    assert changed(shop.sync(metabase)) == {}


def test_a_card_in_the_trash(shop: Shop, metabase: MetabaseServer) -> None:
    """What a person has thrown away is not made anew, unless on demand."""
    shop.sync(metabase)
    metabase.card("by_city")["archived"] = True
    assert changed(shop.sync(metabase)) == {"card by_city": "left"}
    assert len(metabase.cards) == len(CARDS)
    assert changed(shop.sync(metabase, "--overwrite")) == {"card by_city": "restored"}
    assert changed(shop.sync(metabase)) == {}


def test_a_dashboard_that_people_work_on(shop: Shop, metabase: MetabaseServer) -> None:
    """What they move, add, put on tabs and take off stays so; a new question comes below all that is there."""
    shop.sync(metabase)
    [dashboard] = metabase.dashboards.values()
    assert [d["card_id"] for d in dashboard["dashcards"]] == [metabase.card(c)["id"] for c in CARDS]
    assert not overlapping(dashboard["dashcards"])
    number, cities, _ = dashboard["dashcards"]
    number |= {"row": 40, "col": 3, "dashboard_tab_id": 71}
    cities |= {"dashboard_tab_id": 72, "series": [{"id": metabase.card("all")["id"], "name": "more than an id"}]}
    note: dict[str, Any] = {"visualization_settings": {"text": "Read this"}, "card_id": None, "dashboard_tab_id": 71}
    note |= {"id": 555, "row": 50, "col": 0, "size_x": 24, "size_y": 2, "parameter_mappings": [], "series": []}
    dashboard["dashcards"] = [number, cities, note]
    dashboard["tabs"] = [{"id": 71, "name": "One", "position": 0}, {"id": 72, "name": "Two", "position": 1}]
    dashboard["name"] = "Mine"
    theirs = [dict(d) for d in (number, cities, note)]
    before = len(metabase.api.asked)
    assert changed(shop.sync(metabase)) == {}
    assert metabase.writes(before) == []
    shop.ask({**QUESTIONS, "4_more.sql": "-- question: More?\n-- show: table\nselect 1 as one"})
    assert changed(shop.sync(metabase)) == {"card more": "created", "dashboard Mine": "updated"}
    *kept, new = dashboard["dashcards"]
    assert [{**k, "series": t["series"]} for k, t in zip(kept, theirs, strict=True)] == theirs
    assert kept[1]["series"] == [{"id": metabase.card("all")["id"]}]
    assert (new["card_id"], new["row"], new["dashboard_tab_id"]) == (metabase.card("more")["id"], 52, 71)
    assert [t["name"] for t in dashboard["tabs"]] == ["One", "Two"]
    assert changed(shop.sync(metabase)) == {}


def overlapping(dashcards: list[dict[str, Any]]) -> bool:
    """Whether two of them share a place, or one stands outside."""
    taken = [(d["row"] + y, d["col"] + x) for d in dashcards for x in range(d["size_x"]) for y in range(d["size_y"])]
    return len(taken) != len(set(taken)) or max(x for _, x in taken) >= 24


def test_a_question_that_is_wrong(shop: Shop, metabase: MetabaseServer) -> None:
    """The others are shown, its card stays as it is, and the command fails with what is wrong."""
    shop.sync(metabase)
    shop.ask({**QUESTIONS, "2_by_city.sql": "-- question: Which?\n-- show: bar\nselect nothing from nowhere"})
    with pytest.raises(AssertionError, match=r"questions/2_by_city\.sql"):
        shop.sync(metabase)
    assert metabase.card("by_city")["archived"] is False
    shop.ask({**QUESTIONS, "4_tag.sql": "-- question: Tag?\n-- show: table\nselect '[[' as x"})
    with pytest.raises(AssertionError, match="beginning of a variable"):
        shop.sync(metabase)
    assert len(metabase.cards) == len(CARDS)


@pytest.mark.parametrize("version", ["v0.50.3", "v0.57.0", "v0.64.1"])
def test_what_metabase_makes_of_it(shop: Shop, version: str) -> None:
    """A Metabase that keeps settings and queries otherwise than they were written is not mistaken for a person."""
    with MetabaseServer(version=version) as server:
        server.reformats = True
        shop.sync(server)
        before = len(server.api.asked)
        assert changed(shop.sync(server)) == {}
        assert server.writes(before) == []
        server.card("orders")["display"] = "gauge"
        assert changed(shop.sync(server)) == {"card orders": "left"}
        assert server.wrong == []


def test_dry_run(shop: Shop, metabase: MetabaseServer) -> None:
    """It says the same and writes nothing, on a new Metabase and on one that has all but one change."""
    with MetabaseServer(settled=False) as new:
        found = shop.sync(new, "--dry-run")
        assert found == dict.fromkeys([f"administrator {EMAIL}", *THERE], "created")
        assert new.writes() == []
        assert new.users == {}
    assert shop.sync(metabase, "--dry-run").keys() == THERE
    assert metabase.writes() == []
    shop.sync(metabase)
    shop.ask({**QUESTIONS, "3_all.sql": QUESTIONS["3_all.sql"].replace("order by id", "order by 1")})
    before = len(metabase.api.asked)
    assert changed(shop.sync(metabase, "--dry-run")) == {"card all": "updated"}
    assert metabase.writes(before) == []


def test_an_api_key(shop: Shop, metabase: MetabaseServer) -> None:
    """It is enough, and no session is opened."""
    found = shop.sync(metabase, METABASE_API_KEY=API_KEY, METABASE_ADMIN_EMAIL="", METABASE_ADMIN_PASSWORD="")
    assert set(found) >= THERE
    assert not [a for a in metabase.api.asked if a.path == "/api/session"]


def test_a_new_column_is_looked_for(shop: Shop, metabase: MetabaseServer) -> None:
    """A column that Metabase has not seen has it look again; one that its user may not read does not."""
    shop.sync(metabase)
    with psycopg.connect(shop.postgres, autocommit=True) as connection:
        connection.execute("alter table marts.dim_city add column country text")
        try:
            before = len(metabase.api.asked)
            shop.sync(metabase)
            [database] = metabase.databases
            assert metabase.writes(before) == [f"POST /api/database/{database}/sync_schema"]
            assert metabase.field("dim_city", "country")
        finally:
            connection.execute("alter table marts.dim_city drop column country")


def test_a_reader_of_its_own(shop: Shop, metabase: MetabaseServer) -> None:
    """Metabase reads as the login that the environment names, sees its columns and waits for no others; a new password
    is noticed."""
    login = f"reader_{os.getpid()}"
    reader = {"METABASE_WAREHOUSE_USER": login, "METABASE_WAREHOUSE_PASSWORD": "first"}
    with psycopg.connect(shop.postgres, autocommit=True) as connection:
        connection.execute(f"create role {login} login password 'first'".encode())
        try:
            connection.execute(f"grant usage on schema marts to {login}".encode())
            connection.execute(f"grant select (id, city, amount) on marts.fct_order to {login}".encode())
            shop.sync(metabase, **reader)
            [database] = metabase.databases.values()
            assert database["details"]["user"] == login
            assert [f["name"] for f in metabase.table("fct_order")["fields"]] == ["id", "city", "amount"]
            assert metabase.run(metabase.card("orders"))[1] == [(3,)]
            assert shop.penstock("metabase", "sync")["notes"] == []
            database["details"]["password"] = "an old one"
            metabase.refused_password = "an old one"
            assert changed(shop.sync(metabase, **reader)) == {"database shop": "updated"}
            assert database["details"]["password"] == "first"
        finally:
            connection.execute(f"drop owned by {login} cascade".encode())
            connection.execute(f"drop role {login}".encode())


def test_who_reads_as_the_owner_is_told(shop: Shop, metabase: MetabaseServer) -> None:
    """Where Metabase reads as the user that lands, it is said that this one sees personal data."""
    shop.sync(metabase)
    [note] = shop.penstock("metabase", "sync")["notes"]
    assert "postgres, who may change the warehouse, and sees personal data" in note
    assert "shop_analyst" in note


def test_a_version_that_nobody_has_read_about(shop: Shop, metabase: MetabaseServer) -> None:
    """It is used, and a note says so."""
    metabase.version = "v0.99.0"
    shop.sync(metabase)
    assert "none of those this was written for" in shop.penstock("metabase", "sync")["notes"][-1]


def test_wrong_settings(shop: Shop, metabase: MetabaseServer) -> None:
    """Each says what is wrong and what to do, shows no password, and changes nothing."""
    refused: list[tuple[str, type[Exception], tuple[str, ...], dict[str, str]]] = [
        ("in: password did not match stored password", UsageError, (), {"METABASE_ADMIN_PASSWORD": "wrong-one"}),
        ("does not know the API key", UsageError, (), {"METABASE_API_KEY": "mb_wrong-one"}),
        ("needs an administrator", UsageError, (), {"METABASE_ADMIN_EMAIL": ""}),
        ("address is none", UsageError, (), {"METABASE_URL": "localhost"}),
        ("cannot read duckdb", UsageError, ("--target", "local"), {}),
        ("no user 'nobody'", UsageError, (), {"METABASE_WAREHOUSE_USER": "nobody"}),
        ("is no port", UsageError, (), {"METABASE_WAREHOUSE_PORT": "many"}),
        ("cannot connect to the warehouse", DestinationError, (), {"METABASE_WAREHOUSE_PORT": "9"}),
        ("by TCP", UsageError, (), {"METABASE_WAREHOUSE_HOST": "/run/postgresql"}),
    ]
    for what, kind, arguments, variables in refused:
        with pytest.raises(kind, match=what) as e:
            shop.sync(metabase, *arguments, **variables)
        assert e.value.fix, what  # type: ignore[attr-defined]
        assert not any(secret in str(e.value) for secret in ("wrong-one", PASSWORD, "no-secret")), what
    assert [w for w in metabase.writes() if w != "POST /api/database"] == []
    metabase.superuser = False
    with pytest.raises(UsageError, match="only an administrator"):
        shop.sync(metabase)
    metabase.version = "v0.49.2"
    with pytest.raises(UsageError, match="too old"):
        shop.sync(metabase)
    with MetabaseServer(settled=False) as new, pytest.raises(UsageError, match="too common"):
        shop.sync(new, METABASE_ADMIN_PASSWORD="weak")


def test_a_metabase_that_is_away(shop: Shop) -> None:
    """One that is down, does not start, breaks, or is none: an error that says so."""
    with pytest.raises(MetabaseError, match="cannot be reached"):
        shop.sync("http://127.0.0.1:9")
    with (
        MetabaseServer(starts_after=10_000) as server,
        pytest.raises(MetabaseError, match=r"not started within 0\.2 s"),
    ):
        shop.sync(server, "--wait", "0.2")
    for body, status, what in (
        (b"<html>Hello</html>", 200, "is no Metabase"),
        (b"Oh no", 500, "Oh no .HTTP 500."),
        (b"", 301, "Metabase is elsewhere"),
    ):
        headers = {"location": "https://elsewhere.example/api/session/properties"}
        answer = Said(status=status, body=body, headers=headers)
        with Api(lambda _, answer=answer: answer) as api, pytest.raises(MetabaseError, match=what):  # type: ignore[misc]
            shop.sync(api.url)


def test_an_error_for_a_moment(shop: Shop, metabase: MetabaseServer) -> None:
    """What may go well the next time is tried again, and nothing is written twice."""
    answers, failed = metabase.api.answer, set[str]()

    def sometimes(asked: Any) -> Said:
        if asked.method == "GET" and asked.path not in failed and asked.path != "/api/health":
            failed.add(asked.path)
            return Said(status=502)
        return answers(asked)

    metabase.api.answer = sometimes
    started = time.monotonic()
    shop.sync(metabase)
    assert len(metabase.cards) == len(CARDS)
    assert len(failed) >= 5
    assert time.monotonic() - started < 120
