"""Which certificates are trusted and shown."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx2

from penstock.errors import SourceError

if TYPE_CHECKING:
    from penstock.project.tls_settings import Tls


def tls_context(tls: Tls, *, where: str) -> ssl.SSLContext | bool:
    """What the settings say of certificates; True for what the environment says."""
    if not tls.verify and tls.certificate is None:
        return False
    if tls.ca is None and tls.certificate is None:
        return True
    try:
        context = httpx2.create_ssl_context() if tls.ca is None else ssl.create_default_context(cafile=str(tls.ca))
        if not tls.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as e:  # also what ssl raises
        files = ", ".join(str(f) for f in (tls.ca, tls.certificate, tls.key) if f is not None)
        raise SourceError(
            f"cannot use the certificates of {files}: {e.strerror or e}",
            where=where,
            fix="check tls.ca, tls.certificate and tls.key: they are PEM files",
        ) from e
    return context
