"""``penstock.schema.json`` and ``docs/configuration.md``, both made from the settings' types."""

from __future__ import annotations


def project_schema() -> dict[str, object]:
    return {}


def configuration_page() -> str:
    return ""
