"""What a run would do: its loads, and what each would read. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from penstock.doctor.status import existing_destination
from penstock.errors import SourceError
from penstock.sources.kinds import Forecast, kind_of, opening_of

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.project.steps import LoadStep
    from penstock.sources.files.planning import FilePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What loading one stream from one source would do."""

    stream: str
    source: str
    how: str
    files: Sequence[FilePlan] = ()
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "stream": self.stream,
            "source": self.source,
            "how": self.how,
            "problem": self.problem or None,
            "files": [{**asdict(f), "path": str(f.path), "error": f.error and str(f.error)} for f in self.files],
        }


def explain_loads(project: Project, steps: Sequence[LoadStep], *, dated: bool) -> list[LoadPlan]:
    """The steps of a run with the files each would read; ``dated`` when days were asked for. Opens the warehouse only
    if it is there."""
    plans = []
    destination = existing_destination(project)
    try:
        for step in steps:
            stream = project.streams[step.stream]
            contract = stream.contract
            how = (
                f"{stream.disposition} by {stream.identity}, new columns {contract.columns}, odd types {contract.types}"
            )
            if step.window and stream.event_time:
                how += f", {stream.event_time} in {step.window}"
            known = destination.ledger.positions(step.stream, step.source) if destination else {}
            settings = project.sources[step.source]
            forecast, problem = Forecast(), ""
            try:
                forecast = kind_of(settings).forecast(settings, opening_of(project, step), known)
            except SourceError as e:
                problem = str(e)
            how += f", {forecast.words}" if forecast.words else ""
            if not settings.ends:
                how += " by penstock consume alone"
                how += f": {settings.noun} has no days to choose from" if dated else ""
            plans.append(
                LoadPlan(stream=step.stream, source=step.source, how=how, files=forecast.files, problem=problem)
            )
    finally:
        if destination:
            destination.close()
    return plans
