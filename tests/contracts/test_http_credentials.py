"""The HTTP client's credentials: who gets them, how they are renewed, and that nobody sees them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from penstock.errors import SourceError
from penstock.logs import captured
from penstock.project.http_client import HttpConnection
from penstock.project.plain import masked
from penstock.sources.http.client import Client
from penstock.sources.http.responses import Page, Request
from tests.support.apis import Api, Asked, Raw, certify, reply

T = TypeVar("T")
SECRET = 'tr0ub4dor&3"/+='
QUICK = {"attempts": 3, "first_wait_seconds": 0.01, "longest_wait_seconds": 0.05}
AUTHS: dict[str, dict[str, Any]] = {
    "bearer": {"type": "bearer", "token": SECRET},
    "basic": {"type": "basic", "user": "ann", "password": SECRET},
    "key in a header": {"type": "api_key", "key": SECRET, "name": "X-Api"},
    "key in the query": {"type": "api_key", "key": SECRET, "name": "k", "location": "query"},
}


def within(base_url: str, use: Callable[[Client], Awaitable[T]], **settings: Any) -> T:
    """What ``use`` makes of a client."""
    found = HttpConnection.model_validate({"base_url": base_url, "retries": QUICK, **settings})

    async def run() -> T:
        async with Client(found, name="api") as client:
            return await use(client)

    return asyncio.run(run())


def read(base_url: str, url: str = "items", **settings: Any) -> Page:
    """One page."""
    return within(base_url, lambda c: c.read(Request(url=url)), **settings)


def oauth(api: Api, **more: Any) -> dict[str, Any]:
    """OAuth 2 with the token endpoint of ``api``."""
    found = {"type": "oauth2", "token_url": f"{api.url}/token", "client_id": "me:1", "client_secret": SECRET}
    return {"auth": found | more}


class Issuer:
    """Issues tokens ``token-1``, ``token-2``, …, and answers those who show one that is valid."""

    def __init__(self, *, lifetime: float | None = 3600, uses: int | None = None) -> None:
        self.issued = 0
        self._lifetime = lifetime
        self._uses = uses
        self._used = 0

    def __call__(self, asked: Asked) -> Raw:
        if asked.path == "/token":
            self.issued += 1
            self._used = 0
            answer: dict[str, Any] = {"access_token": f"token-{self.issued}", "token_type": "bearer"}
            if self._lifetime is not None:
                answer["expires_in"] = self._lifetime
            return Raw(data=reply(json.dumps(answer)).data, after=0.1)
        if asked.headers.get("authorization") == f"Bearer token-{self.issued}" and self._used != self._uses:
            self._used += 1
            return reply("in")
        return reply("who are you?", 401)


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("bearer", "authorization", f"Bearer {SECRET}"),
        ("basic", "authorization", "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()),
        ("key in a header", "x-api", SECRET),
    ],
)
def test_credentials_in_headers(auth: str, name: str, value: str) -> None:
    """Each kind is sent as its standard says."""
    with Api(lambda _: reply()) as api:
        read(api.url, auth={**AUTHS[auth]})
        assert api.asked[0].headers[name] == value


def test_key_in_the_query() -> None:
    """It goes into each request once, also when a link has it already, and is in no page's address."""
    with Api(lambda _: reply()) as api:
        assert read(api.url, "a?k=old&b=1", auth=AUTHS["key in the query"]).url == f"{api.url}/a?k=old&b=1"
        assert api.asked[0].query == {"b": "1", "k": SECRET}


def test_one_token_for_all() -> None:
    """However many tasks ask for it, a token is fetched once."""
    issuer = Issuer()
    with Api(issuer) as api:

        async def use(client: Client) -> None:
            await asyncio.gather(*(client.read(Request(url=str(i))) for i in range(20)))

        within(api.url, use, **oauth(api, scope="read write", parameters={"audience": "them"}))
        asked = api.asked[0]
        assert issuer.issued == 1 and len(api.asked) == 21
        assert asked.method == "POST" and asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert asked.body == b"grant_type=client_credentials&audience=them&scope=read+write"
        user, _, password = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).partition(b":")
        assert (user, password) == (b"me%3A1", b"tr0ub4dor%263%22%2F%2B%3D")


def test_client_credentials_in_the_body() -> None:
    """Some servers want them there."""
    with Api(Issuer()) as api:
        read(api.url, **oauth(api, credentials_in="body"))
        assert "authorization" not in api.asked[0].headers
        assert b"client_id=me%3A1&client_secret=tr0ub4dor%263%22%2F%2B%3D" in api.asked[0].body


def test_a_token_is_renewed_before_it_expires() -> None:
    """A tenth of its life, 30 s at most, before its end: no request is sent with one that has expired."""
    issuer = Issuer(lifetime=1)
    with Api(issuer) as api:

        async def use(client: Client) -> None:
            for _ in range(2):
                await client.read(Request(url="x"))
            await asyncio.sleep(1)
            await client.read(Request(url="x"))

        within(api.url, use, **oauth(api))
        assert issuer.issued == 2
        assert [a.path for a in api.asked] == ["/token", "/x", "/x", "/token", "/x"]


def test_a_token_that_is_refused_in_the_middle() -> None:
    """It is renewed once for all tasks, and their requests are sent again."""
    issuer = Issuer(lifetime=None, uses=10)
    with Api(issuer) as api:

        async def use(client: Client) -> list[bytes]:
            pages = [await client.read(Request(url="x")) for _ in range(10)]
            pages += await asyncio.gather(*(client.read(Request(url="x")) for _ in range(8)))
            return [p.body for p in pages]

        assert within(api.url, use, **oauth(api)) == [b"in"] * 18
        assert issuer.issued == 2


def test_a_late_refusal() -> None:
    """A refusal of the old token that comes after the new one was fetched leaves the new one in use."""
    issuer = Issuer()

    def answer(asked: Asked) -> Raw:
        if asked.headers["authorization"] == "Bearer token-1":
            return Raw(data=reply("old", 401).data, after=0.5 if asked.path == "/late" else 0)
        return issuer(asked)

    with Api(answer) as api:

        async def use(client: Client) -> list[bytes]:
            pages = await asyncio.gather(*(client.read(Request(url=u)) for u in ("soon", "late")))
            return [p.body for p in pages]

        assert within(api.url, use, **oauth(api)) == [b"in", b"in"]
        assert issuer.issued == 2


def test_a_new_token_that_is_refused() -> None:
    """The second 401 of a request is an error that says what to mend."""
    with Api(lambda a: Issuer()(a) if a.path == "/token" else reply("no", 401)) as api:
        with pytest.raises(SourceError, match="status 401: no") as e:
            read(api.url, **oauth(api))
        assert "what the client me:1 may do" in e.value.fix
        assert [a.path for a in api.asked] == ["/token", "/items", "/token", "/items"]


@pytest.mark.parametrize(("auth", "fix"), [("bearer", "auth.token"), ("basic", "auth.password"), (None, "set auth")])
def test_credentials_that_are_refused(auth: str | None, fix: str) -> None:
    """What cannot be renewed is not sent again."""
    with Api(lambda _: reply("no", 401)) as api:
        with pytest.raises(SourceError) as e:
            read(api.url, auth=AUTHS[auth] if auth else None)
        assert fix in e.value.fix and len(api.asked) == 1


def test_token_endpoint_that_refuses() -> None:
    """It is quoted, and the settings to check are named; it is tried again only when it may help."""
    refused = json.dumps({"error": "invalid_client", "error_description": f"unknown {SECRET}"})
    with Api(lambda _: reply(refused, 401)) as api:
        with pytest.raises(SourceError, match=r"no token from POST .*status 401: invalid_client: unknown \*") as e:
            read(api.url, **oauth(api))
        assert "auth.client_secret" in e.value.fix and len(api.asked) == 1
    for odd in ("<html>", "[]", "{}", '{"access_token": ""}', '{"access_token": "a\\nb"}'):
        with Api(lambda _, odd=odd: reply(odd)) as api, pytest.raises(SourceError, match="no token"):  # type: ignore[misc]
            read(api.url, **oauth(api))
    kind = json.dumps({"access_token": "abcdef", "token_type": "mac"})
    with Api(lambda _: reply(kind)) as api, pytest.raises(SourceError, match="type 'mac'"):
        read(api.url, **oauth(api))


def test_token_endpoint_that_fails() -> None:
    """A token endpoint is tried again like the API."""
    issuer, fails = Issuer(), [reply("", 500), Raw(data=b"", then="reset")]
    with Api(lambda a: fails.pop() if fails else issuer(a)) as api:
        assert read(api.url, **oauth(api)).body == b"in"


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("way", ["redirect", "link"])
def test_another_host_gets_no_credentials(auth: str, way: str) -> None:
    """A redirect or a link to elsewhere is followed without credentials, headers, parameters and cookies."""
    settings = {"auth": AUTHS[auth], "headers": {"X-Team": SECRET}, "params": {"tenant": SECRET}}
    with Api(lambda _: reply("theirs")) as other:
        target = f"{other.url}/file?k={SECRET}&page=2" if "query" in auth else f"{other.url}/file?page=2"

        def answer(asked: Asked) -> Raw:
            return (
                reply("", 302, location=target, set_cookie="session=s3ss10n") if asked.path == "/a" else reply("ours")
            )

        with Api(answer) as api:

            async def use(client: Client) -> bytes:
                if way == "redirect":
                    return (await client.read(Request(url="a"))).body
                await client.read(Request(url="b"))
                link = f"{other.url.replace('://', '://ann:pw@')}/file?page=2"
                return (await client.read(Request(url=link, headers={"X-More": SECRET}))).body

            assert within(api.url, use, **settings) == b"theirs"
            assert api.asked[0].headers["x-team"] == SECRET and api.asked[0].query["tenant"] == SECRET
        (asked,) = other.asked
        seen = json.dumps([asked.target, dict(asked.headers)])
        assert asked.query == {"page": "2"} and asked.headers["accept"]
        assert not {"authorization", "cookie", "x-api", "x-team", "x-more"} & set(asked.headers)
        assert "tr0ub4dor" not in seen and "s3ss10n" not in seen


def test_redirects_on_the_same_host() -> None:
    """They are followed with credentials; the page tells where it came from. A POST becomes a GET where it has to."""

    def answer(asked: Asked) -> Raw:
        moved = {"/a": (301, "/b?x=1"), "/b": (307, "c"), "/c": (303, "/d")}
        if asked.path in moved:
            status, location = moved[asked.path]
            return reply("", status, location=location)
        return reply("there")

    with Api(answer) as api:
        page = read(api.url, "a", auth=AUTHS["bearer"])
        assert (page.body, page.url) == (b"there", f"{api.url}/d")
        assert [a.target for a in api.asked] == ["/a", "/b?x=1", "/c", "/d"]
        assert all(a.headers["authorization"] == f"Bearer {SECRET}" for a in api.asked)
        within(api.url, lambda c: c.read(Request(url="c", method="POST", json=[1])))
        assert [(a.method, a.body) for a in api.asked[-2:]] == [("POST", b"[1]"), ("GET", b"")]


def test_redirects_that_lead_nowhere() -> None:
    """A circle of redirects ends, and so does one to what is no HTTP."""
    with Api(lambda a: reply("", 302, location=a.target)) as api:
        with pytest.raises(SourceError, match=r"is redirected to .* after 10 redirects"):
            read(api.url)
        assert len(api.asked) == 11
    with (
        Api(lambda a: reply("", 302, location="ftp://h/x")) as api,
        pytest.raises(SourceError, match="no HTTP address"),
    ):
        read(api.url)


@pytest.mark.parametrize("auth", [*AUTHS, "oauth", "headers"])
def test_nothing_secret_is_shown(auth: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in errors, whatever the API sends back, nor in representations, nor in any library's log."""

    def answer(asked: Asked) -> Raw:
        if asked.path == "/token":
            return reply(json.dumps({"access_token": f"t0ken{SECRET}", "expires_in": 3600}))
        echo = json.dumps([asked.target, dict(asked.headers), SECRET])
        return reply(echo, 400) if asked.path == "/bad" else reply("", 500)

    caplog.set_level(logging.DEBUG)
    with Api(answer) as api:
        settings: dict[str, Any] = {"auth": AUTHS[auth]} if auth in AUTHS else oauth(api) if auth == "oauth" else {}
        if auth == "headers":
            settings = {"headers": {"X-Auth": SECRET}, "params": {"api_token": SECRET, "limit": "100"}}
        found = HttpConnection.model_validate({"base_url": api.url, "retries": QUICK, **settings})
        shown = [repr(found), str(found), str(masked(found))]

        async def run() -> None:
            async with Client(found, name="api") as client:
                shown.append(repr(client))
                for url in ("bad?limit=100", "x?access_token=tr0ub4dor"):
                    with pytest.raises(SourceError) as e:
                        await client.read(Request(url=url))
                    cause: BaseException | None = e.value
                    while cause is not None:
                        shown.append(f"{cause} {cause!r}")
                        cause = cause.__cause__ or cause.__context__

        with captured() as told:
            asyncio.run(run())
    assert any(record["event"] == "asking again" for record in told)
    shown += [str(record) for record in told]
    shown += [r.getMessage() + str(r.args) for r in caplog.records]
    text = "\n".join(shown)
    assert "HTTP Request: GET" in text and "limit=100" in text and "*****" in text
    encoded = base64.b64encode(f"ann:{SECRET}".encode()).decode()
    assert "tr0ub4dor" not in text and encoded not in text and "t0ken" not in text


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate for 127.0.0.1 that nobody trusts."""
    return certify(tmp_path_factory.mktemp("tls"))


def test_tls(tls: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is not trusted ends the run at once; trust comes by setting or by environment."""
    context, certificate = tls
    with Api(lambda _: reply("safe"), tls=context) as api:
        with pytest.raises(SourceError, match="certificate verify failed") as e:
            read(api.url)
        assert "SSL_CERT_FILE" in e.value.fix and "attempts" not in e.value.what and not api.asked
        assert read(api.url, tls={"ca": str(certificate)}).body == b"safe"
        assert read(api.url, tls={"verify": False}).body == b"safe"
        with pytest.raises(SourceError, match="cannot use the certificates of"):
            read(api.url, tls={"ca": "/nowhere.pem"})
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read(api.url).body == b"safe"
        assert {a.version for a in api.asked} == {"1.1"}


def test_http2(tls: tuple[ssl.SSLContext, Path], caplog: pytest.LogCaptureFixture) -> None:
    """Where both speak it, all requests share one connection; its library's log shows no secret."""
    context, certificate = tls
    caplog.set_level(logging.DEBUG)
    body = b"x" * 5_000
    with Api(lambda _: reply(body), tls=context) as api:

        async def use(client: Client) -> list[Page]:
            await client.read(Request(url="first"))
            return list(await asyncio.gather(*(client.read(Request(url="x")) for _ in range(8))))

        pages = within(api.url, use, http2=True, tls={"ca": str(certificate)}, auth=AUTHS["bearer"])
        assert all(p.body == body for p in pages)
        assert {a.version for a in api.asked} == {"2"} and api.connections == 1
    messages = [r.getMessage() for r in caplog.records]
    assert any("authorization" in m for m in messages) and not any("tr0ub4dor" in m for m in messages)


def test_no_way_from_https_to_http(tls: tuple[ssl.SSLContext, Path]) -> None:
    """Neither a redirect nor a link leaves TLS."""
    context, certificate = tls
    with Api(lambda _: reply("plain")) as plain:
        with Api(lambda _: reply("", 302, location=f"{plain.url}/x"), tls=context) as api:
            for url in ("a", f"{plain.url}/x"):
                with pytest.raises(SourceError, match="leads from https to http"):
                    read(api.url, url, tls={"ca": str(certificate)}, auth=AUTHS["bearer"])
        assert not plain.asked


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``HTTP_PROXY`` is asked for what ``NO_PROXY`` does not name."""
    with Api(lambda _: reply("proxy")) as proxy, Api(lambda _: reply("direct")) as api:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", f"://bob:{'p' * 8}@"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert read("http://api.invalid", "x").body == b"proxy"
        assert proxy.asked[0].target == "http://api.invalid/x"
        assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert read(api.url).body == b"direct"
        for odd in ("socks5://127.0.0.1:1", "magic://ann:tr0ub4dor@h", "http://ann:tr0ub4dor@h:port"):
            monkeypatch.setenv("HTTP_PROXY", odd)
            with pytest.raises(SourceError, match="names a proxy") as e:
                read(api.url)
            assert "HTTP_PROXY" in e.value.fix and "tr0ub4dor" not in str(e.value)


def test_secrets_from_files_may_end_a_line() -> None:
    """A line break after a secret is left out; one within is refused, without showing it."""
    with Api(lambda _: reply()) as api:
        read(api.url, auth={"type": "bearer", "token": "abcdef\n"})
        assert api.asked[0].headers["authorization"] == "Bearer abcdef"
    with pytest.raises(ValidationError, match="one line") as e:
        HttpConnection.model_validate({"base_url": "http://h", "auth": {"type": "bearer", "token": "tr0ub4dor\nx"}})
    assert "tr0ub4dor" not in str(e.value)
