"""Sends a message by SMTP.

Delivery: at least once, per message and not per recipient; the ``Message-ID`` is the same each time that it is sent.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING

from penstock.errors import DeliveryError, RefusedDelivery, redact

if TYPE_CHECKING:
    from penstock.alerts.wording import Message
    from penstock.project import Email


def send_mail(settings: Email, message: Message) -> None:
    """Send a message to all recipients.

    Raises:
        DeliveryError: it did not arrive; later it may.
        RefusedDelivery: the server does not take it, from this sender, for these recipients or with this password.
    """
    where = f"mail server {settings.address}"
    try:
        with _connected(settings) as server:
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password.get_secret_value())
            refused = server.send_message(mail_of(settings, message))
    except smtplib.SMTPNotSupportedError as e:
        fix = "check tls:, user: and password: of the channel"
        raise RefusedDelivery(f"cannot do what is asked: {e}", where=where, fix=fix) from None
    except smtplib.SMTPRecipientsRefused as e:
        codes = {code for code, _ in e.recipients.values()}
        raise _refusal(max(codes), f"refused {', '.join(e.recipients)}", where) from None
    except smtplib.SMTPResponseException as e:
        reply = e.smtp_error.decode(errors="replace") if isinstance(e.smtp_error, bytes) else str(e.smtp_error)
        raise _refusal(e.smtp_code, f"answered {e.smtp_code} {redact(reply)}", where) from None
    except ssl.SSLCertVerificationError as e:
        fix = "name the certificates to trust: ca: mail.pem"
        raise RefusedDelivery(f"its certificate is not trusted: {e.verify_message}", where=where, fix=fix) from None
    except (smtplib.SMTPException, OSError) as e:
        raise DeliveryError(f"did not answer: {e or type(e).__name__}", where=where) from None
    if refused:
        raise RefusedDelivery(f"refused {', '.join(refused)}; the others have it", where=where, fix="check to:")


def mail_of(settings: Email, message: Message) -> EmailMessage:
    """The message as mail."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(message.subject.split())
    mail["From"] = settings.from_
    mail["To"] = ", ".join(settings.to)
    mail["Date"] = format_datetime(message.sent_at)
    mail["Message-ID"] = f"<{message.id}@{parseaddr(settings.from_)[1].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that nobody's absence is answered
    mail.set_content(message.text)
    return mail


def _connected(settings: Email) -> smtplib.SMTP:
    host, _, port = settings.address.rpartition(":")
    seconds = settings.timeout_seconds
    if settings.tls == "none":
        return smtplib.SMTP(host, int(port), timeout=seconds)
    context = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    if settings.tls == "tls":
        return smtplib.SMTP_SSL(host, int(port), timeout=seconds, context=context)
    server = smtplib.SMTP(host, int(port), timeout=seconds)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _refusal(code: int, what: str, where: str) -> DeliveryError:
    """A reply of 5xx is for good (RFC 5321, 4.2.1)."""
    if code >= 500:
        fix = "check the channel's settings, then penstock notify --test"
        return RefusedDelivery(what, where=where, fix=fix)
    return DeliveryError(what, where=where)
