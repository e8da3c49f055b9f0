"""The settings of a schedule. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from penstock.project.group import Settings
from penstock.spans import LONGEST, SCHEMA, span_of_words, span_text, time_span

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _not_too_long(span: timedelta) -> timedelta:
    if not timedelta() <= span <= LONGEST:
        raise ValueError("expected a time from 0s to 366d")
    return span


def cron_fields(text: str) -> str:
    """A cron expression's five fields, of ``@daily`` and the like too.

    Raises:
        ValueError: it is none, or never comes.
    """
    words = " ".join(text.split())
    if words.startswith("@"):
        if words.lower() not in NICKNAMES:
            raise ValueError(f"{text!r} is no time; there are {', '.join(NICKNAMES)}, and cron's five fields")
        return words.lower()
    if len(words.split()) != 5:
        raise ValueError(f"expected cron's five fields, minute hour day month weekday, or @daily, not {text!r}")
    try:
        next(CronSim(words, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as e:
        raise ValueError(f"{text!r} is no cron expression: {str(e)[:1].lower()}{str(e)[1:]}") from None
    except StopIteration:
        raise ValueError(f"{text!r} never comes") from None
    return words


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"there is no time zone {name!r}; expected a name such as Europe/Berlin, or UTC") from None
    return name


Span = Annotated[
    timedelta,
    BeforeValidator(time_span),
    AfterValidator(_not_too_long),
    WithJsonSchema(SCHEMA),
]


class Clock(Settings):
    """When something is due, and what becomes of what was missed or failed."""

    cron: Annotated[str, AfterValidator(cron_fields)] | None = None
    """Cron's five fields, minute, hour, day, month, weekday; or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    `@yearly`."""
    every: Span | None = None
    """Instead of `cron`: how long from one run's due time to the next's, such as `30s`, `5m`, `1h30m`. The first one is
    due at once."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Whose clock `cron` goes by, such as `Europe/Berlin`. A time that the clock skips in spring comes right after the
    gap; one that it shows twice in autumn comes once."""
    missed: Literal["once", "skip", "all"] = "once"
    """What becomes of runs that fell due while nothing ran, or while the run before still did: `once` does one for all
    of them, `skip` waits for the next, `all` does each (the last 1,000)."""
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    """How often a run that failed is tried again."""
    retry_delay: Span = timedelta(minutes=3)
    """How long after it failed."""
    jitter: Span = timedelta()
    """Each run starts up to so long after it is due, at random, so that many do not start at once."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError("expected cron: or every:, one of them")
        if self.every is not None and self.every < timedelta(seconds=1):
            raise ValueError("every: is less than a second")
        return self

    @property
    def words(self) -> str:
        """When, in a few words."""
        if self.every is not None:
            return f"every {span_text(self.every)}"
        return f"{self.cron} {self.timezone}"


class Schedule(Clock):
    """When `penstock up` loads by itself, and builds the models that depend on what it loaded; the project's DAGs under
    Apache Airflow run by it too.

    Text stands for `cron:` alone, such as `schedule: "@daily"` or `schedule: "0 6 * * mon-fri"`, and
    `schedule: every 5m` for `every:`.
    """

    data_interval: bool = False
    """Whether each run loads the days of its data interval, from the moment done before it to its own, as Airflow's
    runs do: of streams with an `event_time`, and of endpoints of an API with `windows`. Without it, and of all others,
    what is new is loaded. Days are those of UTC."""
    lookback: Span | None = None
    """So long before its data interval a run begins, for records that come late; Airflow's runs too, by whole days.
    By default as long as the `overlap` of an endpoint with `windows`; nothing for other streams."""


class TidySchedule(Clock):
    """When `penstock up` looks after the tables by itself, as `penstock tidy` does: in words such as
    `schedule: "@daily"` and `schedule: every 6h`, or with these settings."""

    missed: Literal["once", "skip"] = "once"
    """What becomes of runs that fell due while nothing ran, or while the run before still did: `once` does one for all
    of them, `skip` waits for the next."""


def schedule_of(value: Any) -> Any:
    """Text as the group it stands for."""
    if not isinstance(value, str):
        return value
    return {"every": span_of_words(value)} if value.lower().startswith("every ") else {"cron": value}


def own_schedule(value: Any) -> Any:
    """As :func:`schedule_of`; ``false`` is none at all."""
    if value is False or (isinstance(value, str) and value.lower() in ("false", "no", "off")):
        return False
    return schedule_of(value)


def schedule_or_none(value: Any) -> Any:
    """As :func:`own_schedule`, where there is nothing else that is told from no schedule."""
    return own_schedule(value) or None
