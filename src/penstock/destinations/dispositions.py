"""What becomes of a row whose identity is known, and of rows that cannot land."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.ports import CONFLICT, Reason, Reject, Shaped, Target

if TYPE_CHECKING:
    import pyarrow as pa


def own_columns(target: Target, *, json: str, collate: str = "") -> list[str]:
    """The columns of a raw table beside those of its schema. ``json`` is the engine's type; with ``collate``, texts
    compare by their bytes."""
    columns = ["_pen_id uuid not null", "_pen_load bigint not null", "_pen_loaded_at timestamp with time zone not null"]
    columns += ["_pen_origin text not null", f"_pen_rescued {json}"]
    if target.spec.raw_json:
        columns.append(f"_pen_json {json}")
    if target.spec.content:
        columns.append("_pen_content uuid not null")
    if target.spec.versioned:
        columns.append(f"_pen_version text{collate}")
    return columns


def wins_sql(target: Target, *, new: str, old: str, load_id: int, collate: str = "") -> str:
    """SQL condition: row ``new`` replaces row ``old`` of the same identity.

    - append: never, the first wins.
    - merge: its version is greater, by the key that shaping gave it (:mod:`penstock.shape.version_keys`); versions that
      are equal are told apart by content, so that no order of arrival matters. A missing version is the smallest.
    - replace: it differs; among records of the same refresh the one of greater content wins.
    """
    if target.spec.disposition == "append":
        return "false"
    content = f"{new}._pen_content > {old}._pen_content"
    if target.spec.disposition == "replace":
        return f"{new}._pen_content <> {old}._pen_content and ({old}._pen_load <> {load_id} or {content})"
    if not target.spec.versioned:
        return content
    ours, theirs = f"{new}._pen_version{collate}", f"{old}._pen_version{collate}"
    return (
        f"{ours} > {theirs} or ({theirs} is null and {ours} is not null)"
        f" or ({ours} is not distinct from {theirs} and {content})"
    )


def without_conflicts(shaped: Shaped, ask: Callable[[pa.Table, str], Iterable[int]]) -> Shaped:
    """The batch with its message ids that are known with another content turned into rejects. A record that contradicts
    another in the batch, and is the one that is known, is its duplicate.

    ``ask`` is given rows ``(_pen_id, _pen_content, i)`` and answers with each ``i`` whose content stands to the one in
    the table as the operator says.
    """
    import numpy as np
    import pyarrow as pa

    claims = [(i, r.claim) for i, r in enumerate(shaped.rejects) if r.claim is not None]
    if claims:
        ids, contents = (
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array(hashes, pa.binary(16)))
            for hashes in zip(*(claim for _, claim in claims), strict=True)
        )
        table = pa.table({"_pen_id": ids, "_pen_content": contents, "i": [i for i, _ in claims]})
        same = set(ask(table, "="))
        shaped = replace(shaped, rejects=tuple(r for i, r in enumerate(shaped.rejects) if i not in same))
    places = pa.array(np.arange(shaped.rows.num_rows))
    contradicted = ask(shaped.rows.select(["_pen_id", "_pen_content"]).append_column("i", places), "<>")
    return rejected(shaped, dict.fromkeys(contradicted, CONFLICT), "identity_conflict")


def rejected(shaped: Shaped, reasons: Mapping[int, str], code: Reason) -> Shaped:
    """The batch with the rows in ``reasons`` turned into rejects."""
    if not reasons:
        return shaped
    rejects = [shaped.refused(i, code, reason) for i, reason in sorted(reasons.items())]
    again = {r.entry for r in rejects}
    kept = kept_rows(shaped, [i for i in range(shaped.rows.num_rows) if i not in reasons])
    return replace(
        kept,
        rejects=(*shaped.rejects, *rejects),
        replayed=tuple(r for r in shaped.replayed if r not in again),
    )


def kept_rows(shaped: Shaped, kept: Sequence[int]) -> Shaped:
    """The batch with these rows alone."""
    import numpy as np

    def refused(row: int, code: Reason, reason: str) -> Reject:
        return shaped.refused(kept[row], code, reason)

    rows = shaped.rows.take(np.array(kept, dtype=np.int64))
    return replace(shaped, rows=rows, refused=refused)
