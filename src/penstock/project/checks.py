"""What no single setting can tell: whether the settings fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.project.nearest import nearest
from penstock.project.settings import ProjectFile, Stream
from penstock.project.yaml_document import Document, Problem
from penstock.spans import span_text

_TIMELIKE = ("date", "timestamp", "timestamptz", "text")


def cross_checks(file: ProjectFile, document: Document, *, unneeded: set[str | int]) -> Iterator[Problem]:
    """What is wrong between the settings of a file whose single settings are right.

    ``unneeded`` are the destinations that were left out for a variable that is not set.
    """
    names = [*file.destinations, *(str(n) for n in unneeded)]
    if file.target is None:
        if len(names) > 1:
            fix = f"add target: {names[0]}, or call with --target {names[0]}"
            yield document.problem((), f"there are {len(names)} destinations and none is chosen", fix)
    elif file.target not in names:
        near = nearest(file.target, names)
        fix = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
        yield document.problem(("target",), f"there is no destination {file.target!r}", fix)
    for name, destination in file.destinations.items():
        if destination.needs not in unneeded:
            yield from destination.problems(name, file.destinations, document)
    for name, source in file.sources.items():
        fed = [stream for stream, settings in file.streams.items() if name in settings.from_]
        yield from source.problems(name, fed, document)
    if file.lake is not None and "lake" in file.sources:
        fix = "give the source another name"
        yield document.problem(("sources", "lake"), "`lake` names what lake: has", fix)
    for name, stream in file.streams.items():
        yield from _lake(name, stream, file, document)
        yield from _stream(name, stream, file, document)
    yield from _privacy(file, document)


def _privacy(file: ProjectFile, document: Document) -> Iterator[Problem]:
    unset = [str(at[2]) for at in document.unset if at[:2] == ("privacy", "keys")]
    names = [*file.privacy.keys, *unset]
    current = file.privacy.current
    if current is None and len(names) > 1:
        fix = f"add current: {names[-1]}"
        yield document.problem(("privacy",), f"there are {len(names)} keys, and none is the current one", fix)
    elif current is not None and current not in names:
        fix = f"there are {', '.join(names)}" if names else "there are no keys yet"
        yield document.problem(("privacy", "current"), f"there is no key {current!r}", fix)


def _lake(name: str, stream: Stream, file: ProjectFile, document: Document) -> Iterator[Problem]:
    path = ("streams", name)
    fix = "add lake: {path: lake} to the project"
    if stream.land and file.lake is None:
        yield document.problem((*path, "land"), "there is no lake to land in", fix)
    if "lake" in stream.from_ and file.lake is None and "lake" not in file.sources:
        yield document.problem((*path, "from"), "there is no lake", fix)


def _stream(name: str, stream: Stream, file: ProjectFile, document: Document) -> Iterator[Problem]:
    path = ("streams", name)
    for source in stream.from_:
        if source not in file.sources and source != "lake":
            near = nearest(source, file.sources)
            there = f"there are {', '.join(file.sources)}" if file.sources else "there are no sources yet"
            fix = f"did you mean {near}?" if near else there
            yield document.problem((*path, "from"), f"there is no source {source!r}", fix)
        elif source in file.sources:
            replaced = stream.disposition == "replace"
            yield from file.sources[source].stream_problems(name, source, document, replaced=replaced)
    sources = [file.sources[s] for s in stream.from_ if s in file.sources]
    endless = [source for source in sources if not source.ends]
    if stream.schedule and len(endless) == len(stream.from_):
        what = f"{endless[0].noun} has no end to load up to: what comes by it lands at once"
        yield document.problem((*path, "schedule"), what, "leave schedule out")
    if stream.identity.kind == "message" and not any(source.has_message_ids for source in sources):
        what = f"only messages of a queue have an id of their own, and {', '.join(stream.from_)} gives none"
        yield document.problem((*path, "identity"), what, "take content, or name the key fields: identity: [id]")
    if stream.version is not None and stream.disposition != "merge":
        fix = "set disposition: merge, or leave version out"
        yield document.problem((*path, "version"), f"has no meaning with disposition {stream.disposition}", fix)
    if stream.disposition == "replace" and len(stream.from_) > 1:
        fix = "name one source, whose path: may be a list, or take another disposition"
        yield document.problem((*path, "from"), "replace takes one source: each would delete what the others hold", fix)
    if stream.land and endless:
        what = f"{endless[0].noun} is not landed in the lake: its loads are too small"
        yield document.problem((*path, "land"), what, "leave land out, or feed the stream by files or an API")
    if stream.disposition == "replace" and endless:
        what = f"replace takes all there is, and {endless[0].noun} has no end"
        yield document.problem((*path, "disposition"), what, "take disposition append or merge")
    if stream.disposition == "merge" and stream.identity.kind == "content":
        fix = "name the key fields: identity: [id]"
        at = (*path, "identity") if (*path, "identity") in document.marks else (*path, "disposition")
        yield document.problem(at, "merge keeps one row a key, and identity content has no key", fix)
    columns = {stream.field(f): type_ for f, type_ in stream.columns.items()}
    if len(columns) < len(stream.columns):
        twice = next(f for f in stream.columns if [stream.field(g) for g in stream.columns].count(stream.field(f)) > 1)
        what = f"flattened, {twice!r} is the same field as another"
        yield document.problem((*path, "columns", twice), what, "keep one of them")
    declared = columns.get(stream.field(stream.event_time or ""), "timestamp")
    if declared not in _TIMELIKE:
        what = f"field {stream.event_time!r} is declared {declared}, which is no time"
        yield document.problem((*path, "event_time"), what, "declare it date, timestamp or timestamptz")
    if stream.columns and stream.contract.columns != "evolve":
        yield from _undeclared(path, stream, document)
    listened = endless[0].noun if endless and len(endless) == len(stream.from_) else None
    yield from _expected(path, stream, listened, document)
    for setting, field in [*_needed(stream), *(("columns", f) for f in stream.columns)]:
        if stream.layout.drops(stream.field(field)):
            what = f"field {field!r} is dropped, and never reaches the warehouse"
            yield document.problem((*path, setting), what, "take it out here, or under drop:")


def _expected(path: tuple[str, str], stream: Stream, listened: str | None, document: Document) -> Iterator[Problem]:
    """Expectations that can never be told, and such as stand there twice. ``listened`` is what feeds the stream where
    all that does has no end."""
    at = (*path, "expect")
    words = [expectation.words for expectation in stream.expect]
    for i, expectation in enumerate(stream.expect):
        here = (*at, i) if (*at, i) in document.marks else at
        if words[i] in words[:i]:
            yield document.problem(here, f"{words[i]} stands there twice", "keep one of them")
        if expectation.event_time_within is not None and stream.event_time is None:
            yield document.problem(here, "the stream has no event_time", "name the field: event_time: created_at")
        if expectation.checked_within is not None and listened is not None:
            what = f"{listened} is listened to, and not asked now and then"
            yield document.problem(here, what, f"write fresh within {span_text(expectation.checked_within)}")


def _needed(stream: Stream) -> Iterator[tuple[str, str]]:
    """The settings that rely on fields, with the fields."""
    needed = {"event_time": [stream.event_time], "version": [stream.version], "identity": stream.identity.fields}
    needed |= {"pii": stream.pii or (), "subject": tuple(stream.subject.values())}
    for setting, fields in needed.items():
        yield from ((setting, field) for field in fields if field is not None)


def _undeclared(path: tuple[str, str], stream: Stream, document: Document) -> Iterator[Problem]:
    """Fields that settings rely on, and that a closed contract would keep out of the table."""
    declared = {stream.field(f) for f in stream.columns}
    for setting, field in _needed(stream):
        if stream.field(field) not in declared:
            near = nearest(field, stream.columns)
            fix = f"did you mean {near}?" if near else f"add it to columns:, as `{field}: text` or another type"
            what = f"field {field!r} is not among the columns, and the contract lets no others in"
            yield document.problem((*path, setting), what, fix)
