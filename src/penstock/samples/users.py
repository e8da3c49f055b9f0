"""Made-up users in the response format of the public Random User Generator, version 1.4, at ``/api/``.

``results`` (1 to 5,000; 1 by default), ``page``, ``seed``, ``nat``, ``gender``, ``inc``, ``exc``, ``noinfo`` and
``format`` (``json``, ``pretty``, ``csv``) mean what they mean there. Unlike there, the user at a place of a seed is the
same for every size of page, ages are those of one day, and a seed may come to an end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
import string
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.samples.people import ANIMALS, NATIONS, PASSWORDS, QUALITIES, ZONES, Nation

MOST = 5_000
"""Users one request may ask for."""
VERSION = "1.4"
AS_OF = 1_751_328_000
"""When ages are told, unless it is said: 1 July 2025, 00:00 UTC."""
_LATIN = str.maketrans({"ø": "o", "æ": "ae", "ı": "i", "đ": "d", "ß": "ss"})
_FORMATS = {"json": "application/json", "pretty": "application/json", "csv": "text/csv"}


def create_app(*, records: int = 10_000, seed: int = 1, page_size: int = 1, as_of: int | None = None) -> Starlette:
    """The API.

    Args:
        records: how many users each seed has; behind them, pages are empty.
        seed: that of requests that name none.
        page_size: of no use here: as in the public service, one user is answered unless ``results`` says more.
        as_of: the moment, in seconds since 1970, at which ages are told.
    """
    del page_size
    now = datetime.fromtimestamp(AS_OF if as_of is None else as_of, UTC)

    def answer(request: Request) -> Response:
        return _answer(request.query_params, records, f"{seed:016x}", now)

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    paths = ("/api", "/api/", f"/api/{VERSION}", f"/api/{VERSION}/")
    return Starlette(routes=[Route("/health", health), *(Route(path, answer) for path in paths)])


def _answer(asked: Mapping[str, str], records: int, own_seed: str, now: datetime) -> Response:
    size = _whole(asked.get("results"), 1, MOST)
    page = _whole(asked.get("page"), 1, 10_000_000)
    seed = asked.get("seed") or own_seed
    format_ = asked.get("format", "json").lower()
    if format_ not in _FORMATS:
        return JSONResponse({"error": f"there is no format {format_!r}: take {', '.join(_FORMATS)}"}, 400)
    nations = _nations(asked.get("nat", ""))
    numbers = range(min((page - 1) * size, records), min(page * size, records))
    users = [user(seed, n, now, nations=nations, gender=asked.get("gender", "")) for n in numbers]
    included, excluded = _names(asked.get("inc", "")), _names(asked.get("exc", ""))
    chosen = [{k: v for k, v in u.items() if (not included or k in included) and k not in excluded} for u in users]
    if format_ == "csv":
        return Response(_csv(chosen), media_type=_FORMATS[format_])
    body: dict[str, Any] = {"results": chosen}
    if "noinfo" not in asked:
        body["info"] = {"seed": seed, "results": len(chosen), "page": page, "version": VERSION}
    text = json.dumps(
        body,
        ensure_ascii=False,
        indent=2 if format_ == "pretty" else None,
        separators=None if format_ == "pretty" else (",", ":"),
    )
    return Response(text, media_type=_FORMATS[format_])


def user(
    seed: str, number: int, now: datetime, *, nations: tuple[Nation, ...] = NATIONS, gender: str = ""
) -> dict[str, Any]:
    """The user at a place of a seed, the same for ever."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - made-up data
    nation = draw.choice(nations)
    woman = draw.random() < 0.5
    woman = {"female": True, "male": False}.get(gender, woman)
    first, plain_first = _spelt(draw.choice(nation.women if woman else nation.men))
    last, plain_last = _spelt(draw.choice(nation.last))
    city, state = draw.choice(nation.places)
    offset, description = draw.choice(ZONES)
    postcode = _filled(nation.postcode, draw)
    born = datetime(1944, 9, 1, tzinfo=UTC) + timedelta(milliseconds=draw.randrange(57 * 365 * 86_400_000))
    first_day = max(datetime(2002, 3, 1, tzinfo=UTC), born + timedelta(days=365))
    registered = first_day + (now - first_day) * draw.random()
    kind, portrait = "women" if woman else "men", draw.randrange(100)
    pictures = "https://portraits.example/api/portraits"
    return {
        "gender": "female" if woman else "male",
        "name": {"title": draw.choice(("Miss", "Ms", "Mrs")) if woman else "Mr", "first": first, "last": last},
        "location": {
            "street": {"number": draw.randint(1, 9_999), "name": draw.choice(nation.streets)},
            "city": city,
            "state": state,
            "country": nation.country,
            "postcode": int(postcode) if nation.number else postcode,
            "coordinates": {
                "latitude": f"{draw.randint(-900_000, 900_000) / 10_000:.4f}",
                "longitude": f"{draw.randint(-1_800_000, 1_800_000) / 10_000:.4f}",
            },
            "timezone": {"offset": offset, "description": description},
        },
        "email": f"{plain_first}.{plain_last}@example.com",
        "login": _login(draw),
        "dob": {"date": _moment(born), "age": _years(born, now)},
        "registered": {"date": _moment(registered), "age": _years(registered, now)},
        "phone": _filled(nation.phone, draw),
        "cell": _filled(nation.cell, draw),
        "id": {"name": nation.id_name, "value": _filled(nation.id_format, draw) or None},
        "picture": {
            "large": f"{pictures}/{kind}/{portrait}.jpg",
            "medium": f"{pictures}/med/{kind}/{portrait}.jpg",
            "thumbnail": f"{pictures}/thumb/{kind}/{portrait}.jpg",
        },
        "nat": nation.code,
    }


def _login(draw: random.Random) -> dict[str, str]:
    uuid_ = uuid.UUID(int=draw.getrandbits(128), version=4)
    username = f"{draw.choice(QUALITIES)}{draw.choice(ANIMALS)}{draw.randint(100, 999)}"
    password = f"{draw.choice(PASSWORDS)}{draw.randint(1, 9_999)}"
    salt = "".join(draw.choices(string.ascii_letters + string.digits, k=8))
    salted = (password + salt).encode()
    return {
        "uuid": str(uuid_),
        "username": username,
        "password": password,
        "salt": salt,
        "md5": hashlib.md5(salted, usedforsecurity=False).hexdigest(),
        "sha1": hashlib.sha1(salted, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(salted).hexdigest(),
    }


def _spelt(name: str) -> tuple[str, str]:
    """A name, and what it is in an address."""
    shown, _, latin = name.partition("/")
    plain = unicodedata.normalize("NFKD", (latin or shown).lower().translate(_LATIN))
    return shown, re.sub(r"[^a-z]", "", plain)


def _filled(pattern: str, draw: random.Random) -> str:
    """No digit is 0: a postcode that is a number has none in front."""
    return re.sub("[#@]", lambda m: draw.choice("123456789" if m[0] == "#" else string.ascii_uppercase), pattern)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _years(since: datetime, now: datetime) -> int:
    return now.year - since.year - ((now.month, now.day) < (since.month, since.day))


def _whole(text: str | None, least: int, most: int) -> int:
    """As the public service: what is no number in range is 1."""
    return int(text) if text and text.isascii() and text.isdigit() and least <= int(text) <= most else 1


def _nations(asked: str) -> tuple[Nation, ...]:
    codes = {code.strip().upper() for code in asked.split(",")}
    return tuple(n for n in NATIONS if n.code in codes) or NATIONS


def _names(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",") if name.strip()}


def _csv(users: list[dict[str, Any]]) -> str:
    """RFC 4180, its columns named by path: ``location.street.number``."""
    rows = [dict(_leaves(u)) for u in users]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0] if rows else [], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _leaves(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, child in value.items():
        if isinstance(child, dict):
            yield from _leaves(child, f"{before}{key}.")
        else:
            yield f"{before}{key}", child
