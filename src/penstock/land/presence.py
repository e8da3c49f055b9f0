"""Whether the fields that the project file names ever come: a name that no record has is mostly a mistake.

What is known is kept in the ledger, as positions of the stream, in the transaction that lands the records: once a field
has come, it is not looked for again. Fields that keep personal data away have to come before anything lands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import ContractError
from penstock.jsonpath import parse_path
from penstock.layout import flat_name
from penstock.ports import Batch, Destination, Position
from penstock.project.fields import NamedField, fields_named
from penstock.project.nearest import nearest
from penstock.sources.kinds import kind_of

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.layout import Layout
    from penstock.project import Project
    from penstock.shape.structures import Members

SOURCE = "the project file's fields"
"""The source under which the ledger keeps what is known of them. None of the project's can be called so."""

_LOOKED = "looked"
"""The key of the position that says that somebody looked at all."""
_SAMPLE_RECORDS = 200
_LIKELY_RECORDS = 2_000
_SHOWN = 8
_SUFFIXED = re.compile(r"(.+)_[0-9a-f]{8}")
"""The name of a flat field whose own name another one has."""


class Presence:
    """Looks for the fields that a stream's settings name, in what lands. Not thread-safe."""

    def __init__(
        self,
        stream: str,
        named: Sequence[NamedField],
        *,
        layout: Layout,
        allow_missing: bool,
        max_bytes: int,
        only_look: bool = False,
    ) -> None:
        self.stream = stream
        self._named = named
        self._layout = layout
        self._allow_missing = allow_missing
        self._max_bytes = max_bytes
        self._states: dict[str, Mapping[str, Any]] = {}
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._before = False
        self._only_look = only_look

    def begin(self, destination: Destination) -> None:
        """Take up what the ledger says."""
        self._kept = dict(destination.ledger.positions(self.stream, SOURCE))
        came = {key: state for key, state in self._states.items() if state["came"]}
        self._states = {**self._kept, **came, _LOOKED: {"came": True}}
        schema = destination.ledger.schema(self.stream)
        # what landed before anybody looked cannot be stopped any more
        self._before = schema.version > 0 and not self._kept
        inferred = {column.field for column in schema.columns if not column.declared}
        for named in self._named:
            if named.how == "field" and self._layout.field((named.field,)) in inferred:
                self._states.setdefault(named.key, {"came": True})

    def look(self, batch: Batch) -> None:
        """Look for what has not come yet.

        Raises:
            ContractError: ``pii`` or ``drop`` names what none of the records has.
        """
        missing = self._missing()
        if not missing or not len(batch.bodies):
            return
        from penstock.shape.structures import members_of

        new = any(named.key not in self._states for named in missing)
        sample = members_of(batch.bodies.slice(0, _SAMPLE_RECORDS), self._max_bytes) if new else None
        if sample is not None:
            missing = self._without_seen(missing, sample)
        if missing and len(likely := _mentioning(batch.bodies, missing, flatten=self._layout.flatten)):
            # what was looked for in vain before is worth no second parse of everything
            likely = likely if new else likely.slice(0, _LIKELY_RECORDS)
            missing = self._without_seen(missing, members_of(likely, self._max_bytes))
        if not missing or sample is None:
            return
        if not sample.records:
            sample = members_of(batch.bodies, self._max_bytes)
        if not sample.records:
            return
        for named in missing:
            known = self._states.get(named.key, {})
            near = known.get("near") or nearest(named.field, sorted(self._names(named, sample)))
            before = {"before": True} if self._before or known.get("before") else {}
            self._states[named.key] = {"came": False, "near": near, **before}
        vital = [named for named in missing if named.vital and not self._states[named.key].get("before")]
        if vital and not self._allow_missing and not self._only_look:
            raise self._stop(vital, batch, sample)

    def positions(self) -> list[Position]:
        """What the ledger does not say yet, to be kept with what lands."""
        return [
            Position(source=SOURCE, key=key, state=state)
            for key, state in self._states.items()
            if self._kept.get(key) != state
        ]

    def committed(self) -> None:
        """What :meth:`positions` gave is in the ledger."""
        self._kept = dict(self._states)

    def warnings(self) -> list[str]:
        """A sentence for each field that no record has had."""
        return [text for text, _ in self.findings()]

    def findings(self) -> Iterator[tuple[str, bool]]:
        """The sentences, and whether a load that brings the first records would stop."""
        for named in self._missing(judged=True):
            state = self._states[named.key]
            stops = named.vital and not self._allow_missing and not state.get("before")
            yield _warning(self.stream, named, state), stops

    def _missing(self, *, judged: bool = False) -> list[NamedField]:
        """The fields that have not come, as far as anybody has looked; with ``judged``, those looked for in vain."""
        return [named for named in self._named if not self._states.get(named.key, {"came": judged})["came"]]

    def _without_seen(self, missing: Iterable[NamedField], members: Members) -> list[NamedField]:
        left = []
        for named in missing:
            if self._has(named, members):
                self._states[named.key] = {"came": True}
            else:
                left.append(named)
        return left

    def _has(self, named: NamedField, members: Members) -> bool:
        names = self._names(named, members)
        name = _name(named, self._layout)
        if name in names:
            return True
        if not self._layout.flatten:
            return False
        if named.how == "dropped":
            return any(other.startswith(f"{name}_") for other in names)
        suffixed = _SUFFIXED.fullmatch(name)
        return named.how == "field" and suffixed is not None and suffixed[1] in names

    def _names(self, named: NamedField, members: Members) -> set[str]:
        """What members are called where a setting of this kind names one."""
        if named.how == "path":
            return {".".join(path) for path in members.paths}
        if self._layout.flatten:
            return {self._layout.field(path) for path in members.leaves}
        if named.how == "dropped":
            return {self._layout.field(path) for path in members.paths}
        return {path[0] for path in members.paths}

    def _stop(self, vital: Sequence[NamedField], batch: Batch, members: Members) -> ContractError:
        settings = " and ".join(dict.fromkeys(f"{named.setting}:" for named in vital))
        fields = ", ".join(repr(named.field) for named in vital)
        names = sorted(self._names(vital[0], members))
        near = [self._states[named.key]["near"] for named in vital]
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        hint = f"did you mean {', '.join(map(repr, filter(None, near)))}?" if any(near) else f"there are {shown}"
        return ContractError(
            f"stream {self.stream}: {settings} names {fields}, and none of the {len(batch.bodies):,} records has it;"
            " nothing landed",
            where=batch.origin(0),
            fix=f"{hint} Where it is right and comes later: allow_missing: true on the stream",
        )


def presence_of(project: Project, stream: str, source: str | None = None, *, only_look: bool = False) -> Presence:
    """What there is to look for in a stream, from one of its sources; from all of them when none is named. With
    ``only_look`` nothing that is missing is an error."""
    settings = project.streams[stream]
    named: dict[tuple[str, bool], NamedField] = {}
    for name in settings.from_ if source is None else (source,):
        source_settings = project.sources.get(name)
        if source_settings is None:  # an object, or files of no source's own
            fields: Iterable[NamedField] = fields_named(settings)
        else:
            fields = kind_of(source_settings).named_fields(source_settings, stream, settings)
        for field in fields:
            named[field.key, field.vital] = field
    return Presence(
        stream,
        tuple(named.values()),
        layout=settings.layout,
        allow_missing=settings.allow_missing,
        max_bytes=settings.max_record_bytes,
        only_look=only_look,
    )


def missing_fields(project: Project, destination: Destination) -> Iterator[str]:
    """A sentence for each field that a stream's settings name and no record has had, as far as the ledger knows."""
    for stream in project.streams:
        presence = presence_of(project, stream)
        presence.begin(destination)
        yield from presence.warnings()


def _warning(stream: str, named: NamedField, state: Mapping[str, Any]) -> str:
    near = state.get("near")
    hint = f"did you mean {near!r}?" if near else "see how the records spell it"
    return f"stream {stream}: {named.setting}: names {named.field!r}, and no record has had that field; {hint}"


def _name(named: NamedField, layout: Layout) -> str:
    if named.how == "path":
        return ".".join(step for step in parse_path(named.field) if isinstance(step, str))
    return flat_name(named.field) if layout.flatten else named.field


def _mentioning(bodies: pa.Array, missing: Sequence[NamedField], *, flatten: bool) -> pa.Array:
    """The bodies in whose text one of the names may stand as a key, or its last part, however it is escaped."""
    import pyarrow.compute as pc

    patterns = set()
    for named in missing:
        suffixed = _SUFFIXED.fullmatch(named.field)
        name = suffixed[1] if suffixed else named.field
        if named.how == "path":
            name = next((step for step in reversed(parse_path(name)) if isinstance(step, str)), name)
        elif flatten or named.how == "dropped":
            name = re.split(r"[._]" if flatten else r"\.", name)[-1] or name
        after = "" if flatten and named.how == "dropped" else r'"\s*:'
        patterns |= {re.escape(json.dumps(name, ensure_ascii=a)[1:-1]) + after for a in (True, False)}
    return bodies.filter(pc.match_substring_regex(bodies, "|".join(sorted(patterns))))
