"""Requests to one Metabase: as an administrator, tried again where that is harmless, and their errors in words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import httpx2

from penstock.backoff import Backoff
from penstock.bi.metabase.access import Access
from penstock.errors import MetabaseError, UsageError
from penstock.logs import get_log
from penstock.sources.http.secrets import Secrets
from penstock.version import __version__

OLDEST, NEWEST = 50, 64
"""The versions that were read about: 0.50 brought the trash, 0.64 is the latest whose source was compared."""

_ATTEMPTS = 4
_AGAIN = frozenset({429, 502, 503, 504})
_SHOWN = 300


_log = get_log("metabase")


class _Again(Exception):
    """It failed, and may go well the next time."""

    def __init__(self, error: MetabaseError) -> None:
        self.error = error


class Client:
    """A connection to one Metabase. A context manager; :meth:`open` comes first.

    With ``apply`` false it asks and changes nothing: :meth:`post` and :meth:`put` then give an empty answer.
    """

    def __init__(self, access: Access, *, apply: bool = True, say: Callable[[str], None] = lambda _: None) -> None:
        self._access = access
        self._say = say
        self._session = ""
        self._secrets = Secrets([access.api_key, access.password])
        self._http = httpx2.Client(
            base_url=access.url + "/api/",
            timeout=httpx2.Timeout(60, connect=10),
            headers={"user-agent": f"penstock/{__version__}", "accept": "application/json"},
            follow_redirects=False,
        )
        self.apply = apply
        self.version = ""
        self.fresh = False
        """Whether it has no administrator yet, and got none: only without ``apply``."""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._session:
                self._http.delete("session")
        except httpx2.HTTPError:
            pass  # it ends by itself, in two weeks
        finally:
            self._http.close()

    def open(self, *, site_name: str, wait_seconds: float) -> bool:
        """Wait until it has started, and log in; a new Metabase gets its administrator. Gives whether it did.

        Raises:
            UsageError: the administrator is not known there, or is none; the version is too old.
            MetabaseError: it is away.
        """
        self._await_start(wait_seconds)
        about = self.get("session/properties")
        self.version = str((about.get("version") or {}).get("tag") or "")
        release = self.release
        if release is not None and release < OLDEST:
            raise UsageError(
                f"Metabase {self.version} is too old", where=self._access.url, fix=f"use 0.{OLDEST} or later"
            )
        new = about.get("has-user-setup") is False and bool(about.get("setup-token"))
        if new:
            self._set_up(str(about["setup-token"]), site_name)
        elif self._access.api_key:
            self._http.headers["x-api-key"] = self._access.api_key
        else:
            self._log_in()
        if not self.fresh:
            self._check_administrator()
        return new

    @property
    def release(self) -> int | None:
        """57 for v0.57.1 and v1.57.1; None when it says no such thing."""
        parts = self.version.removeprefix("v").split(".")
        return int(parts[1]) if len(parts) > 1 and parts[0] in ("0", "1") and parts[1].isdigit() else None

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """What is there."""
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make something, or have something done."""
        return self._answer("POST", path, body=body) if self.apply else {}

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something."""
        return self._answer("PUT", path, body=body) if self.apply else {}

    def _await_start(self, seconds: float) -> None:
        """Until it is healthy: a Metabase that starts says so for a minute or two."""
        until = time.monotonic() + seconds
        announced = False
        while True:
            try:
                if self._send("GET", "health").status_code != 503:
                    return
            except _Again as e:
                raise e.error from None
            if time.monotonic() >= until:
                raise MetabaseError(
                    f"it has not started within {seconds:g} s",
                    where=self._access.url,
                    fix="see its log, or wait longer: --wait SECONDS",
                )
            if not announced:
                self._say("Metabase is starting")
                announced = True
            time.sleep(min(2.0, max(0.05, seconds / 20)))

    def _set_up(self, token: str, site_name: str) -> None:
        if not self._access.email or not self._access.password:
            raise UsageError(
                "Metabase is new and has no administrator, nor API keys",
                where=self._access.url,
                fix="set METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD; Metabase gets that administrator",
            )
        if not self.apply:
            self.fresh = True
            return
        self._secrets.add(token)
        body = {
            "token": token,
            "user": {"email": self._access.email, "password": self._access.password, "site_name": site_name},
            "prefs": {"site_name": site_name, "allow_tracking": False},
        }
        try:
            answer = self._answer("POST", "setup", body=body)
        except MetabaseError as e:
            if e.status != 400:
                raise
            raise UsageError(
                f"Metabase takes no such administrator: {e.what}",
                where="METABASE_ADMIN_EMAIL",
                fix="choose another METABASE_ADMIN_PASSWORD: longer, with digits, and none that is common",
            ) from None
        self._begin(answer)
        # what the set-up is told of tracking holds for its own page alone
        try:
            self.put("setting/anon-tracking-enabled", {"value": False})
        except MetabaseError as e:
            if e.status not in (400, 500):
                raise
            # a variable of Metabase's own says whether it tracks, and may not be overruled
            self._say(f"Metabase keeps anon-tracking-enabled as it is: {e.what}")

    def _log_in(self) -> None:
        body = {"username": self._access.email, "password": self._access.password}
        try:
            answer = self._answer("POST", "session", body=body)
        except MetabaseError as e:
            if e.status not in (400, 401):
                raise
            raise UsageError(
                f"Metabase does not let {self._access.email} in: {e.what}",
                where=self._access.url,
                fix="set METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD to those of an administrator",
            ) from None
        self._begin(answer)

    def _begin(self, answer: Mapping[str, Any]) -> None:
        self._session = str(answer["id"])
        self._secrets.add(self._session)
        self._http.headers["x-metabase-session"] = self._session

    def _check_administrator(self) -> None:
        try:
            user = self.get("user/current")
        except MetabaseError as e:
            if e.status not in (401, 403):
                raise
            raise UsageError(
                "Metabase does not know the API key",
                where="METABASE_API_KEY",
                fix="make one in Metabase: Admin settings, Authentication, API keys; in the group Administrators",
            ) from None
        if not user.get("is_superuser"):
            raise UsageError(
                "only an administrator of Metabase may add a database",
                where="METABASE_API_KEY" if self._access.api_key else self._access.email,
                fix="take an API key of the group Administrators, or an administrator's e-mail address",
            )

    def _answer(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        backoff = Backoff(0.2, 5.0, jitter=True)
        for left in reversed(range(_ATTEMPTS)):
            try:
                response = self._send(method, path, params=params, body=body)
                break
            except _Again as e:
                if not left:
                    raise e.error from None
                seconds = backoff.next_seconds()
                _log.info("asking again", what=e.error.what, where=e.error.where, again_in_seconds=round(seconds, 2))
                time.sleep(seconds)
        if response.status_code >= 300:
            raise self._refused(method, path, response)
        try:
            return response.json() if response.content else {}
        except ValueError:
            raise MetabaseError(
                "what answers is no Metabase: no JSON came", where=self._place(method, path), fix="see METABASE_URL"
            ) from None

    def _send(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> httpx2.Response:
        """One attempt. A write that may have arrived is not sent again."""
        try:
            response = self._http.request(method, path, params=dict(params or {}), json=body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as e:
            raise _Again(self._away(method, path, e)) from e
        except httpx2.HTTPError as e:
            away = self._away(method, path, e)
            if method != "GET":
                raise away from e
            raise _Again(away) from e
        if path != "health" and (response.status_code == 429 or (method == "GET" and response.status_code in _AGAIN)):
            raise _Again(self._refused(method, path, response))
        return response

    def _away(self, method: str, path: str, error: Exception) -> MetabaseError:
        detail = self._secrets.mask(" ".join(str(error).split())) or type(error).__name__
        return MetabaseError(
            f"Metabase cannot be reached: {detail}",
            where=self._place(method, path),
            fix="start it (docker compose up --detach --wait metabase), or name another: METABASE_URL",
        )

    def _refused(self, method: str, path: str, response: httpx2.Response) -> MetabaseError:
        if response.is_redirect:
            to = self._secrets.mask(response.headers["location"].partition("/api/")[0])
            return MetabaseError("Metabase is elsewhere", where=self._place(method, path), fix=f"set METABASE_URL={to}")
        return MetabaseError(
            f"{_reason(response, self._secrets)} (HTTP {response.status_code})",
            where=self._place(method, path),
            fix="see docs/metabase.md for the versions it was written for" if response.status_code == 404 else "",
            status=response.status_code,
        )

    def _place(self, method: str, path: str) -> str:
        return f"{method} {self._access.url}/api/{path}"


def _reason(response: httpx2.Response, secrets: Secrets) -> str:
    """What Metabase says is wrong: text, or JSON with ``message`` and ``errors`` by field."""
    text = response.text.strip()
    try:
        detail = json.loads(text)
    except ValueError:
        detail = text
    if isinstance(detail, dict):
        errors = detail.get("errors")
        parts = [str(detail["message"])] if isinstance(detail.get("message"), str) else []
        if isinstance(errors, dict):
            # no colon: what stands behind `password:` is masked in errors
            parts += [f"{name} {value}" for name, value in errors.items()]
        detail = "; ".join(parts) or text
    shown = secrets.mask(" ".join(str(detail).split()))[:_SHOWN]
    return shown or "it refuses"
