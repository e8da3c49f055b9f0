"""Sends a message to an HTTP address, signed after Standard Webhooks when there is a secret.

Delivery: at least once. ``webhook-id`` is the same each time that a message is sent, so that a receiver can tell.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx2

from penstock.errors import DeliveryError, RefusedDelivery, redact
from penstock.sources.http.secrets import MaskedLog, Secrets
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.alerts.wording import Message
    from penstock.project import Webhook

_LATER = (408, 425, 429)
_LONGEST_WAIT_SECONDS = 3_600.0
_LOGS = ("httpx2", "httpcore2")


def send_webhook(settings: Webhook, message: Message) -> None:
    """Post a message.

    Raises:
        DeliveryError: it did not arrive; later it may.
        RefusedDelivery: the address does not take it.
    """
    url = settings.url.get_secret_value()
    body = json.dumps(message.body(settings.kind), ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"penstock/{__version__}",
        "webhook-id": message.id,
        **{name: value.get_secret_value() for name, value in settings.headers.items()},
    }
    if settings.secret is not None:
        at = str(int(time.time()))
        headers |= {
            "webhook-timestamp": at,
            "webhook-signature": signature(settings.secret.get_secret_value(), message.id, at, body),
        }
    where = f"webhook {settings.host}"
    try:
        with _unseen(url), httpx2.Client(timeout=settings.timeout_seconds) as client:
            answer = client.post(url, content=body, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as e:
        detail = str(e).replace(url, "its address")
        raise DeliveryError(f"did not answer: {detail or type(e).__name__}", where=where) from None
    if answer.is_success:
        return
    text = " ".join(answer.text.split())[:200]
    what = f"answered {answer.status_code}{f': {redact(text)}' if text else ''}"
    if answer.status_code < 500 and answer.status_code not in _LATER:
        raise RefusedDelivery(
            what, where=where, fix="check the address and its credentials, then penstock notify --test"
        )
    error = DeliveryError(what, where=where)
    error.after_seconds = _wait_seconds(answer.headers.get("retry-after", ""))
    raise error


def signature(secret: str, id_: str, at: str, body: bytes) -> str:
    """``v1,<base64>`` over ``id.timestamp.body`` (Standard Webhooks 1.0.0, HMAC-SHA256). A secret ``whsec_…`` is
    base64; any other is taken as it is."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = secret.encode()
    digest = hmac.new(key, b".".join((id_.encode(), at.encode(), body)), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


@contextmanager
def _unseen(url: str) -> Iterator[None]:
    """Keep the address, which lets anybody post, out of the logs of the library."""
    masked = MaskedLog(Secrets([url]))
    loggers = [logging.getLogger(name) for name in _LOGS]
    for logger in loggers:
        logger.addFilter(masked)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(masked)


def _wait_seconds(text: str) -> float:
    """``Retry-After`` (RFC 9110, 10.2.3): seconds or a date."""
    try:
        seconds = float(text) if text.strip().isdigit() else _until(text)
    except (ValueError, TypeError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_WAIT_SECONDS)


def _until(text: str) -> float:
    return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
