"""Random change sets over the user events, seeded: what a warehouse goes through between two builds of its models."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]

START = datetime(2024, 2, 26)
KINDS = ("User Created", "User Updated", "User Updated", "User Deleted", None)
ORGANIZATIONS = ("Acme", "Globex", "Initech", None, "")
INCIDENTS = ("full refresh", "killed", "behind", "erased", "edited", "reader", "feed lost")
"""What may happen beside what lands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Records that land together."""

    events: Sequence[Record] = ()
    organizations: Sequence[Record] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens before one build: ``loads`` land, and with ``incident`` one of :data:`INCIDENTS`. ``chance`` is a
    number from 0 to 1 for whoever performs it, as of which model fails; ``user`` is who is erased."""

    loads: Sequence[Load]
    incident: str = ""
    chance: float = 0.0
    user: str = ""

    def __str__(self) -> str:
        landed = [f"{len(load.events)} events, {len(load.organizations)} organizations" for load in self.loads]
        return "; ".join([*landed, *([self.incident] if self.incident else [])])


class Story:
    """A made-up history: few users at few times with few values, so that states repeat, times tie, events come late,
    and users are deleted and come again."""

    def __init__(self, seed: int, incidents: Sequence[str] = INCIDENTS) -> None:
        chance = self._chance = random.Random(seed)
        self._incidents = incidents
        self._users = [f"u{number}" for number in range(chance.randint(1, 5))]
        days = chance.randint(1, 6)
        self._times = [
            START + timedelta(days=chance.randrange(days), minutes=30 * chance.randrange(48))
            for _ in range(chance.randint(2, 14))
        ]
        self._landed: list[Record] = []

    def begin(self) -> Change:
        """What is there at the first build; of a few stories, nothing but an organization."""
        loads = [Load(organizations=[self._organization()]), Load(events=self._events(self._chance.choice([1, 3, 20])))]
        return Change(loads=loads)

    def next(self) -> Change:
        """What happens next."""
        chance = self._chance
        loads = []
        for _ in range(chance.choice([1, 1, 2, 3])):
            if chance.random() < 0.25:
                loads.append(Load(organizations=[self._organization()]))
            else:
                loads.append(Load(events=self._events(chance.choice([1, 1, 2, 5, 12]))))
        incident = chance.choice(self._incidents) if self._incidents and chance.random() < 0.4 else ""
        return Change(loads=loads, incident=incident, chance=chance.random(), user=chance.choice(self._users))

    def _events(self, count: int) -> list[Record]:
        events = [self._event() for _ in range(count)]
        self._landed += events
        return events

    def _event(self) -> Record:
        chance = self._chance
        if self._landed and chance.random() < 0.15:  # said again, or a tie
            event = dict(chance.choice(self._landed))
            if chance.random() < 0.6:
                event[chance.choice(["username", "organization_name", "event_type"])] = chance.choice(["Ann", None])
            return event
        return {
            "id": None if chance.random() < 0.05 else chance.choice(self._users),
            "event_type": chance.choice(KINDS),
            "username": chance.choice(["Ann", "Bob"]),
            "user_email": chance.choice(["a@example.com", None]),
            "user_type": chance.choice(["Admin", ""]),
            "organization_name": chance.choice(ORGANIZATIONS),
            "plan_name": chance.choice(["Small", "Large", None]),
            "received_at": None if chance.random() < 0.03 else chance.choice(self._times),
        }

    def _organization(self) -> Record:
        """One of few, under a name that another may have too."""
        chance = self._chance
        return {
            "organization_key": chance.choice(["1", "2", "3"]),
            "organization_name": chance.choice(["Acme", "Globex", "Initech", "Umbrella"]),
            "created_at": datetime(2020, 1, 1) + timedelta(days=chance.randrange(1000)),
        }
