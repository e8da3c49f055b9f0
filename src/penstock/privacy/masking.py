"""What Penstock shows of personal data: a mask, unless it is asked for.

It guards against looks over the shoulder and logs, not against who may read the warehouse: see ``penstock grants``.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.errors import MASK
from penstock.ports import Rows
from penstock.privacy.personal_columns import is_personal, personal_fields, personal_names, tagged_names

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.runs.quarantined import Entry

_QUARANTINE = frozenset({"body", "headers"})
_QUOTED = re.compile(r"""(["'])(?s:.*)\1""")


def masked_rows(project: Project, rows: Rows, sql: str) -> Rows:
    """An answer with the values of personal columns masked, by the columns' names."""
    names = personal_names(personal_fields(project, project.streams)) | tagged_names(project)
    if not names:
        return rows
    if "quarantine" in sql.lower():
        names |= _QUARANTINE
    hidden = [is_personal(c, names) for c in rows.columns]
    if not any(hidden):
        return rows
    return Rows(
        columns=rows.columns,
        rows=[
            tuple(MASK if hide and v is not None else v for hide, v in zip(hidden, row, strict=True))
            for row in rows.rows
        ],
    )


def masked(project: Project, entry: Entry) -> Entry:
    """An entry of the quarantine as it may be shown: the values of personal fields masked, or where those cannot be
    told all of its body; and what a warehouse quoted of it."""
    fields = personal_fields(project, project.streams)
    stream = project.streams.get(entry.stream)
    if not fields or (stream is not None and not stream.pii):
        return entry
    pii = None if stream is None else personal_fields(project, [entry.stream])
    return replace(
        entry,
        shown=lambda body: _masked_body(body, pii),
        reason=_QUOTED.sub(f'"{MASK}"', entry.reason) if entry.code == "destination_rejected" else entry.reason,
        headers=None if entry.headers is None else dict.fromkeys(entry.headers, MASK),
    )


def _masked_body(body: bytes, pii: frozenset[str] | None) -> bytes:
    try:
        record = json.loads(body)
    except ValueError:
        record = None
    if pii is None or not isinstance(record, dict):
        return f"{MASK} ({len(body)} bytes)".encode()
    return json.dumps(_masked_fields(record, pii), ensure_ascii=False).encode()


def _masked_fields(record: dict[str, Any], pii: frozenset[str], path: str = "") -> dict[str, Any]:
    """A record with its personal fields masked, in objects also by what they are called in a flat record."""
    shown: dict[str, Any] = {}
    for name, value in record.items():
        field = f"{path}{name}".replace(".", "_") if path else name
        if value is not None and (field in pii or field.replace(".", "_") in pii):
            shown[name] = MASK
        else:
            shown[name] = _masked_fields(value, pii, f"{field}_") if isinstance(value, dict) else value
    return shown
