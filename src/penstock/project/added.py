"""Kinds of sources and destinations that installed distributions add, by an entry point whose name is what ``type:``
says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticKnownError

from penstock.project.group import Settings
from penstock.project.values import WrongName


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedKinds:
    """The kinds of one entry point group. ``noun`` is what messages call one; the ``settings`` of each derive from
    ``base``."""

    group: str
    noun: str
    base: type[Settings]

    def types(self) -> list[str]:
        """The types that distributions add, in order."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def kind(self, type_: str) -> Any:
        """The kind under a type; None when no distribution adds it.

        Raises:
            WrongName: several do, it cannot be loaded, or it is no kind.
        """
        return installed_kind(self, type_)

    def settings(self, type_: str) -> type[Settings] | None:
        """The settings of that kind.

        Raises:
            WrongName: as :meth:`kind`.
        """
        kind = self.kind(type_)
        return None if kind is None else kind.settings

    def beside(self, *built_in: str) -> WrapValidator:
        """Settings of a type that is built in, read as they are, or of one that a distribution adds."""

        def read(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
            type_ = value.get("type") if isinstance(value, dict) else None
            if not isinstance(type_, str) or type_ in built_in:
                return handler(value)
            settings = self.settings(type_)
            if settings is not None:
                return settings.model_validate(value, context=info.context)
            known = ", ".join(repr(name) for name in dict.fromkeys([*built_in, *self.types()]))
            raise PydanticKnownError(
                "union_tag_invalid", {"discriminator": "'type'", "tag": type_, "expected_tags": known}
            )

        return WrapValidator(read)


@cache
def installed_kind(added: AddedKinds, type_: str) -> Any:
    """The kind under a type, looked up once in a process; see :meth:`AddedKinds.kind`."""
    entries = list(entry_points(group=added.group, name=type_))
    if not entries:
        return None
    owners = [_owner(entry) for entry in entries]
    if len(entries) > 1:
        raise WrongName("type", f"{type_!r} is added by {' and by '.join(owners)}", "uninstall one of them")
    try:
        kind = entries[0].load()
    except Exception as e:
        what = f"{type_!r} comes from {owners[0]}, which cannot be loaded: {type(e).__name__}: {e}"
        raise WrongName("type", what, "install that distribution anew, or another version of it") from e
    settings = getattr(kind, "settings", None)
    if not isinstance(settings, type) or not issubclass(settings, added.base):
        what = f"{type_!r} comes from {owners[0]}, and {entries[0].value} there is no kind of {added.noun}"
        raise WrongName("type", what, f"its settings: have to be a class of penstock.project.{added.base.__name__}")
    return kind


def _owner(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
