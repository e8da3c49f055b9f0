"""The marts of the car subscriptions, calculated from the API's records in plain Python: slowly, and in other ways."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from penstock.samples.cars import feeds
from penstock.samples.texts import page

Record = dict[str, Any]
Row = tuple[Any, ...]

UNKNOWN = "(unknown)"
_WORDS = {"one": 1, "three": 3, "six": 6, "twelve": 12, "eighteen": 18, "twenty-four": 24, "thirty-six": 36}


def lines(records: int, seed: int, days: int) -> dict[str, bytes]:
    """All that the API of a seed has, as lines of JSON."""
    every = np.arange(records, dtype=np.int64)
    return {f.name: page(f.fields, f.columns(every), "ndjson") for f in feeds(records=records, seed=seed, days=days)}


def parsed(text: bytes) -> list[Record]:
    """Records of lines."""
    return [json.loads(line) for line in text.splitlines()]


class Company:
    """What is known of the company once all these records have landed, in whatever order."""

    def __init__(self, cars: Iterable[Record], customers: Iterable[Record], subscriptions: Iterable[Record]) -> None:
        self.cars = _histories(cars)
        self.customers = _histories(customers)
        self.subscriptions = {r["id"]: r for r in subscriptions}

    def marts(self) -> dict[str, list[Row]]:
        """Each mart's rows, sorted."""
        return {
            "active_customer_share": sorted(self._shares()),
            "customer_types_by_term": sorted(self._terms()),
            "fleet_by_day": sorted(self._fleet()),
            "weekly_deliveries": sorted(self._weeks()),
            "weekly_greatest_increase": sorted(self._greatest()),
        }

    def _shares(self) -> Iterable[Row]:
        dated = [(s, *period) for s in self.subscriptions.values() if (period := _period(s)) is not None]
        if not dated:
            return
        month = min(start for _, start, _ in dated).replace(day=1)
        last = max(_moment(s["created"]) for s in self.subscriptions.values()).date()
        while month <= last:
            following = _later(month, 1)
            end = datetime(following.year, following.month, 1, tzinfo=UTC) - timedelta(seconds=1)
            customers: dict[str, set[int]] = defaultdict(set)
            for subscription, starts, ends in dated:
                if starts < following and ends > month:
                    customers[self._brand(subscription)].add(subscription["customer_id"])
            for brand, ids in customers.items():
                counted = Counter(self._customer(id_, end).get("type") or UNKNOWN for id_ in ids)
                for kind, number in counted.items():
                    yield month, brand, kind, number, _percent(number, len(ids))
            month = following

    def _terms(self) -> Iterable[Row]:
        found: dict[tuple[int, str], list[int]] = defaultdict(list)
        totals: Counter[int] = Counter()
        for s in self.subscriptions.values():
            kind = self._customer(s["customer_id"], _moment(s["created"])).get("type") or UNKNOWN
            term = _term(s) or 0
            found[term, kind].append(s["customer_id"])
            totals[term] += 1
        for (term, kind), ids in found.items():
            yield term, kind, len(ids), len(set(ids)), _percent(len(ids), totals[term])

    def _fleet(self) -> Iterable[Row]:
        came: Counter[date] = Counter()
        went: Counter[date] = Counter()
        for history in self.cars.values():
            registered = [d for _, r in history if (d := _date(r["registration_date"])) is not None]
            if not registered:
                continue
            came[registered[-1]] += 1
            gone = _date(history[-1][1]["deregistration_date"])
            if gone is not None and gone >= registered[-1]:
                went[gone] += 1
        if not came:
            return
        day, size = min(came), 0
        while day <= max([*came, *went]):
            size += came[day] - went[day]
            yield day, came[day], went[day], size
            day += timedelta(days=1)

    def _weeks(self) -> Iterable[Row]:
        weeks: dict[date, Counter[str]] = defaultdict(Counter)
        for s in self.subscriptions.values():
            period = _period(s)
            if period is not None:
                start = period[0]
                midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
                city = self._customer(s["customer_id"], midnight).get("city") or UNKNOWN
                weeks[start - timedelta(days=start.weekday())][city] += 1
        for week, now in list(weeks.items()):
            before = weeks.get(week - timedelta(days=7), Counter())
            increases = {city: now[city] - before[city] for city in {*now, *before}}
            best = min(increases, key=lambda c: (-increases[c], c.encode()))
            for city, increase in increases.items():
                yield week, city, now[city], before[city], increase, increase > 0 and city == best

    def _greatest(self) -> Iterable[Row]:
        return (row[:5] for row in self._weeks() if row[5])

    def _brand(self, subscription: Record) -> str:
        history = self.cars.get(subscription["car_id"])
        return history[-1][1]["brand"] if history else UNKNOWN

    def _customer(self, id_: int, at: datetime) -> Record:
        """As the customer was then; nothing when nobody knew of the customer yet."""
        known = [r for began, r in self.customers.get(id_, ()) if began <= at]
        return known[-1] if known else {}


def _histories(records: Iterable[Record]) -> dict[int, list[tuple[datetime, Record]]]:
    found: dict[int, dict[datetime, Record]] = defaultdict(dict)
    for record in records:
        at = _moment(record["updated"])
        assert found[record["id"]].setdefault(at, record) == record, "two states at one instant"
        found[record["id"]][at] = record
    return {id_: sorted(states.items(), key=lambda s: s[0]) for id_, states in found.items()}


def _period(subscription: Record) -> tuple[date, date] | None:
    start, term = _date(subscription["start_date"]), _term(subscription)
    return None if start is None or term is None else (start, _later(start, term))


def _term(subscription: Record) -> int | None:
    term = subscription["term_months"]
    return term if isinstance(term, int) else _WORDS.get(term)


def _later(day: date, months: int) -> date:
    """So many months later; the month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for number in range(day.day, 27, -1):
        try:
            return date(year, month + 1, number)
        except ValueError:
            continue
    return date(year, month + 1, day.day)


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _percent(part: int, whole: int) -> Decimal:
    return Decimal((20_000 * part + whole) // (2 * whole)) / 100


def plain(rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of a warehouse as those here."""
    return sorted(tuple(value.date() if isinstance(value, datetime) else value for value in row) for row in rows)
