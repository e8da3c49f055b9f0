"""How the parts of a model's SQL are spoken of: by the names that its author gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.transform.scopes.tables import SCOPE, Depends, Lookup, Mark, Read


@dataclass(frozen=True, slots=True)
class Words:
    """Of a model with this ``scope``, which reads these tables."""

    scope: Sequence[str]
    refs: Mapping[str, Read]

    def whole_or(self, fix: str = "") -> str:
        """What can be done; where nothing else can, that the model is built whole."""
        return f"{fix}, or have the model built whole" if fix else "have the model built whole"

    def tables(self, dimension: str) -> str:
        """The tables of a dimension."""
        if dimension != SCOPE:
            return dimension
        return ", ".join(name for name, read in self.refs.items() if read and not isinstance(read, Lookup))

    def columns(self, depends: Depends) -> str:
        """The columns that dimensions go by."""
        return ", ".join(self.column(Mark(d, number)) for d, width in depends.items() for number in range(width))

    def column(self, mark: Mark) -> str:
        """The column of the model, or of the look-up, that a mark is for."""
        if mark.dimension == SCOPE:
            return self.scope[mark.number]
        lookup = self.refs[mark.dimension]
        assert isinstance(lookup, Lookup)
        return f"{mark.dimension}.{lookup.their[mark.number]}"
