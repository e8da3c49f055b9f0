"""How one page leads to the next. A paginator is told of pages and says what to ask for; it fetches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.sources.http.counted_pages import ByNumber, ByOffset
from penstock.sources.http.named_pages import ByCursor, ByLink, ByLinkHeader, Single
from penstock.sources.http.pages import Paginator

if TYPE_CHECKING:
    from penstock.project import pagination as settings
    from penstock.sources.http.signs import Signs


def paginator(pagination: settings.Pagination, signs: Signs) -> Paginator:
    """The paginator of the settings, for one list."""
    kinds: dict[str, Any] = {
        "page": ByNumber,
        "offset": ByOffset,
        "cursor": ByCursor,
        "next_link": ByLink,
        "link_header": ByLinkHeader,
        "none": Single,
    }
    paginator: Paginator = kinds[pagination.type](pagination, signs)
    return paginator
