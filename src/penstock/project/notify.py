"""The settings of notifications. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from penstock.project.group import Settings, none
from penstock.project.schedule import Span
from penstock.project.values import Frozen, HeaderValue, OneOrMany, ProjectPath

AlertName = Literal[
    "expectation_failed",
    "schedule_failed",
    "run_failed",
    "models_failed",
    "part_failing",
    "queue_unreachable",
    "landing_stopped",
    "files_refused",
    "warehouse_unreachable",
]
ALERT_NAMES: tuple[str, ...] = get_args(AlertName)

_HOSTS = {
    "hooks.slack.com": "slack",
    "webhook.office.com": "teams",
    "logic.azure.com": "teams",
    "api.powerplatform.com": "teams",
}
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_NAMED = re.compile(rf"[^<>\r\n]*<{_ADDRESS.pattern}>")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_EXAMPLE = "`- webhook: https://…`"
_NEAR = ("localhost", "127.0.0.1", "::1")


def _web_address(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError("expected an address such as https://hooks.example.com/services/…")
    return SecretStr(text)


def _mail_address(text: str) -> str:
    if not _ADDRESS.fullmatch(text.strip()) and not _NAMED.fullmatch(text.strip()):
        raise ValueError(f"expected an address such as data@example.com, not {text!r}")
    return text.strip()


def _mail_addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_mail_address, texts))


class Webhook(Settings):
    """An HTTP address that is sent a `POST` for each message. The address alone stands for `url`."""

    url: Annotated[SecretStr, AfterValidator(_web_address)]
    """The address; of it, only the host is ever shown."""
    format: Literal["auto", "json", "slack", "teams"] = "auto"
    """What is sent: Penstock's own JSON, Slack's, or a card for Microsoft Teams. `auto` tells it from the host, `json`
    where it is of neither."""
    headers: Annotated[Mapping[str, HeaderValue], Frozen] = Field(default_factory=none)
    """More headers, such as `Authorization: Bearer ${TOKEN}`. Their values are never shown."""
    secret: SecretStr | None = None
    """What messages are signed with, by HMAC-SHA256 after Standard Webhooks; `whsec_…` or any text."""
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    """How long an answer is waited for."""

    @property
    def host(self) -> str:
        """The host, which is no secret."""
        return urlsplit(self.url.get_secret_value()).hostname or ""

    @property
    def kind(self) -> str:
        """``json``, ``slack`` or ``teams``."""
        if self.format != "auto":
            return self.format
        return next((kind for end, kind in _HOSTS.items() if f".{self.host}".endswith(f".{end}")), "json")


class Email(Settings):
    """Mail through an SMTP server."""

    host: str = Field(min_length=1)
    """The server."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Port. 587 by default, 465 with `tls: tls`, 25 with `tls: none`."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: by STARTTLS, from its beginning, or not at all."""
    ca: ProjectPath | None = None
    """The certificates to trust, a PEM file. The system's own when left out."""
    user: str | None = None
    """User, where the server asks for one."""
    password: SecretStr | None = None
    """Password; never shown."""
    from_: Annotated[str, AfterValidator(_mail_address)] = Field(alias="from")
    """The sender's address."""
    to: Annotated[OneOrMany, AfterValidator(_mail_addresses)]
    """The address, or the list of addresses, to send to."""
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """How long an answer is waited for."""

    @model_validator(mode="after")
    def _no_open_password(self) -> Email:
        if (self.user is None) != (self.password is None):
            raise ValueError("expected both user: and password:, or neither")
        if self.password is not None and self.tls == "none" and self.host not in _NEAR:
            raise ValueError("tls: none would send the password for all to read; take starttls or tls")
        return self

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port or _PORTS[self.tls]}"


def _webhook(value: Any) -> Any:
    if isinstance(value, str):
        return {"url": value} if value.strip() else None
    return value


class Channel(Settings):
    """A way to tell someone: `webhook:` or `email:`."""

    webhook: Annotated[Webhook | None, BeforeValidator(_webhook)] = None
    """An address that is sent each message. Empty, as `${SLACK_URL:-}` may be, nothing is sent."""
    email: Email | None = None
    """Mail that is sent for each message."""
    only: tuple[AlertName, ...] = ()
    """The alerts to tell of, such as `[expectation_failed, models_failed]`. All of them when left out."""

    @model_validator(mode="before")
    @classmethod
    def _no_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"expected webhook: or email:, not a text: write {_EXAMPLE}")
        return value

    @model_validator(mode="after")
    def _one(self) -> Channel:
        if len(self.model_fields_set & {"webhook", "email"}) != 1:
            raise ValueError("expected webhook: or email:, one of them")
        return self

    @property
    def name(self) -> str:
        """What it is called where it is shown, without secrets."""
        if self.webhook is not None:
            return f"webhook {self.webhook.host}"
        return "none" if self.email is None else f"email {', '.join(self.email.to)}"


class Notify(Settings):
    """Who is told when something fails, and when it is well again. A list alone stands for `to:`."""

    to: tuple[Channel, ...] = ()
    """The channels: each an item with `webhook:` or `email:`."""
    after: Annotated[int, Field(ge=1, le=1_000)] = 1
    """How many times something has to have failed in a row before anybody is told,"""
    for_: Span = Field(default=timedelta(), alias="for")
    """and for how long."""
    remind_every: Span = timedelta(days=1)
    """How often it is told again while it goes on failing. `0s` for never."""
    calm: Span = timedelta(minutes=10)
    """What fails again within so long of its recovery is told as recovered only once it has been well for as long."""
    settle: Span = timedelta(seconds=5)
    """What fails within so long goes into one message."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those that lead somewhere."""
        return tuple(c for c in self.to if c.webhook is not None or c.email is not None)


def notify_of(value: Any) -> Any:
    """A list as the group that it stands for.

    Raises:
        ValueError: it is a text, which may be a secret and is not shown.
    """
    if isinstance(value, str):
        raise ValueError(f"expected a list of channels, not a text: write {_EXAMPLE}")
    return {"to": value} if isinstance(value, list) else value
