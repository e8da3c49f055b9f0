"""What one load goes through, and how positions keep how far it came."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.errors import UsageError
from penstock.ports import Window
from penstock.sources.http.incremental import Columns, Mark, Watermark

if TYPE_CHECKING:
    from penstock.project.http import Endpoint, Windows

State = Mapping[str, Any]

WHOLE = "all"
"""The position's key of a pass over all there is; a window's pass has the window's name."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_DAY = timedelta(days=1)
_OPEN_YEAR = 9999


@dataclass(slots=True, kw_only=True)
class Pass:
    """One time through an endpoint's lists, from the first page or from where the last load stopped.

    ``values`` fills the templates of parameters. ``done`` is the greatest value of the passes before, ``greatest`` that
    of this one so far. ``next`` is the state of the page to go on with, ``parent`` the parent it is of.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    windowed: bool = False
    read_at: datetime | None = None
    """Of a window's pass: as of when it shows the window, which tells whether more may come."""
    records: int = 0
    """Of a window's pass: how many records it has had so far."""
    grew_from: int | None = None
    """Of a window's pass that is the last of its window: how many records the pass before it had, if that was late."""
    done: Mark | None = None
    greatest: Mark | None = None
    next: State | None = None
    parent: Mapping[str, Any] | None = None
    finished: bool = False

    @property
    def resumed(self) -> bool:
        """Whether it goes on with what an earlier load began."""
        return self.next is not None or self.parent is not None

    def went_on(self, following: State | None, parent: Mapping[str, Any] | None, *, finished: bool) -> None:
        """A page has been taken; ``following`` comes next."""
        self.finished = finished
        self.next = following
        if not finished:
            self.parent = parent if parent is None or following is not None else {**parent, "done": True}


class Passes:
    """Makes the passes of one endpoint from positions, and positions from passes."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        where: str,
        window: Window | None,
        fingerprint: bool,
        refresh: bool,
        lookback: timedelta = timedelta(),
    ) -> None:
        self._endpoint = endpoint
        self._late = max(lookback, timedelta() if endpoint.incremental is None else endpoint.incremental.overlap)
        """How long after its window's end a record may still come."""
        self._where = where
        self._window = window
        self._fingerprint = fingerprint
        self._refresh = refresh
        incremental = endpoint.incremental
        self._watermark = None if incremental is None else Watermark(incremental, where=where)
        parts = ("path", "method", "format", "records", "pagination", "parameters_in", "windows", "parent")
        text = repr([[getattr(endpoint, part) for part in parts], sorted(endpoint.params)])
        self._asked = hashlib.sha256(text.encode()).hexdigest()[:16]
        """What is asked for, in short: a page of another endpoint is not gone on with."""

    def plan(self, known: Mapping[str, State]) -> tuple[list[Pass], list[str]]:
        """The passes to make, and the names of the windows that need none.

        Windows before those asked for are among the passes where an earlier load asked for them, and so soon after
        their end that records may have come since.

        Raises:
            UsageError: windows are declared, and the dates have no beginning.
        """
        known = known if self._fingerprint else {}
        windows = self._endpoint.windows
        if self._window is None or windows is None:
            key = WHOLE if self._window is None else f"{WHOLE}@{self._window}"
            return [self._whole(key, known.get(key, {}))], []
        passes, skipped = [], []
        now = datetime.now(UTC).replace(tzinfo=None)
        # a run for days of the past may see the API as it was then, so its clock is the end of its days
        read_at = min(now, self._window.end)
        asked_for = list(_steps(self._window, windows.step, now, self._where))
        for window in [*self._left_open(known), *asked_for]:
            state = known.get(str(window), {})
            if state.get("asked") == self._asked and self._is_final(window, state):
                skipped.append(str(window))
                continue
            resumed = self._resumed(Pass(key=str(window), windowed=True, read_at=self._latest(read_at, state)), state)
            resumed.grew_from = self._late_count(window, state)
            resumed.values = _bounds(window, windows)
            passes.append(resumed)
        return passes, skipped

    def _left_open(self, known: Mapping[str, State]) -> list[Window]:
        """The windows before those asked for that earlier loads read too soon, or not to their end."""
        assert self._window is not None
        windows = []
        for key, state in known.items():
            window = None if key.startswith(WHOLE) else window_of(key)
            if window is None or window.end > self._window.start or state.get("asked") != self._asked:
                continue
            if not self._is_final(window, state):
                windows.append(window)
        return sorted(windows, key=lambda w: (w.start, w.end))

    def _late_count(self, window: Window, state: State) -> int | None:
        """How many records the pass before had, if it came when most of the time for late records had passed."""
        before = state.get("read_at") if state.get("asked") == self._asked else None
        late = before is not None and datetime.fromisoformat(before) >= window.end + self._late / 2
        return state.get("records") if late else None

    def grown(self, passes: Iterable[Pass]) -> list[str]:
        """What to say of windows that still grew at their last pass."""
        grown = [p for p in passes if p.finished and p.grew_from is not None and p.records > p.grew_from]
        final = [p for p in grown if (w := window_of(p.key)) and p.read_at and p.read_at >= w.end + self._late]
        if not final:
            return []
        days = ", ".join(p.key.partition("T")[0] for p in final)
        return [
            f"{self._where}: records of {days} still came at the end of the {self._late / _DAY:g} days that are waited"
            " for; later ones do not land by day runs: raise the endpoint's overlap, or the lookback"
        ]

    def _latest(self, read_at: datetime, state: State) -> datetime:
        """As of when a window is read now, which is no sooner than it was read before."""
        before = state.get("read_at") if state.get("asked") == self._asked else None
        return read_at if before is None else max(read_at, datetime.fromisoformat(before))

    def _is_final(self, window: Window, state: State) -> bool:
        """Whether a window was read to its end when no more of its records could come."""
        read_at = state.get("read_at")
        if read_at is not None:
            return datetime.fromisoformat(read_at) >= window.end + self._late
        # positions of before did not say when: it was over, and that is all there is to know
        return bool(state.get("closed")) and not self._late

    def _whole(self, key: str, state: State) -> Pass:
        mark: Mark | None = state.get("mark")
        incremental = self._endpoint.incremental
        if incremental is None or self._watermark is None or key != WHOLE:
            return self._resumed(Pass(key=key), state)
        if mark is not None and mark.get("field") != incremental.field:
            mark = None
        whole = self._resumed(Pass(key=key, done=mark, greatest=None), state)
        if not whole.resumed:
            cursor = self._watermark.cursor(mark)
            whole.values = {} if cursor is None else {"cursor": cursor}
        return whole

    def _resumed(self, pass_: Pass, state: State) -> Pass:
        begun = state.get("pass")
        if begun is not None and not self._refresh and state.get("asked") == self._asked:
            pass_.values = begun["values"]
            pass_.greatest, pass_.next, pass_.parent = begun["greatest"], begun["next"], begun["parent"]
            pass_.records = begun.get("records", 0)
            if pass_.read_at is not None and begun.get("read_at"):
                pass_.read_at = min(pass_.read_at, datetime.fromisoformat(begun["read_at"]))
        return pass_

    def look(self, pass_: Pass, bodies: Sequence[pa.Array], columns: Columns) -> None:
        """Take in the records' growing field."""
        assert self._watermark is not None
        wide = [b.cast(pa.large_binary()) for b in bodies]
        pass_.greatest = self._watermark.after(pass_.greatest, pa.concat_arrays(wide), columns)

    def state(self, pass_: Pass) -> State:
        """What a position keeps of a pass."""
        incremental = self._endpoint.incremental
        ascending = incremental is not None and incremental.order == "ascending"
        counts = pass_.finished or ascending
        mark = pass_.done
        if self._watermark is not None and pass_.greatest is not None and counts:
            mark = self._watermark.greater(mark, pass_.greatest)
        state: dict[str, Any] = {"asked": self._asked}
        if mark is not None:
            state["mark"] = mark
        read_at = {} if pass_.read_at is None else {"read_at": pass_.read_at.isoformat(), "records": pass_.records}
        if pass_.finished:
            return {**state, **read_at}
        if ascending and not pass_.windowed:
            return state
        begun = {"values": pass_.values, "greatest": pass_.greatest, "next": pass_.next, "parent": pass_.parent}
        return {**state, "pass": {**begun, **read_at}}

    def parameters(self, pass_: Pass) -> dict[str, Any]:
        """The parameters that a pass adds to the endpoint's own."""
        incremental, windows = self._endpoint.incremental, self._endpoint.windows
        if windows is not None and pass_.windowed:
            return {k: filled(v, pass_.values) for k, v in windows.params.items()}
        if incremental is not None and "cursor" in pass_.values:
            return {k: filled(v, pass_.values) for k, v in incremental.params.items()}
        return {}


def window_of(key: str) -> Window | None:
    """The window that a position's key names."""
    start, _, end = key.partition("/")
    try:
        return Window(start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))
    except ValueError:
        return None


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """A template, or the templates in a list or a mapping, with ``{name}`` replaced by its value."""
    if isinstance(template, str):
        return _PLACE.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], template)
    if isinstance(template, Mapping):
        return {k: filled(v, values) for k, v in template.items()}
    if isinstance(template, list | tuple):
        return [filled(v, values) for v in template]
    return template


def _steps(window: Window, step: timedelta, now: datetime, where: str) -> Iterator[Window]:
    if window.start.year == 1:
        raise UsageError(f"{where}: the API is asked window by window, and there is no first one", fix="add --from")
    end = window.end
    if end.year >= _OPEN_YEAR:
        end = datetime.combine(now.date(), datetime.min.time()) + _DAY
    start = window.start
    while start < end:
        yield Window(start=start, end=min(start + step, end))
        start += step


def _bounds(window: Window, windows: Windows) -> dict[str, str]:
    whole_days = windows.step % _DAY == timedelta(0)
    format = windows.format or ("%Y-%m-%d" if whole_days else "%Y-%m-%dT%H:%M:%SZ")
    smallest = _DAY if "%H" not in format and "%I" not in format and "%s" not in format else timedelta(seconds=1)
    end = window.end - smallest if windows.inclusive else window.end
    return {"from": window.start.strftime(format), "to": end.strftime(format)}
