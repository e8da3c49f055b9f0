"""What is said when a request fails: what was asked, what came, and the fix; never a secret."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx2

from penstock.compression import BrokenEncoding
from penstock.errors import SourceError
from penstock.sources.http.addresses import origin
from penstock.sources.http.secrets import Secrets

if TYPE_CHECKING:
    from penstock.project.http_client import HttpConnection
    from penstock.sources.http.auth import Credentials

_SHOWN_BYTES = 2048
_SHOWN_LETTERS = 300


class Failed(Exception):
    """May go well the next time, after ``seconds`` where the server or the breaker says so."""

    def __init__(self, error: SourceError, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


class Unreachable(SourceError):
    """The API as a whole cannot be asked now: nothing else of it can be read either."""


class Refused(SourceError):
    """The API answered with a status that is an error, ``status``."""

    status = 0


class Refusals:
    """Makes the errors of one source."""

    def __init__(self, settings: HttpConnection, secrets: Secrets, credentials: Credentials, *, where: str) -> None:
        self._settings = settings
        self._secrets = secrets
        self._credentials = credentials
        self._where = where

    def shown(self, url: str) -> str:
        """An address without its secrets."""
        return self._secrets.mask_url(url)

    def error(self, what: str, *, fix: str, kind: type[SourceError] = SourceError) -> SourceError:
        """Any of them."""
        return kind(self._secrets.mask(what), where=self._where, fix=self._secrets.mask(fix))

    def last(self, error: SourceError, attempts: int) -> SourceError:
        """An error after which there was no more attempt."""
        what = error.what if attempts == 1 else f"{error.what} (the last of {attempts} attempts)"
        last = type(error)(what, where=error.where, fix=error.fix)
        if isinstance(error, Refused) and isinstance(last, Refused):
            last.status = error.status
        return last

    def downgrade(self, method: str, url: str) -> SourceError:
        """A link or a redirect leaves TLS."""
        return self.error(
            f"{method} {self.shown(url)} leads from https to http, where others can read along; it was not sent",
            fix="ask the API's owner to mend its links (often a proxy that does not pass on X-Forwarded-Proto), or use "
            "a pagination that does not follow them",
        )

    def out_of_time(self, method: str, url: str) -> SourceError:
        """The run has taken as long as it may."""
        return self.error(
            f"the run's time of {self._settings.timeouts.run_seconds:g} s was over at {method} {self.shown(url)}",
            fix="run it again to go on from what has landed, or raise timeouts.run_seconds",
            kind=Unreachable,
        )

    def proxy(self, cause: Exception) -> SourceError:
        """The environment names a proxy that cannot be used."""
        return self.error(
            f"the environment names a proxy that cannot be used: {cause}",
            fix="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; for SOCKS: pip install socksio",
            kind=Unreachable,
        )

    def redirected(self, method: str, url: str, to: str, why: str) -> SourceError:
        """A redirect that is not followed."""
        return self.error(
            f"{method} {self.shown(url)} is redirected to {self.shown(to)}, {why}",
            fix="check base_url, the path and auth: APIs also redirect those who have to log in",
        )

    def left_alone(self, method: str, url: str, failures: int, seconds: float) -> SourceError:
        """The breaker of the host is open."""
        return self.error(
            f"{method} {self.shown(url)} was not sent: {origin(url)} failed {failures} times in a row, and is left "
            f"alone for another {seconds:.0f} s",
            fix="run it again when the API answers; breaker.failures and breaker.open_seconds say when it is left",
            kind=Unreachable,
        )

    def throttled(self, method: str, url: str, seconds: float) -> SourceError:
        """The API asks for more patience than the settings have."""
        return self.error(
            f"{method} {self.shown(url)} would have to wait {seconds:.0f} s, as the API asks; at most "
            f"{self._settings.retries.throttled_seconds:g} s are allowed",
            fix="run it again later to go on from what has landed, set rate_limit to what the API grants, or raise "
            "retries.throttled_seconds",
            kind=Unreachable,
        )

    def refused(self, method: str, url: str, status: int, body: bytes) -> Exception:
        """The error for a status that is no answer."""
        words = self._secrets.mask(" ".join(body[:_SHOWN_BYTES].decode("utf-8", "replace").split()))[:_SHOWN_LETTERS]
        what = f"{method} {self.shown(url)} gave status {status}: {words or 'no body'}"
        kind: type[SourceError] = Refused
        own = origin(url) == origin(self._settings.base_url)
        if status == 429 or status >= 500:
            fix = "run it again later to go on from what has landed"
            if status == 429:
                fix = "set rate_limit to what the API grants, lower concurrency, or run it again later"
            return Failed(self._with_status(self.error(what, fix=fix, kind=kind), status))
        if status == 407:
            fix = "the proxy asks for credentials: put them into HTTPS_PROXY, http://user:password@host:port"
        elif status in (401, 403) and not own:
            fix = f"credentials are sent to base_url only; if {origin(url)} is the API itself, set base_url to it"
        elif status == 401 or (status == 403 and self._settings.auth is None):
            kind = Unreachable if status == 401 else kind
            fix = self._credentials.fix
        elif status == 403:
            fix = f"these credentials may not read this: {self._credentials.fix}"
        elif status in (404, 410):
            fix = "check base_url and the path"
        else:
            fix = "check the path, the parameters and the headers against the API's documentation"
        return self._with_status(self.error(what, fix=fix, kind=kind), status)

    def _with_status(self, error: SourceError, status: int) -> SourceError:
        if isinstance(error, Refused):
            error.status = status
        return error

    def broken(self, method: str, url: str, cause: Exception) -> Exception:
        """The error for an answer that did not come, or not whole."""
        what = f"{method} {self.shown(url)} failed: {_in_words(cause)}"
        if _refused_certificate(cause):
            return self.error(
                what,
                fix="name the API's certificate authority in tls.ca or SSL_CERT_FILE, or mend base_url's host",
                kind=Unreachable,
            )
        if isinstance(cause, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | UnicodeError):
            return self.error(what, fix="check base_url, the path and the headers")
        fix = "check that the API is up and base_url is right, then run it again to go on from what has landed"
        return Failed(self.error(what, fix=fix))


def _in_words(cause: Exception) -> str:
    match cause:
        case httpx2.ConnectTimeout():
            return "no connection within timeouts.connect_seconds"
        case httpx2.TimeoutException():
            return "nothing came for timeouts.read_seconds"
        case BrokenEncoding():
            return f"the body is broken: {cause}"
        case _:
            return str(cause) or type(cause).__name__


def _refused_certificate(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
