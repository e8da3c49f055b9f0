"""Made-up event streams, seeded, with everything that is hard about real ones."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

Record = dict[str, Any]

START = datetime(2024, 2, 26, 12)
ORGANIZATIONS = ["Acme", "Globex", "Initech", "Umbrella", None, ""]
BLANKS = [chr(c) for c in range(0x3001) if chr(c).isspace() and not 0x1C <= c <= 0x1F]
"""What Unicode calls white space."""
TEXTS = ["", " ", "a b", "É ß", "İstanbul", "x\u200b", *(f"{b}a{b}b{b}" for b in BLANKS), *BLANKS]
"""Texts that engines are apt to read in different ways."""


def event(user: str, kind: str, at: datetime, **said: Any) -> Record:
    """One event; what is not said is null."""
    return {"id": user, "event_type": f"User {kind}", "received_at": at, **said}


def life(chance: random.Random, user: str) -> list[Record]:
    """One user's events: few values, so that states repeat; coarse times, so that instants are shared."""
    events = []
    for _ in range(chance.randint(1, 7)):
        events.append(
            event(
                user,
                chance.choice(["Created", "Updated", "Updated", "Deleted"]),
                START + timedelta(hours=8 * chance.randint(0, 30)),
                username=chance.choice(["Ann", "Bob", "", None]),
                user_email=chance.choice(["a@example.com", "b@example.com"]),
                user_type=chance.choice(["Admin", "User", None]),
                organization_name=chance.choice(ORGANIZATIONS),
                plan_name=chance.choice(["Small", "Large"]),
            )
        )
    return events


def lives(seed: int, users: int) -> list[Record]:
    """Events of many users, a few without a user or a time, some said twice, all shuffled."""
    chance = random.Random(seed)
    events = [one for number in range(users) for one in life(chance, f"u{number:04}")]
    events += [dict(one) for one in chance.sample(events, users // 5)]
    events.append(event("", "Created", START, username="nobody"))
    events.append({"id": "timeless", "event_type": "User Created", "received_at": None})
    events.append({"id": "kindless", "event_type": None, "received_at": START - timedelta(days=3)})
    chance.shuffle(events)
    return events


def organizations(seed: int) -> list[list[Record]]:
    """Organisations in several loads: one is renamed, one comes late, two share a name."""
    made = [
        {"organization_key": "1", "organization_name": "Acme", "created_at": datetime(2020, 1, 1)},
        {"organization_key": "2", "organization_name": "Globex", "created_at": datetime(2020, 1, 2)},
        {"organization_key": "2", "organization_name": "Umbrella", "created_at": datetime(2021, 1, 2)},
        {"organization_key": "3", "organization_name": "Acme", "created_at": datetime(2019, 1, 1)},
        {"organization_key": "4", "organization_name": "Initech", "created_at": datetime(2022, 1, 1)},
    ]
    random.Random(seed).shuffle(made)
    return [[one] for one in made]


def split(chance: random.Random, events: list[Record], parts: int) -> list[list[Record]]:
    """The events cut into loads of unequal size."""
    cuts = sorted(chance.sample(range(1, len(events)), parts - 1))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
