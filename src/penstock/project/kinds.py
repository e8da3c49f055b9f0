"""The settings of a source or of a destination, read as what their ``type:`` says.

The classes of the kinds that are built in are imported when a file names them: making the classes of all of them is a
tenth of what a small load takes. What installed distributions add is found by an entry point whose name is the type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Union

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from penstock.project.group import Settings
from penstock.project.values import WrongName


@dataclass(frozen=True, slots=True, kw_only=True)
class KindsOfSettings:
    """The kinds of one entry point group, as the annotation of a setting: ``Annotated[SourceSettings, SOURCES]``.

    ``noun`` is what messages call one; the settings of each derive from ``base``. ``built_in`` has type → where the
    class of its settings is, as ``module:class``.
    """

    group: str
    noun: str
    base: type[Settings]
    built_in: Mapping[str, str]

    def __hash__(self) -> int:
        return hash(self.group)

    def types(self) -> list[str]:
        """All types: those that are built in, then those that distributions add, in order."""
        return list(dict.fromkeys([*self.built_in, *sorted(entry.name for entry in entry_points(group=self.group))]))

    def kind(self, type_: str) -> Any:
        """The kind under a type; None when no distribution adds it.

        Raises:
            WrongName: several do, it cannot be loaded, or it is no kind.
        """
        return installed_kind(self, type_)

    def settings(self, type_: str) -> type[Settings] | None:
        """The settings of a kind; None when there is none of this type.

        Raises:
            WrongName: as :meth:`kind`.
        """
        if type_ in self.built_in:
            module, _, name = self.built_in[type_].partition(":")
            settings: type[Settings] = getattr(import_module(module), name)
            return settings
        kind = self.kind(type_)
        return None if kind is None else kind.settings

    def _read(self, value: Any, info: ValidationInfo) -> Settings:
        if isinstance(value, self.base):
            return value
        if not isinstance(value, dict):
            raise PydanticKnownError("dict_type")
        type_ = value.get("type")
        if type_ is None:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
        settings = self.settings(str(type_))
        if settings is not None:
            return settings.model_validate(value, context=info.context)
        tags = {"discriminator": "'type'", "tag": str(type_), "expected_tags": ", ".join(map(repr, self.types()))}
        raise PydanticKnownError("union_tag_invalid", tags)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema
        settings = [self.settings(type_) for type_ in self.built_in]
        every: Any = Annotated[Union[*settings], Field(discriminator="type")]
        adapter: TypeAdapter[Any] = TypeAdapter(every)
        return handler(adapter.core_schema)


@cache
def installed_kind(kinds: KindsOfSettings, type_: str) -> Any:
    """The kind under a type, looked up once in a process; see :meth:`KindsOfSettings.kind`."""
    entries = list(entry_points(group=kinds.group, name=type_))
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
    if not isinstance(settings, type) or not issubclass(settings, kinds.base):
        what = f"{type_!r} comes from {owners[0]}, and {entries[0].value} there is no kind of {kinds.noun}"
        raise WrongName("type", what, f"its settings: have to be a class of penstock.project.{kinds.base.__name__}")
    return kind


def _owner(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
