"""Remembers that a message broke its stream's contract, so that no later run takes the queue's messages in vain.

Each time that messages are taken and given back the broker counts a delivery, and drops them after so many. What is
known is kept in the ledger, as a position of the stream: when it was, and a fingerprint of all that decides whether the
message breaks the contract. It says nothing of what the message holds.
"""

from __future__ import annotations

import hashlib
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.errors import ContractError
from penstock.ledger import ledger_sql, state_text
from penstock.ports import Position, Target
from penstock.spec import StreamSpec

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

SOURCE = "a broken contract"
"""The source under which the ledger keeps it. None of the project's can be called so."""
_IRRELEVANT = {"from_", "land", "schedule", "expect"}
"""Settings of a stream by which no record is judged."""


class Broken:
    """What is known of one queue of a stream. Not thread-safe."""

    def __init__(self, project: Project, stream: str, source: str) -> None:
        self._stream = stream
        self._source = source
        self._settings = project.streams[stream].model_dump_json(exclude=_IRRELEVANT, fallback=dict, warnings=False)
        self.known = ""
        """The fingerprint that the ledger has; empty while it has none."""

    def check(self, destination: Destination) -> None:
        """Whether messages can be taken.

        Raises:
            ContractError: one broke the contract, and nothing has changed since by which it would land.
        """
        state = destination.ledger.positions(self._stream, SOURCE).get(self._source)
        self.known = "" if state is None else state["fingerprint"]
        if state is None or self.known != self._fingerprint(destination):
            return
        stream = self._stream
        raise ContractError(
            f"stream {stream}: a message in the queue broke the contract at {state['at']}; nothing was taken since",
            where=self._source,
            fix="change what it broke: contract: or columns:, for example to contract: reject; or remove the message"
            f" from the queue, and then: penstock consume {shlex.quote(stream)} --again",
        )

    def remember(self, destination: Destination) -> None:
        """A message has broken the contract just now."""
        fingerprint = self._fingerprint(destination)
        if fingerprint == self.known:
            return
        at = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        state = {"at": at, "fingerprint": fingerprint}
        landing = destination.land(Target(spec=StreamSpec(stream=self._stream), source=SOURCE, partial=True))
        try:
            landing.keep([Position(source=SOURCE, key=self._source, state=state)])
            landing.commit()
        except BaseException:
            landing.rollback()
            raise
        self.known = fingerprint

    def forget(self, destination: Destination) -> None:
        """Messages have landed, or somebody wants them to be taken again."""
        destination.query(ledger_sql("forget_position"), [self._stream, SOURCE, self._source])
        self.known = ""

    def _fingerprint(self, destination: Destination) -> str:
        version = destination.ledger.schema(self._stream).version
        text = state_text({"settings": self._settings, "version": version})
        return hashlib.sha256(text.encode()).hexdigest()
