"""The API of a company that rents out cars by subscription: ``/cars``, ``/customers``, ``/subscriptions``.

A record of a car or a customer is the whole of it as it was from ``updated`` on; each change is another record. A
subscription never changes. Wrong on purpose, besides what :mod:`penstock.samples.feed` does: cars that nobody knows,
dates that are none (``2025-02-30``, ``0000-00-00``, an empty text), and terms as words (``"twelve"``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.samples.draws import Draw
from penstock.samples.feed import BLOCK, COPY_RECORDS, START, Feed, Lives, Timeline
from penstock.samples.sample_pages import Pages
from penstock.samples.texts import Texts, Whole, chosen, days, joined, moments, money, numbers, quoted, unless, words

DAYS = 730
"""How many days the records are spread over, from :data:`penstock.samples.feed.START` on."""
_DAY = 86_400
_UNKNOWN = 900_000_000
"""Car ids from here on are of no car."""


def _words(text: str) -> list[str]:
    return text.split()


_MODELS = (
    ("Volvo", "EX30", "electric", 38_900),
    ("Volvo", "XC40", "hybrid", 44_500),
    ("Volkswagen", "ID.3", "electric", 36_900),
    ("Volkswagen", "Golf", "petrol", 29_800),
    ("Volkswagen", "Passat", "diesel", 41_200),
    ("Škoda", "Enyaq", "electric", 43_900),
    ("Škoda", "Octavia", "diesel", 32_400),
    ("BMW", "i4", "electric", 59_200),
    ("BMW", "X1", "petrol", 46_300),
    ("Renault", "Mégane", "electric", 34_700),
    ("Renault", "Clio", "petrol", 19_900),
    ("Toyota", "Corolla", "hybrid", 31_600),
    ("Toyota", "Yaris", "hybrid", 24_300),
    ("Fiat", "500", "electric", 28_500),
    ("Polestar", "2", "electric", 48_800),
    ("Citroën", "C3", "petrol", 18_700),
)
_CITIES = (
    ("Berlin", "10"),
    ("Hamburg", "20"),
    ("München", "80"),
    ("Köln", "50"),
    ("Frankfurt am Main", "60"),
    ("Stuttgart", "70"),
    ("Düsseldorf", "40"),
    ("Leipzig", "04"),
    ("Dresden", "01"),
    ("Nürnberg", "90"),
    ("Bremen", "28"),
    ("Hannover", "30"),
)
_FIRST = _words(
    "Ada Bela Cem Dana Emil Fatma Greta Hana Ilse Jörg Karim Lena Mirko Noor Oskar Paula Rosa Sören Tilda Ulf"
)
_LAST = _words(
    "Albers Brandt Celik Dietz Ebner Falk Götz Hansen Ihle Jansen Kowalski Lorenz Marx Nowak Otto Petersen Quandt"
    " Riedel Sommer Thiel Uhl Vogt Weiß Yilmaz Ziegler"
)
_NOUNS = _words("Falken Linden Hafen Morgen Nord Stern Silber Berg Wiesen Fluss")
_TRADES = _words("bau logistik pflege technik handel consulting druck gartenbau")
_FORMS = ("GmbH", "AG", "KG", "& Söhne OHG")
_DOMAINS = ("mail.example", "post.example", "web.example", "inbox.example")
_TERMS = (1, 3, 6, 12, 18, 24, 36)
_TERM_WORDS = ("one", "three", "six", "twelve", "eighteen", "twenty-four", "thirty-six")
_BAD_DATES = ("2025-02-30", "0000-00-00", "", "31.12.2024")

_CARS = ("id", "brand", "model", "engine_type", "registration_date", "deregistration_date", "price", "updated")
_CUSTOMERS = (
    "id",
    "type",
    "company_name",
    "name",
    "email",
    "phone",
    "city",
    "zip_code",
    "created",
    "updated",
)
_SUBSCRIPTIONS = ("id", "customer_id", "car_id", "term_months", "start_date", "monthly_rate", "created")


def create_app(
    *,
    records: int = 10_000,
    seed: int = 1,
    page_size: int = 100,
    days: int = DAYS,
    as_of: int | None = None,
    missing: bool = False,
) -> Starlette:
    """The API.

    Args:
        records: how many records each of the three endpoints has in all, over all ``days``.
        as_of: the moment (seconds since 1970) that everything is shown as of; all there is when left out.
        missing: whether a page past the end is a 404 instead of an empty page.
    """
    all_feeds = feeds(records=records, seed=seed, days=days)
    routes = [Route("/", _index), Route("/health", _health)]
    for feed in all_feeds:
        pages = Pages(feed, page_size=page_size, as_of=as_of, missing=missing)
        routes.append(Route(f"/{feed.name}", pages.__call__))
        if feed.records_of is not None:
            routes.append(Route(f"/{feed.name}/{{id:int}}/changes", pages.changes))
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


def feeds(*, records: int, seed: int = 1, days: int = DAYS) -> tuple[Feed, Feed, Feed]:
    """Cars, customers and subscriptions."""
    cars, customers = _Cars(records, seed, days), _Customers(records, seed, days)
    return cars.feed(), customers.feed(), _Subscriptions(records, seed, days).feed()


class _Part:
    """What the three have in common."""

    name = ""

    def __init__(self, records: int, seed: int, days: int) -> None:
        self._draw = Draw(_salted(seed, self.name))
        self._line = Timeline(records, days, self._draw)
        self._lives = Lives(self._line, self._draw)

    def _drawn(self, purpose: str, number: Whole, of: int, step: int | Whole = 0) -> Whole:
        """A draw below ``of`` for each number."""
        drawn = self._draw(purpose, number.astype(np.uint64), np.asarray(step, dtype=np.uint64))
        return (drawn % np.uint64(of)).astype(np.int64)

    def _updated(self, number: Whole) -> Whole:
        return self._lives.states(self._lives.originals(number)).updated

    def _records_of(self, id_: int) -> Whole:
        return self._lives.records_of(id_ - 1)

    def _or_bad(self, texts: Texts, mask: NDArray[np.bool_], number: Whole) -> Texts:
        return unless(mask, texts, chosen(_vocabulary("bad_dates"), self._drawn("bad", number, len(_BAD_DATES))))


class _Cars(_Part):
    """Registered when they are new, cheaper after a change, deregistered by the third."""

    name = "cars"

    def feed(self) -> Feed:
        return Feed(
            name=self.name,
            fields=_CARS,
            timeline=self._line,
            columns=self._columns,
            updated=self._updated,
            late_records=self._lives.late_records + COPY_RECORDS,
            records_of=self._records_of,
        )

    def _columns(self, number: Whole) -> Sequence[Texts]:
        number = self._lives.originals(number)
        lives = self._lives.states(number)
        car, state = lives.thing, lives.state
        model = self._drawn("model", car, len(_MODELS))
        listed = _PRICES[model] * 100 + self._drawn("extras", car, 400_000)
        price = np.where(state > 1, listed * (88 + self._drawn("discount", car, 9)) // 100, listed)
        registered = lives.created - self._drawn("registered", car, 5) * _DAY
        gone = lives.updated - self._drawn("gone", car, 3) * _DAY
        bad = self._drawn("bad_date", number, 300) == 0
        return (
            numbers(car + 1),
            chosen(_vocabulary("brands"), model),
            chosen(_vocabulary("models"), model),
            chosen(_vocabulary("engines"), model),
            self._or_bad(days(registered), bad, number),
            unless(state < 3, days(gone)),
            money(price),
            moments(lives.updated),
        )


class _Customers(_Part):
    """They move, and then get another address and number; some private ones turn into companies."""

    name = "customers"

    def feed(self) -> Feed:
        return Feed(
            name=self.name,
            fields=_CUSTOMERS,
            timeline=self._line,
            columns=self._columns,
            updated=self._updated,
            late_records=self._lives.late_records + COPY_RECORDS,
            records_of=self._records_of,
        )

    def _columns(self, number: Whole) -> Sequence[Texts]:
        lives = self._lives.states(self._lives.originals(number))
        who, state = lives.thing, lives.state
        first, last = self._drawn("first", who, len(_FIRST)), self._drawn("last", who, len(_LAST))
        moved, renamed = (state > 1).astype(np.int64), (state > 2).astype(np.int64)
        business = (self._drawn("type", who, 10) < 3) | ((state > 2) & (self._drawn("founder", who, 6) == 0))
        # one company in five is a person
        own = self._drawn("own", who, 5) == 0
        company = joined(
            '"',
            chosen(_vocabulary("nouns"), self._drawn("noun", who, len(_NOUNS))),
            chosen(_vocabulary("trades"), self._drawn("trade", who, len(_TRADES))),
            " ",
            chosen(_vocabulary("forms"), self._drawn("form", who, len(_FORMS))),
            '"',
        )
        name = joined(chosen(_vocabulary("first"), first), " ", chosen(_vocabulary("last"), last))
        trader = joined('"', name, ' e.K."')
        city = self._drawn("city", who, len(_CITIES), moved)
        digits = chosen(_vocabulary("three"), self._drawn("zip", who, 1000, moved))
        return (
            numbers(who + 1),
            chosen(_vocabulary("types"), business.astype(np.int64)),
            unless(~business, unless(own, company, trader)),
            joined('"', name, '"'),
            joined(
                '"',
                chosen(_vocabulary("mailboxes"), first * len(_LAST) + last),
                numbers(who + 1),
                "@",
                chosen(_vocabulary("domains"), self._drawn("domain", who, len(_DOMAINS), renamed)),
                '"',
            ),
            joined(
                '"+49 30 ',
                chosen(_vocabulary("three"), self._drawn("phone", who, 1000, renamed)),
                chosen(_vocabulary("three"), self._drawn("extension", who, 1000, renamed)),
                '"',
            ),
            chosen(_vocabulary("cities"), city),
            joined('"', chosen(_vocabulary("zips"), city), digits, '"'),
            moments(lives.created),
            moments(lives.updated),
        )


class _Subscriptions(_Part):
    """Each of a customer and a car that were there before it, but for some cars that never were."""

    name = "subscriptions"

    def __init__(self, records: int, seed: int, days: int) -> None:
        super().__init__(records, seed, days)
        self._recent = self._line.blocks(200)

    def feed(self) -> Feed:
        return Feed(
            name=self.name,
            fields=_SUBSCRIPTIONS,
            timeline=self._line,
            columns=self._columns,
            updated=self._created,
            late_records=COPY_RECORDS,
        )

    def _created(self, number: Whole) -> Whole:
        return self._line.at(self._lives.originals(number))

    def _columns(self, number: Whole) -> Sequence[Texts]:
        number = self._lives.originals(number)
        block = number // BLOCK
        created = self._line.at(number)
        since = self._draw("customer_block", number.astype(np.uint64)) % np.maximum(block, 1).astype(np.uint64)
        back = np.minimum(self._drawn("car_block", number, self._recent), np.maximum(block - 1, 0))
        car = self._lives.thing_in(np.maximum(block - 1 - back, 0), "car", number) + 1
        unknown = self._drawn("unknown", number, 200) == 0
        car = np.where(unknown, _UNKNOWN + self._drawn("stranger", number, 1000), car)
        term = self._drawn("term", number, len(_TERMS))
        start = created + (1 + self._drawn("start", number, 21)) * _DAY
        rate = 19_900 + self._drawn("rate", number, 80_000) + (len(_TERMS) - term) * 2_500
        return (
            numbers(number + 1),
            numbers(self._lives.thing_in(since.astype(np.int64), "customer", number) + 1),
            numbers(car),
            unless(
                self._drawn("word", number, 40) == 0,
                chosen(_vocabulary("terms"), term),
                chosen(_vocabulary("term_words"), term),
            ),
            self._or_bad(days(start), self._drawn("bad_date", number, 200) == 0, number),
            money(rate),
            moments(created),
        )


_UMLAUTS = str.maketrans("äöüß", "aous")
_PRICES = np.array([price for *_, price in _MODELS], dtype=np.int64)


@cache
def _vocabulary(name: str) -> Texts:
    made: dict[str, Any] = {
        "brands": lambda: quoted([m[0] for m in _MODELS]),
        "models": lambda: quoted([m[1] for m in _MODELS]),
        "engines": lambda: quoted([m[2] for m in _MODELS]),
        "bad_dates": lambda: quoted(_BAD_DATES),
        "types": lambda: quoted(("b2c", "b2b")),
        "cities": lambda: quoted([c[0] for c in _CITIES]),
        "zips": lambda: words([c[1] for c in _CITIES]),
        "first": lambda: words(_FIRST),
        "last": lambda: words(_LAST),
        "mailboxes": lambda: words([_ascii(f"{f}.{n}") for f in _FIRST for n in _LAST]),
        "domains": lambda: words(_DOMAINS),
        "nouns": lambda: words(_NOUNS),
        "trades": lambda: words(_TRADES),
        "forms": lambda: words(_FORMS),
        "three": lambda: words([f"{n:03}" for n in range(1000)]),
        "terms": lambda: words([str(t) for t in _TERMS]),
        "term_words": lambda: quoted(_TERM_WORDS),
    }
    return made[name]()


def _ascii(text: str) -> str:
    return text.lower().translate(_UMLAUTS)


def _salted(seed: int, name: str) -> int:
    """A seed of each endpoint's own."""
    return int(Draw(seed)(name, np.array([0], dtype=np.uint64))[0])


async def _index(request: Request) -> Response:
    base = str(request.base_url).rstrip("/")
    every = {name: f"{base}/{name}" for name in ("cars", "customers", "subscriptions")}
    return JSONResponse({**every, "first_day": str(np.datetime64(START, "s").astype("datetime64[D]"))})


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)
