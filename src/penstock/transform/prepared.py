"""The steps that are prepared for the models as they are, and those that are still to be."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.destinations import open_destination
from penstock.errors import TransformError
from penstock.logs import described, get_log
from penstock.transform.stepping import ByDbt, Stepper, Stepping
from penstock.transform.steps import PREPARE, Step, read_steps, read_watermarks
from penstock.transform.workspace import has_own_profile

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.transform.dbt import Dbt, Node
    from penstock.transform.manifest import Manifest

_log = get_log("transform")

MOST_SIDE_BY_SIDE = 4
"""More connections than that make no step of models sooner."""


class PreparedSteps:
    """The prepared steps of a session's project, read from the ledger once for each state of the models."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fingerprint = ""
        self._steps: Mapping[str, Step] = {}
        self._tried: set[tuple[str, str]] = set()
        self._stepper: Stepper | None = None

    def known(self, manifest: Manifest, fingerprint: str) -> Mapping[str, Step]:
        """The steps for this state, by the ids of the models."""
        if fingerprint != self._fingerprint:
            steps = read_steps(self._session.destination, fingerprint)
            wanted = set(_steady(self._session, manifest))
            self._steps = {id_: step for id_, step in steps.items() if id_ in wanted}
            self._fingerprint = fingerprint
        return self._steps

    def forget(self) -> None:
        """Read the steps again before they are used: dbt keeps other ones of what it builds anew."""
        self._fingerprint = ""

    def lacking(self, manifest: Manifest, fingerprint: str) -> list[str]:
        """The ids of the models whose steps could be prepared for this state, and are not."""
        known = self.known(manifest, fingerprint)
        return [
            id_
            for id_ in _steady(self._session, manifest)
            if id_ not in known and (fingerprint, id_) not in self._tried
        ]

    def prepare(self, dbt: Dbt, fingerprint: str, environment: Mapping[str, str]) -> None:
        """Have dbt prepare the steps that are lacking. What cannot be prepared, dbt goes on to build."""
        places = {id_: dbt.manifest.resources[id_].watermark for id_ in self.lacking(dbt.manifest, fingerprint)}
        # what was never built would be built by asking
        built = read_watermarks(self._session.destination, places.values()) if places else {}
        ids = [id_ for id_, place in places.items() if place in built]
        if not ids:
            return
        try:
            nodes = dbt.follow(select=names(dbt.manifest, ids), environment={**environment, PREPARE: "yes"})
        except TransformError as e:
            _log.warning("steps cannot be prepared", **described(e))
            return
        for node in nodes:
            if node.failed:
                _log.warning("a model's step cannot be prepared", model=node.name, error=node.message)
        self.forget()
        self.known(dbt.manifest, fingerprint)
        self._tried |= {(fingerprint, id_) for id_ in ids}

    def build(
        self, manifest: Manifest, fingerprint: str, ids: Collection[str], upper_seq: int, by_dbt: ByDbt
    ) -> list[Node]:
        """Have models take in what has landed, up to ``upper_seq``; see :meth:`Stepping.build`."""
        if self._stepper is None:
            project, destination = self._session.project, self._session.destination
            threads = project.transform.threads if project.transform else 1
            most = 1 if destination.capabilities.one_process else min(threads, MOST_SIDE_BY_SIDE)
            self._stepper = Stepper(lambda: open_destination(project.destination), most)

        def refreshed(ids: Sequence[str]) -> Sequence[Node]:
            self.forget()
            return by_dbt(ids)

        stepping = Stepping(
            destination=self._session.destination,
            manifest=manifest,
            steps=self.known(manifest, fingerprint),
            fingerprint=fingerprint,
            upper_seq=upper_seq,
            by_dbt=refreshed,
            stepper=self._stepper,
        )
        return stepping.build(ids)

    def close(self) -> None:
        """Close the connections."""
        if self._stepper is not None:
            self._stepper.close()
            self._stepper = None


def state_fingerprint(models: str, columns: int) -> str:
    """What steps are prepared for: the models, as :func:`environment_fingerprint` has them, and how many columns the
    raw tables have."""
    return hashlib.sha256(f"{models} {columns}".encode()).hexdigest()


def names(manifest: Manifest, ids: Collection[str]) -> Sequence[str]:
    """dbt's selectors of these models."""
    return sorted({manifest.resources[id_].name for id_ in ids})


def _steady(session: Session, manifest: Manifest) -> list[str]:
    """The models that can be prepared: of those built step by step, the ones that are the same in each step."""
    project = session.project
    if manifest.has_run_hooks or has_own_profile(project) or not session.destination.capabilities.writes_models:
        return []
    return [r.id for r in manifest.of_kinds(["model"]) if r.keeps_watermark and r.steady]
