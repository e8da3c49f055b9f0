"""What became of a run, and who is told of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from penstock.engine_errors import error_text
from penstock.errors import PenstockError, together

if TYPE_CHECKING:
    from penstock.land.loop import Landed
    from penstock.ports import Batch, Receipt
    from penstock.project.steps import LoadStep
    from penstock.runs.plan import RunPlan
    from penstock.transform.built import Built
    from penstock.upkeep import TidiedTable

Status = Literal["success", "error", "stopped"]


@dataclass(slots=True, kw_only=True)
class StepReport:
    """What became of a load step: what it ``landed``, or the ``error`` for which it landed nothing more."""

    step: LoadStep
    attempt: int = 1
    seconds: float = 0.0
    landed: Landed | None = None
    error: Exception | None = None

    @property
    def failures(self) -> list[Exception]:
        """All that went wrong."""
        if self.error is not None:
            return [self.error]
        return [] if self.landed is None else list(self.landed.failures)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did. ``run_id`` is its number in the ledger; None for models alone, which are a run of their own.

    ``loads`` has every step as it was tried, ``built`` what dbt did, or ``unbuilt`` why it was not asked, ``failures``
    what the last attempt failed of.
    """

    plan: RunPlan
    run_id: int | None = None
    status: Status = "success"
    attempts: int = 1
    loads: list[StepReport] = field(default_factory=list)
    built: Built | None = None
    unbuilt: str = ""
    failures: list[Exception] = field(default_factory=list)

    @property
    def error(self) -> Exception | None:
        """All failures as one error: the first fault of ours, or the project's and the world's together."""
        ours = next((e for e in self.failures if not isinstance(e, PenstockError)), None)
        if ours is not None or not self.failures:
            return ours
        return together([e for e in self.failures if isinstance(e, PenstockError)])

    def total(self, name: str) -> int:
        """Sum of a receipt's count over all that landed: ``read``, ``landed``, ``duplicates``, ``quarantined``."""
        return sum(load.landed.total(name) for load in self.loads if load.landed is not None)

    def raise_for_error(self) -> None:
        """Raise :attr:`error`, if there is one."""
        if (error := self.error) is not None:
            raise error


class Listener:
    """Is told of a run while it goes on. Each method may be left as it is, which does nothing."""

    def began(self, report: Report) -> None:
        """The run is in the ledger."""

    @contextmanager
    def loading(self, step: LoadStep) -> Iterator[Callable[[Batch], None]]:
        """Around a load step; what it gives is told of each batch."""
        del step
        yield lambda _: None

    def committed(self, receipt: Receipt) -> None:
        """A commit is durable."""

    def loaded(self, load: StepReport) -> None:
        """A load step has ended, well or not."""

    def tidied(self, table: TidiedTable) -> None:
        """A table has been looked after, well or not."""

    @contextmanager
    def building(self) -> Iterator[Callable[[str], object]]:
        """Around a build; what it gives is told in words what is being done."""
        yield str

    def built(self, built: Built, seconds: float) -> None:
        """dbt has ended, well or not."""

    def unbuilt(self, reason: str) -> None:
        """The models are not built."""

    def attempted(self, report: Report, *, again: bool) -> None:
        """An attempt has ended, the report's last; with ``again`` the next one follows."""

    def ended(self, report: Report) -> None:
        """The run has ended, and the ledger says so."""


def words_of(error: Exception) -> str:
    """An error in one line, as a run says it beside the step."""
    return error.what if isinstance(error, PenstockError) else f"{type(error).__name__}: {error_text(error)}"
