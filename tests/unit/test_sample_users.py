"""The sample ``users`` answers in the public generator's format, the same for ever."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from penstock.samples.sample_server import SampleServer

SHAPE = {
    "gender": str,
    "name": {"title": str, "first": str, "last": str},
    "location": {
        "street": {"number": int, "name": str},
        "city": str,
        "state": str,
        "country": str,
        "postcode": (int, str),
        "coordinates": {"latitude": str, "longitude": str},
        "timezone": {"offset": str, "description": str},
    },
    "email": str,
    "login": dict.fromkeys(("uuid", "username", "password", "salt", "md5", "sha1", "sha256"), str),
    "dob": {"date": str, "age": int},
    "registered": {"date": str, "age": int},
    "phone": str,
    "cell": str,
    "id": {"name": str, "value": (str, type(None))},
    "picture": {"large": str, "medium": str, "thumbnail": str},
    "nat": str,
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The sample, 6,000 users a seed."""
    with SampleServer.of("users", records=6_000) as running:
        yield f"{running.url}/api/"


def _text(server: str, query: str = "") -> str:
    with urllib.request.urlopen(f"{server}?{query}", timeout=30) as answer:
        return str(answer.read().decode())


def _users(server: str, query: str = "") -> Any:
    return json.loads(_text(server, query))["results"]


def _matches(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return list(value) == list(shape) and all(_matches(value[k], s) for k, s in shape.items())
    return isinstance(value, shape) and not isinstance(value, bool)


def test_the_format_to_the_letter(server: str) -> None:
    """Every field, in its place and order, of its type; hashes are of the password and its salt."""
    answer = json.loads(_text(server, "results=400&seed=a&page=2"))
    assert list(answer) == ["results", "info"]
    assert answer["info"] == {"seed": "a", "results": 400, "page": 2, "version": "1.4"}
    for user in answer["results"]:
        assert _matches(user, SHAPE), user
        login = user["login"]
        assert uuid.UUID(login["uuid"]).version == 4
        assert login["sha256"] == hashlib.sha256((login["password"] + login["salt"]).encode()).hexdigest()
        assert datetime.fromisoformat(user["dob"]["date"]) < datetime.fromisoformat(user["registered"]["date"])
        assert abs(float(user["location"]["coordinates"]["latitude"])) <= 90
    kinds = {type(u["location"]["postcode"]) for u in answer["results"]}
    assert kinds == {int, str}
    assert {u["id"]["value"] is None for u in answer["results"]} == {True, False}
    assert len({u["nat"] for u in answer["results"]}) == 21


def test_the_same_users_for_ever(server: str) -> None:
    """A seed's users do not depend on the size of pages; they end, and another seed has others."""
    whole = _users(server, "results=30&seed=s")
    assert _users(server, "results=10&seed=s&page=2") == whole[10:20]
    assert len(_users(server)) == 1
    assert _users(server) == _users(server, "results=1&page=1")
    assert _users(server, "results=5000&seed=s&page=2")[-1] == _users(server, "results=1&seed=s&page=6000")[0]
    assert _users(server, "results=5000&seed=s&page=3") == []
    assert not {u["login"]["uuid"] for u in whole} & {u["login"]["uuid"] for u in _users(server, "results=30&seed=t")}


def test_parameters(server: str) -> None:
    """Nationalities, a gender, fields to leave out, no info; a number out of range is 1."""
    found = _users(server, "results=50&nat=nl,FR&gender=female&inc=gender,nat,name&exc=name")
    assert {u["nat"] for u in found} == {"NL", "FR"}
    assert {u["gender"] for u in found} == {"female"}
    assert list(found[0]) == ["gender", "nat"]
    assert list(json.loads(_text(server, "noinfo"))) == ["results"]
    assert [len(_users(server, f"results={n}")) for n in ("5001", "0", "x")] == [1, 1, 1]
    lines = _text(server, "results=2&format=csv&inc=location,nat").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("location.street.number,location.street.name,location.city,")
    with pytest.raises(urllib.error.HTTPError) as caught:
        _text(server, "format=xml")
    assert "csv" in json.load(caught.value)["error"]
