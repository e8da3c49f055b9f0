"""From a stream's settings to the one value that shaping and landing take theirs from."""

from __future__ import annotations

from penstock.project.privacy_settings import Privacy
from penstock.project.settings import Stream
from penstock.spec import StreamSpec


def spec_of(name: str, stream: Stream, privacy: Privacy) -> StreamSpec:
    """What the settings of a stream come to.

    Raises:
        UsageError: the stream has personal data, and the key of its pseudonyms is not set.
    """
    return StreamSpec(
        stream=name,
        identity=tuple(map(stream.field, stream.identity.fields)),
        message=stream.identity.kind == "message",
        sameness=stream.sameness,
        disposition=stream.disposition,
        version=stream.version and stream.field(stream.version),
        event_time=stream.event_time and stream.field(stream.event_time),
        declared=tuple((stream.field(f), type_) for f, type_ in stream.columns.items()),
        columns=stream.contract.columns,
        types=stream.contract.types,
        layout=stream.layout,
        pii=tuple(map(stream.field, stream.pii or ())),
        subjects={kind: stream.field(f) for kind, f in stream.subject.items()},
        keys=privacy.needed_keys(f"stream {name} has pii:") if stream.pii else privacy.known_keys(),
        raw_json=stream.raw_json,
        max_record_bytes=stream.max_record_bytes,
    )
