"""Every alert there is, by its stable name: what it means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.project.notify import AlertName


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One kind of alert. ``subject`` is an example of what it can be about, ``source`` the command that notices it."""

    name: AlertName
    subject: str
    meaning: str
    well_again: str
    do: str
    look: str
    source: str


_ALERTS = (
    Alert(
        name="expectation_failed",
        subject="stream user_events: fresh within 10m",
        meaning="A stream is not as its `expect:` says: too old, too few or too many rows, too much in quarantine.",
        well_again="It is as expected.",
        do="See what was seen and why; load the stream, mend its source, or replay its quarantine.",
        look="penstock check",
        source="`penstock up`, `penstock check --notify`",
    ),
    Alert(
        name="schedule_failed",
        subject="schedule daily",
        meaning="A scheduled run failed for good: a load, or the models after it, with all its retries. Schedule tidy"
        " looks after Iceberg tables.",
        well_again="A run of the schedule ends well.",
        do="Read the failed step's error and fix; then run it at once with `penstock run --now`, or `penstock tidy`.",
        look="penstock runs show 42",
        source="`penstock up`",
    ),
    Alert(
        name="run_failed",
        subject="penstock run",
        meaning="A command with `--notify` failed, as cron or another scheduler called it.",
        well_again="The same command, of the same streams, ends well.",
        do="Read the failed step's error and fix, and run the command again. What had landed stays landed.",
        look="penstock runs show 42",
        source="`penstock run`, `load`, `transform` and `backfill`, each with `--notify`",
    ),
    Alert(
        name="models_failed",
        subject="models",
        meaning="dbt cannot build the models that follow the loads, or their tests fail. Loads go on.",
        well_again="A build ends well.",
        do="Mend the model or the data that it names. It is tried again by itself, at once when a file has changed.",
        look="penstock runs --failed",
        source="`penstock up`",
    ),
    Alert(
        name="part_failing",
        subject="part consume user_events event_queue",
        meaning="A part of `penstock up` (a consumer, a watcher, a schedule, the trigger) died twice in a row.",
        well_again="It has run for a minute.",
        do="Mend what its error says. It is started again by itself, at least once a minute.",
        look="penstock status",
        source="`penstock up`",
    ),
    Alert(
        name="queue_unreachable",
        subject="queue event_queue of user_events",
        meaning="The broker has been away for 30 seconds. Nothing comes; messages wait there.",
        well_again="The consumer is connected.",
        do="Start the broker, or mend the network, the password or the queue. It is tried again by itself.",
        look="penstock doctor",
        source="`penstock up`",
    ),
    Alert(
        name="landing_stopped",
        subject="queue event_queue of user_events",
        meaning="What comes by a queue cannot land: at once where somebody has to mend something (a frozen contract, a "
        "table changed by hand, a right that is missing), after 30 seconds where the warehouse answers and takes "
        "nothing, as with a full disk. Messages stay in the queue, unacknowledged.",
        well_again="It lands again.",
        do="Mend what its error says. It is tried again by itself, at least once a minute; do not restart for it.",
        look="penstock status",
        source="`penstock up`",
    ),
    Alert(
        name="files_refused",
        subject="files of user_events from event_files",
        meaning="Files in a watched folder cannot be read, or break a frozen contract. The others land.",
        well_again="They land, or are gone.",
        do="Mend or take away the files that it names. One that changes is tried again by itself.",
        look="penstock status",
        source="`penstock up`",
    ),
    Alert(
        name="warehouse_unreachable",
        subject="warehouse production",
        meaning="The warehouse has not answered twice in a row. Nothing lands; messages stay in their queues.",
        well_again="It answers.",
        do="Start the database, or mend the network, the password or the disk. It is tried again by itself.",
        look="penstock doctor",
        source="`penstock up`",
    ),
)
ALERTS: Mapping[str, Alert] = {alert.name: alert for alert in _ALERTS}
