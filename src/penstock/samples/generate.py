"""Seeded user events and organisations of any number, written in a stream.

The bytes depend on the arguments alone: every draw is an integer hash (splitmix64) of the seed, what is
drawn, and the number of the user or event it is drawn for; no library's random numbers, no clock, no floats
in a decision. Memory does not grow with ``count``.

Users come in generations that start one block of events after the other. In block ``b``, the users of
generation ``b`` are created, those of ``b - 1`` have their second event, those of ``b - 2`` their third, and
so on by :data:`_LAGS`; so a user's events follow one another in time with nothing kept in memory, and any
block can be written without those before it.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np

from penstock.errors import UsageError
from penstock.samples.draws import Draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from penstock.samples.draws import Numbers

Format = Literal["json", "ndjson", "csv"]

MOST_EVENTS = 100_000_000
"""The number of events up to which this is tested."""

_LAGS = (0, 1, 2, 4, 7, 11)
_LENGTHS = (20, 45, 65, 80, 92, 100)
"""Of a hundred users, how many have at most 1, 2, … 6 events."""
_KINDS = ("User Created", "User Updated", "User Deleted")
_CREATED, _UPDATED, _DELETED = range(3)
_DAY = 86_400_000_000
_LONGEST_DELAY = 20_000
_FIELDS = (
    "id",
    "event_type",
    "username",
    "user_email",
    "user_type",
    "organization_name",
    "plan_name",
    "received_at",
)


def _words(text: str) -> list[str]:
    return text.split()


_FIRST = _words(
    "Ada Alva Amos Anouk Aron Astrid Bela Bram Caspar Clea Dagny Dario Edda Eike Elif Esme Ewan Fleur Freya "
    "Gilda Greta Hanno Hollis Ilse Imre Ines Ivo Jonas Juna Kaito Kenji Lale Leif Lior Luz Maren Mattis Mina "
    "Nadia Nils Noor Odile Olof Otis Paula Pavel Priya Quentin Rafael Runa Saga Selma Sunniva Tarik Teo Thea "
    "Tomasz Ulla Vilde Viggo Wanda Yara Yuki Zoran"
)
_LAST = _words(
    "Aldane Amberg Arkwell Ashdown Balfor Barlind Bexley Birkholm Brandal Brisco Calder Carnaby Castell Cindal "
    "Corwen Dahlberg Darrow Delmar Dunmore Eastvik Eldridge Elmquist Fairholt Falkner Fenwick Fjelder Garrick "
    "Glenmoor Gravel Halden Harwick Hazelby Hollund Ibsley Ingram Jarnvik Kelmar Kilbride Kirkvale Lambourn "
    "Larkin Lindqvar Lorne Maddern Marsk Merrow Mossby Nordal Oakham Ostrand Pellworm Quayle Ravndal Rosedale "
    "Sandvik Silverton Solberry Tarnby Thornley Ulverton Vanmeer Westerby Winslade Yarrow"
)
_DOMAINS = _words(
    "mail.example post.example inbox.example letters.example harbour.example kestrel.example meadow.example "
    "lumen.example cobalt.example tidewater.example orchard.example granite.example saffron.example "
    "willow.example beacon.example quarry.example"
)
_TYPES = ("Admin", "Creator", "User", "")
_PLANS = ("Small", "Medium", "Enterprise", None)
_ADJECTIVES = _words(
    "Amber Ancient Azure Bold Brass Bright Broad Calm Cedar Clear Cobalt Copper Coral Crimson Dapper Early "
    "Eastern Elder Ember Fair Fern Gentle Gilded Glass Golden Grand Granite Green Hidden High Hollow Honest "
    "Indigo Ivory Jade Keen Little Lively Long Lucid Lunar Mellow Misty Noble Northern Oaken Olive Open Pale "
    "Patient Quiet Rapid Russet Sable Scarlet Silver Solar Southern Steady Swift Tidal Velvet Western Wild"
)
_NOUNS = _words(
    "Anchor Anvil Arbour Badger Barley Beacon Birch Bridge Brook Canyon Castle Cliff Comet Compass Crane Delta "
    "Ember Falcon Ferry Field Finch Forge Fox Garden Gate Grove Harbour Hare Hearth Heron Hill Island Kestrel "
    "Kiln Lantern Larch Ledger Loom Lynx Maple Meadow Mill Moor Mountain Orchard Otter Owl Pier Pine Plover "
    "Prairie Quarry Quill Raven Reef Ridge River Rook Spire Spring Thicket Valley Wharf Willow"
)
_TRADES = _words(
    "Analytics Bakery Bikes Books Brewing Design Foods Freight Games Health Labs Media Robotics Studio Travel Works"
)


def organizations_for(count: int) -> int:
    """How many organisations ``count`` events are about: one for every 500 events, 8 to 20,000."""
    return max(8, min(20_000, count // 500))


def write_user_events(
    path: Path,
    *,
    count: int,
    seed: int = 1,
    start: date = date(2020, 1, 1),
    events_per_day: int | None = None,
    duplicates: float = 0.0,
    out_of_order: float = 0.0,
    format: Format = "ndjson",
    organizations: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write ``count`` records of user events to ``path`` and return how many differ from one another.

    The file appears under its name when it is whole. ``.gz`` and ``.zst`` compress it.

    Args:
        start: the day of the first event.
        events_per_day: how close events are in time; a year's worth in all by default, at least 1,000 a day.
        duplicates: share of the records that are exact copies of one before, to within one record.
        out_of_order: share of the events that stand up to 20,000 records later than their time asks.
        organizations: how many organisations there are; the first that many of :func:`write_organizations`.
        progress: told the number of records written so far, every 100,000 records or so.

    Raises:
        UsageError: an argument is out of range, or the file cannot be written.
    """
    _require(0 <= count <= 10 * MOST_EVENTS, f"count is {count:,}", f"give 0 to {10 * MOST_EVENTS:,}")
    _require(0 <= duplicates <= 0.5, f"duplicates is {duplicates}", "give a share from 0 to 0.5")
    _require(0 <= out_of_order <= 1, f"out_of_order is {out_of_order}", "give a share from 0 to 1")
    copies = round(count * duplicates)
    events = count - copies
    daily = events_per_day if events_per_day is not None else max(1_000, -(-events // 365))
    _require(1 <= daily <= _DAY, f"events_per_day is {daily:,}", f"give 1 to {_DAY:,}")
    last = datetime(start.year, start.month, start.day).toordinal() + events // daily
    _require(last < date.max.toordinal(), "the events would reach past the year 9999", "give more events_per_day")
    _require(
        organizations is None or 1 <= organizations <= 1_000_000, "organizations is out of range", "give 1 to 1,000,000"
    )
    known = organizations or organizations_for(count)
    draw = Draw(seed)
    layout = _Layout.of(format, [_organization_name(n, seed) for n in range(known)])
    writer = _Writer(layout, draw, known, start, daily)
    plan = _Arrivals(draw, events, copies, round(events * out_of_order))
    done = 0
    with _written(path) as file:
        file.write(layout.head)
        for block in plan.chunks(_blocks(draw, events)):
            text = writer.text(block)
            done += len(block.number)
            if done == count and layout.between:
                text = text[: len(text) - len(layout.between)] + b"\n"
            file.write(text)
            if progress:
                progress(done)
        file.write(layout.tail)
    return events


def write_organizations(path: Path, count: int, seed: int = 1) -> int:
    """Write ``count`` organisations, as a JSON array, and return ``count``. Compression and errors as for events.

    With the seed of the events, theirs are the first of these.
    """
    _require(0 <= count <= 1_000_000, f"count is {count:,}", "give 0 to 1,000,000")
    draw = Draw(seed)
    numbers = np.arange(count, dtype=np.uint64)
    keys = _hex(draw("organization key", numbers), draw("organization key", numbers, 1))
    born = draw("organization born", numbers) % np.uint64(5 * 365 * 86_400)
    with _written(path) as file:
        file.write(b"[")
        for number in range(count):
            key = keys[number].tobytes().decode()
            at = datetime(2015, 1, 1) + timedelta(seconds=int(born[number]))
            record = (
                f'{{"organization_key": "{key}", "organization_name": "{_organization_name(number, seed)}", '
                f'"created_at": "{at:%Y-%m-%d %H:%M:%S}.000000"}}'
            )
            file.write(("," if number else "").encode() + b"\n  " + record.encode())
        file.write(b"\n]\n")
    return count


@dataclass(frozen=True, slots=True)
class _Events:
    """Events by number in time, user, and step in that user's life."""

    number: Numbers
    user: Numbers
    step: NDArray[np.uint8]

    def taken(self, which: Any) -> _Events:
        return _Events(self.number[which], self.user[which], self.step[which])

    def __add__(self, other: _Events) -> _Events:
        return _Events(
            np.concatenate([self.number, other.number]),
            np.concatenate([self.user, other.user]),
            np.concatenate([self.step, other.step]),
        )


def _blocks(draw: Draw, events: int) -> Iterator[_Events]:
    """All events in the order of their time."""
    size = max(8, min(16_384, events // 200))
    number = block = 0
    while number < events:
        users, steps = [], []
        for step, lag in enumerate(_LAGS):
            if block < lag:
                break
            first = (block - lag) * size
            user = np.arange(first, first + size, dtype=np.uint64)
            user = user[_length(draw, user) > step]
            users.append(user)
            steps.append(np.full(len(user), step, dtype=np.uint8))
        user, step_of = np.concatenate(users), np.concatenate(steps)
        order = np.argsort(draw("order", user, block), kind="stable")[: events - number]
        yield _Events(np.arange(number, number + len(order), dtype=np.uint64), user[order], step_of[order])
        number += len(order)
        block += 1


def _length(draw: Draw, user: Numbers) -> Any:
    """How many events a user has."""
    return 1 + np.searchsorted(_LENGTHS, draw("length", user) % np.uint64(100), side="right")


class _Arrivals:
    """Puts events in the order of the file: copies behind their originals, late ones behind later ones."""

    def __init__(self, draw: Draw, events: int, copies: int, late: int) -> None:
        self._draw = draw
        self._events = events
        self._copies = copies
        self._late = late
        self._reach = np.uint64(max(1, min(_LONGEST_DELAY, events // 10)))

    def chunks(self, blocks: Iterator[_Events]) -> Iterator[_Events]:
        waiting, places = None, np.empty(0, dtype=np.uint64)
        for block in blocks:
            place = block.number.copy()
            late = self._chosen("late", block.number, self._late)
            place[late] += np.uint64(1) + self._draw("delay", block.number[late]) % self._reach
            again = block.taken(self._chosen("copy", block.number, self._copies))
            behind = np.uint64(1 + _LONGEST_DELAY) + self._draw("behind", again.number) % self._reach
            arrived = block + again
            places = np.concatenate([places, place, again.number + behind])
            waiting = arrived if waiting is None else waiting + arrived
            order = np.argsort(places, kind="stable")
            waiting, places = waiting.taken(order), places[order]
            ready = int(np.searchsorted(places, block.number[-1], side="right"))
            if ready:
                yield waiting.taken(slice(0, ready))
            waiting, places = waiting.taken(slice(ready, None)), places[ready:]
        if waiting is not None and len(places):
            yield waiting

    def _chosen(self, purpose: str, number: Numbers, total: int) -> NDArray[np.bool_]:
        """Which of the events are the ``total`` chosen ones: one at random in each equal share of them all."""
        if not total:
            return np.zeros(len(number), dtype=bool)
        events, chosen = np.uint64(self._events), np.uint64(total)
        share = number * chosen // events
        first = (share * events + chosen - np.uint64(1)) // chosen
        after = ((share + np.uint64(1)) * events + chosen - np.uint64(1)) // chosen
        picked: NDArray[np.bool_] = number == first + self._draw(purpose, share) % (after - first)
        return picked


@dataclass(frozen=True, slots=True)
class _Layout:
    """The texts that make up a record of one format, in the order of the fields."""

    head: bytes
    tail: bytes
    between: bytes
    before_id: str
    kinds: Sequence[str]
    names: Sequence[str]
    mailboxes: Sequence[str]
    domains: Sequence[str]
    organizations: Sequence[str]
    end: str

    @classmethod
    def of(cls, format_: Format, organizations: Sequence[str]) -> _Layout:
        csv = format_ == "csv"
        _require(format_ in ("ndjson", "json", "csv"), f"no format {format_!r}", "give ndjson, json or csv")
        between = b",\n" if format_ == "json" else b""
        full = [(first, last) for first in _FIRST for last in _LAST]

        def key(field: str, *, first: bool = False) -> str:
            return ("" if first else ",") if csv else f'{"{" if first else ", "}"{field}": '

        def text(value: str | None) -> str:
            if csv:
                return "" if value is None else value or '""'
            return "null" if value is None else f'"{value}"'

        quote = "" if csv else '"'
        return cls(
            head=(",".join(_FIELDS) + "\n").encode() if csv else b"[\n" if between else b"",
            tail=b"]\n" if between else b"",
            between=between,
            before_id=key("id", first=True) + quote,
            kinds=[quote + key("event_type") + text(k) + key("username") + quote for k in _KINDS],
            names=[f"{first} {last}" + quote + key("user_email") + quote for first, last in full],
            mailboxes=[f"{first}.{last}".lower() for first, last in full],
            domains=[
                f"@{domain}{quote}" + key("user_type") + text(kind) + key("organization_name")
                for domain in _DOMAINS
                for kind in _TYPES
            ],
            organizations=[
                text(name) + key("plan_name") + text(plan) + key("received_at") + quote
                for name in organizations
                for plan in _PLANS
            ],
            end="\n" if csv else '"},\n' if between else '"}\n',
        )


class _Writer:
    """Turns events into text, column by column."""

    def __init__(self, layout: _Layout, draw: Draw, organizations: int, start: date, daily: int) -> None:
        import pyarrow as pa

        self._layout = layout
        self._draw = draw
        self._organizations = np.uint64(organizations)
        self._start = start
        self._daily = daily
        self._kinds = pa.array(layout.kinds)
        self._names = pa.array(layout.names)
        self._mailboxes = pa.array(layout.mailboxes)
        self._domains = pa.array(layout.domains)
        self._tails = pa.array(layout.organizations)

    def text(self, events: _Events) -> bytes:
        import pyarrow as pa
        import pyarrow.compute as pc

        user = events.user
        kind, changed = self._lives(events)
        draw = self._draw
        name = draw("name", user, changed["name"]) % np.uint64(len(self._names))
        mailbox = draw("name", user) % np.uint64(len(self._names))
        domain = draw("domain", user, changed["email"]) % np.uint64(len(_DOMAINS))
        role = draw("role", user, changed["role"]) % np.uint64(50)
        role = np.where(role == 0, np.uint64(3), role % np.uint64(3))
        spread = draw("organization", user, changed["organization"]) >> np.uint64(32)
        organization = ((spread * spread) >> np.uint64(32)) * self._organizations >> np.uint64(32)
        plan = draw("plan", organization, changed["plan"]) % np.uint64(4)
        joined = pc.binary_join_element_wise(
            self._layout.before_id,
            _texts(_hex(draw("id", user), draw("id", user, 1))),
            self._kinds.take(pa.array(kind)),
            self._names.take(pa.array(name)),
            self._mailboxes.take(pa.array(mailbox)),
            pc.cast(pa.array(user), pa.string()),
            self._domains.take(pa.array(domain * np.uint64(len(_TYPES)) + role)),
            self._tails.take(pa.array(organization * np.uint64(len(_PLANS)) + plan)),
            _texts(self._times(events.number)),
            self._layout.end,
            "",
        )
        return cast("bytes", joined.buffers()[2].to_pybytes())

    def _lives(self, events: _Events) -> tuple[NDArray[np.uint8], dict[str, Numbers]]:
        """What each event is, and how often each part of the user has changed by then."""
        user, step = events.user, events.step
        length = _length(self._draw, user)
        fate = self._draw("fate", user) % np.uint64(100)
        back = (length >= 3) & (fate < 6)
        ends = (length >= 2) & (fate >= 6) & (fate < 40)
        kind = np.full(len(user), _UPDATED, dtype=np.uint8)
        kind[(step == 0) | (back & (step == length - 1))] = _CREATED
        kind[(ends & (step == length - 1)) | (back & (step == length - 2))] = _DELETED
        parts = {"name": 8, "email": 30, "role": 55, "organization": 70, "plan": 92}
        changed = {part: np.zeros(len(user), dtype=np.uint64) for part in parts}
        for earlier in range(1, len(_LAGS)):
            what = self._draw("change", user, earlier) % np.uint64(100)
            gone = (ends & (earlier == length - 1)) | (back & (earlier == length - 2))
            happened = (step >= earlier) & ~gone
            least = 0
            for part, most in parts.items():
                changed[part] += happened & (what >= least) & (what < most)
                least = most
        return kind, changed

    def _times(self, number: Numbers) -> NDArray[np.uint8]:
        """``2020-12-08 20:03:16.759617``: each event somewhere in its own equal share of its day."""
        daily = np.uint64(self._daily)
        day, place = number // daily, number % daily
        first = place * np.uint64(_DAY) // daily
        after = (place + np.uint64(1)) * np.uint64(_DAY) // daily
        clock = first + self._draw("time", number) % (after - first)
        text = np.empty((len(number), 26), dtype=np.uint8)
        days, which = np.unique(day, return_inverse=True)
        dates = [f"{self._start + timedelta(days=int(d))} ".encode() for d in days]
        text[:, :11] = np.frombuffer(b"".join(dates), dtype=np.uint8).reshape(-1, 11)[which.reshape(-1)]
        second, part = clock // np.uint64(1_000_000), clock % np.uint64(1_000_000)
        pairs = {
            11: second // np.uint64(3600),
            14: second // np.uint64(60) % np.uint64(60),
            17: second % np.uint64(60),
            20: part // np.uint64(10_000),
            22: part // np.uint64(100) % np.uint64(100),
            24: part % np.uint64(100),
        }
        for at, pair in pairs.items():
            text[:, at : at + 2] = _TWO_DIGITS[pair]
        text[:, 13] = text[:, 16] = ord(":")
        text[:, 19] = ord(".")
        return text


_TWO_DIGITS = np.frombuffer("".join(f"{n:02}" for n in range(100)).encode(), dtype=np.uint8).reshape(100, 2)
_HEX_DIGITS = np.frombuffer("".join(f"{n:02x}" for n in range(256)).encode(), dtype=np.uint8).reshape(256, 2)


def _hex(high: Numbers, low: Numbers) -> NDArray[np.uint8]:
    """128 bits as 32 hex digits a row."""
    octets = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)
    return cast("NDArray[np.uint8]", _HEX_DIGITS[octets].reshape(-1, 32))


def _texts(rows: NDArray[np.uint8]) -> Any:
    """Rows of equally many ASCII characters as an Arrow array of text, not copied."""
    import pyarrow as pa

    count, width = rows.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)[: count + 1]
    data = np.ascontiguousarray(rows)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def _organization_name(number: int, seed: int) -> str:
    """Names differ for different numbers: the words go round in steps that have no factor in common with all."""
    words = len(_ADJECTIVES) * len(_NOUNS) * len(_TRADES)
    turn, place = divmod(number, words)
    mixed = (place * 40_503 + (seed % words) * 7_919) % words
    mixed, trade = divmod(mixed, len(_TRADES))
    adjective, noun = divmod(mixed, len(_NOUNS))
    name = f"{_ADJECTIVES[adjective]} {_NOUNS[noun]} {_TRADES[trade]}"
    return f"{name} {turn + 1}" if turn else name


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when all of it is written, and leaves nothing when it is not."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise _unwritable(path, e) from None
    try:
        with unfinished.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            elif path.suffix == ".zst":
                import zstandard

                with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as pressed:
                    yield cast("BinaryIO", pressed)
            else:
                yield raw
        unfinished.replace(path)
    except OSError as e:
        raise _unwritable(path, e) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot be written: {error.strerror or error}", where=str(path), fix="choose another path")


def _require(fine: bool, what: str, fix: str) -> None:
    if not fine:
        raise UsageError(what, fix=fix)
