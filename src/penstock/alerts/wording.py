"""What a message says, in each of the forms in which it is sent."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from penstock.alerts.catalogue import ALERTS
from penstock.alerts.expectations import span_in_words
from penstock.errors import MASK, redact

if TYPE_CHECKING:
    from penstock.alerts.notices import Problem
    from penstock.project import Project

VERSION = 1
"""Of the JSON form. It changes when a field goes or means something else."""
_MOST_TEXT = 1_000
_MOST_LISTED = 20
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|(?<==)\([^)\n]*\)")
_MAIL = re.compile(r"[^\s@<>,;'\"()]+@[^\s@<>,;'\"()]+\.[^\s@<>,;'\"()]+")
_HEADS = {"failed": "failing", "reminded": "still failing", "recovered": "recovered"}
_GONE = "no longer there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: about a problem, or several that begin or end together; about none, it is a test. ``id`` is the same
    each time that it is sent."""

    project: str
    target: str
    problems: Sequence[Problem]
    sent_at: datetime
    host: str = field(default_factory=socket.gethostname)
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def subject(self) -> str:
        """One line on it."""
        parts = []
        for head in (*_HEADS.values(), _GONE):
            alike = [p for p in self.problems if _head(p) == head]
            if alike:
                more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
                parts.append(f"{head}: {alike[0].subject}{more}")
        return f"[{self.project}] {'; '.join(parts) or 'a test of the notifications'}"

    @property
    def text(self) -> str:
        """All of it, as lines of plain text."""
        lines = [self.subject, ""]
        if not self.problems:
            lines += ["This is a test: nothing is wrong. Messages from here arrive.", ""]
        for problem in self.problems[:_MOST_LISTED]:
            lines += [*_lines(problem), ""]
        if len(self.problems) > _MOST_LISTED:
            lines += [f"and {len(self.problems) - _MOST_LISTED} more: penstock status", ""]
        lines.append(f"project {self.project}, target {self.target}, host {self.host}, {_moment(self.sent_at)}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Penstock's own form."""
        return {
            "version": VERSION,
            "id": self.id,
            "event": "alert" if self.problems else "test",
            "project": self.project,
            "target": self.target,
            "host": self.host,
            "sent_at": self.sent_at.isoformat(),
            "subject": self.subject,
            "text": self.text,
            "alerts": [_item(problem) for problem in self.problems],
        }

    def as_slack(self) -> dict[str, Any]:
        """Slack's incoming webhooks: the subject in bold, the rest as it is."""
        head, _, rest = _slack_text(self.text).partition("\n")
        return {"text": f"*{head}*\n{rest}"}

    def as_teams(self) -> dict[str, Any]:
        """An Adaptive Card, as workflows of Microsoft Teams take it."""
        head, _, rest = self.text.partition("\n")
        blocks = [
            {"type": "TextBlock", "text": head, "weight": "bolder", "wrap": True},
            *({"type": "TextBlock", "text": part, "wrap": True} for part in rest.strip().split("\n\n")),
        ]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
        }
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}

    def body(self, kind: str) -> dict[str, Any]:
        """As ``json``, ``slack`` or ``teams``."""
        return {"json": self.as_json, "slack": self.as_slack, "teams": self.as_teams}[kind]()


def guarded(text: str, project: Project, *, own: bool = False) -> str:
    """A text that may leave the house: without secrets and mail addresses, not endless, and in a project with personal
    data without what is quoted in it, unless the words are our ``own``: an engine quotes values."""
    text = _MAIL.sub(MASK, redact(text.strip()))
    if not own and any(stream.pii for stream in project.streams.values()):
        text = _QUOTED.sub(MASK, text)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} …"


def look(problem: Problem) -> str:
    """The command that shows more."""
    command = ALERTS[problem.alert].look if problem.alert in ALERTS else "penstock status"
    if command.startswith("penstock runs show"):
        return "penstock runs" if problem.run is None else f"penstock runs show {problem.run}"
    return command


def _head(problem: Problem) -> str:
    return "" if problem.told is None else _GONE if _gone(problem) else _HEADS[problem.told]


def _gone(problem: Problem) -> bool:
    return problem.gone and problem.told == "recovered"


def _lines(problem: Problem) -> list[str]:
    since = _moment(problem.first_failed_at)
    if problem.told == "recovered":
        lasted = span_in_words(_ended(problem) - problem.first_failed_at)
        ending = f"{problem.what}, after {lasted}" if problem.gone else f"recovered after {lasted}"
        return [f"{problem.subject}: {ending}", f"  failed from {since}, {problem.alert}"]
    head = f"{problem.subject}: {problem.what}" if problem.what else problem.subject
    lines = [head, f"  since {since}, {problem.alert}"]
    if problem.where:
        lines.append(f"  where: {problem.where}")
    if problem.fix:
        lines.append(f"  fix: {problem.fix}")
    return [*lines, f"  look: {look(problem)}"]


def _item(problem: Problem) -> dict[str, Any]:
    over = problem.told == "recovered"
    return {
        "alert": problem.alert,
        "subject": problem.subject,
        "event": problem.told,
        "what": problem.what,
        "where": problem.where or None,
        "fix": problem.fix or None,
        "look": look(problem),
        "run": problem.run,
        "failures": problem.failures,
        "since": problem.first_failed_at.isoformat(),
        "recovered_at": _ended(problem).isoformat() if over else None,
        "lasted_seconds": round((_ended(problem) - problem.first_failed_at).total_seconds(), 3) if over else None,
    }


def _ended(problem: Problem) -> datetime:
    """When it was well again: before it was told."""
    return problem.well_since or problem.recovered_at or problem.updated_at


def _slack_text(text: str) -> str:
    """The three characters that mean something to Slack, as it wants them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
