"""How an API cuts its answers into pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from penstock.project.fields import NamesFields
from penstock.project.group import Settings
from penstock.project.placeholders import JsonPath


def _paginated(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Page(Settings):
    """Pages by number."""

    type: Literal["page"]
    """Which kind of pagination this is."""
    param: str = "page"
    """The parameter for the page's number."""
    start: Annotated[int, Field(ge=0)] = 1
    """The first page's number."""
    size_param: str | None = None
    """The parameter for how many records a page has."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many records a page has. When the first page has so many, one with fewer is the last."""
    pages: JsonPath | None = None
    """Where an answer says how many pages there are, such as `info.pages`."""
    total: JsonPath | None = None
    """Where an answer says how many records there are, such as `meta.total`."""
    total_header: str | None = None
    """The header that says how many records there are, such as `X-Total-Count`."""
    last: Annotated[int, Field(ge=0)] | None = None
    """The number of the last page to ask for, of an API that always has one more."""
    end_status: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(default=(), repr=False)
    """Statuses with which the API answers a page behind the last one, such as `[400]`; 404 is always taken so. They are
    then taken for the end wherever they come behind the first page, so name none that the API has other uses for."""
    end_repeats: bool = Field(default=False, repr=False)
    """Whether the API answers a page behind the last one with the last one again, which is then the end."""


class Offset(Settings):
    """Pages by the number of records before them."""

    type: Literal["offset"]
    """Which kind of pagination this is."""
    param: str = "offset"
    """The parameter for how many records to leave out."""
    limit_param: str = "limit"
    """The parameter for how many records to answer."""
    limit: Annotated[int, Field(ge=1)] = 100
    """How many records to ask for at a time."""
    total: JsonPath | None = None
    """Where an answer says how many records there are, such as `meta.total`."""
    total_header: str | None = None
    """The header that says how many records there are, such as `X-Total-Count`."""
    end_status: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(default=(), repr=False)
    """Statuses with which the API answers a page behind the last one, such as `[400]`; 404 is always taken so. They are
    then taken for the end wherever they come behind the first page, so name none that the API has other uses for."""
    end_repeats: bool = Field(default=False, repr=False)
    """Whether the API answers a page behind the last one with the last one again, which is then the end."""


class Cursor(Settings):
    """Pages by a cursor, which each answer gives for the next."""

    type: Literal["cursor"]
    """Which kind of pagination this is."""
    path: JsonPath | None = None
    """Where an answer has the cursor, such as `meta.next_cursor`. Without one, or with null, it is the last."""
    field: Annotated[JsonPath | None, NamesFields(how="path")] = None
    """Instead of `path`: the field of the page's last record that is the cursor, such as `id`."""
    param: str = "cursor"
    """The parameter for the cursor."""
    more: JsonPath | None = None
    """Where an answer says whether there is more, such as `has_more`."""
    size_param: str | None = None
    """The parameter for how many records a page has."""
    size: Annotated[int, Field(ge=1)] | None = None
    """How many records a page has."""

    @model_validator(mode="after")
    def _has_one(self) -> Cursor:
        if (self.path is None) == (self.field is None):
            raise ValueError(
                "expected path (where the answer has the cursor) or field (of its last record), one of them"
            )
        return self


class NextLink(Settings):
    """Pages by a link to the next one in the answer's body."""

    type: Literal["next_link"]
    """Which kind of pagination this is."""
    path: JsonPath = "next"
    """Where an answer has the link, such as `links.next`. Without one, or with null, it is the last."""


class LinkHeader(Settings):
    """Pages by the header `Link: <…>; rel="next"` (RFC 8288)."""

    type: Literal["link_header"]
    """Which kind of pagination this is."""


class NoPages(Settings):
    """One answer has all records; it is read as it comes, however large it is."""

    type: Literal["none"] = "none"
    """Which kind of pagination this is."""


Pagination = Annotated[
    Annotated[Page | Offset | Cursor | NextLink | LinkHeader | NoPages, Field(discriminator="type")],
    BeforeValidator(_paginated),
]
