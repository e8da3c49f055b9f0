"""Which lists a pass goes through: the endpoint's own, or one for each parent, whose parents may have parents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from penstock.sources.http.fetched import Fetched, Walk
from penstock.sources.http.fetching import Fetcher
from penstock.sources.http.parents import Parent, Parents, placed
from penstock.sources.http.passes import Pass, filled

if TYPE_CHECKING:
    from penstock.project.http import Endpoint, Http

State = Mapping[str, Any]


class Walks:
    """Makes the walks of one endpoint.

    Args:
        fetcher: makes what fetches the pages of a parents' endpoint.
        parameters: what a pass adds to the endpoint's own parameters.
        where: names the endpoint in errors and warnings.
    """

    def __init__(
        self,
        settings: Http,
        name: str,
        fetcher: Callable[[Endpoint], Fetcher],
        parameters: Callable[[Pass], dict[str, Any]],
        *,
        where: str,
    ) -> None:
        self._settings = settings
        self._name = name
        self._fetcher = fetcher
        self._parameters = parameters
        self._where = where
        self._fetchers: dict[str, Fetcher] = {}
        self._parents: dict[str, Parents] = {}

    def warnings(self) -> list[str]:
        """What looked like a mistake in the parents that were read."""
        signs = [w for name, f in self._fetchers.items() for w in f.signs.warnings(f"{self._where}, parent {name}")]
        return [*signs, *(w for parents in self._parents.values() for w in parents.warnings())]

    async def of(self, passes: Sequence[Pass]) -> AsyncGenerator[Walk]:
        """The walks of all passes in order, each pass with its end behind them."""
        for one in passes:
            async with aclosing(self._lists(self._name, one, one.next, one.parent, resumed=one.resumed)) as walks:
                async for walk in walks:
                    yield walk
            yield Walk(key=one.key, finishes=True)

    async def _lists(
        self, name: str, one: Pass, state: State | None, before: State | None, *, resumed: bool
    ) -> AsyncGenerator[Walk]:
        """The walks of an endpoint, from where the last load stopped: page ``state`` of the list of ``before``."""
        endpoint = self._settings.endpoint(name)
        if endpoint.parent is None:
            yield self._walk(name, endpoint, one, state=state or {}, resumed=resumed)
            return
        parents = self._parents.setdefault(name, Parents(self._settings, name, where=self._where))
        of = endpoint.parent.endpoint
        if of not in self._fetchers:
            self._fetchers[of] = self._fetcher(self._settings.endpoint(of))
        page_before = None if before is None else before["page"]
        lists = self._lists(of, one, page_before, (before or {}).get("parent"), resumed=before is not None)
        async with aclosing(lists) as walks:
            async for walk in walks:
                if walk.failure is not None:
                    yield walk
                    continue
                # a parent that is gone leaves its list: the one that comes in its place begins anew
                there = before if walk.resumed else None
                before = None
                async with aclosing(self._children(name, endpoint, one, state, there, walk, parents)) as children:
                    async for child in children:
                        yield child
        parents.check()

    async def _children(
        self,
        name: str,
        endpoint: Endpoint,
        one: Pass,
        state: State | None,
        before: State | None,
        walk: Walk,
        parents: Parents,
    ) -> AsyncGenerator[Walk]:
        """A walk for each parent of one list of them, page by page."""
        assert endpoint.parent is not None
        fetcher = self._fetchers[endpoint.parent.endpoint]
        async with aclosing(_whole_pages(fetcher, walk, parents)) as pages:
            async for page, all_of_them in pages:
                if page.failure is not None:
                    yield Walk(key=one.key, failure=page.failure)
                    continue
                again: list[str] | None = None
                if before is not None and page.at == before["page"]:
                    keys = [list(parent.keys) for parent in all_of_them]
                    if before["value"] in keys:
                        done = bool(before.get("done"))
                        all_of_them = all_of_them[keys.index(before["value"]) + done :]
                        again = None if done else before["value"]
                before = None
                for parent in all_of_them:
                    resumed = list(parent.keys) == again
                    yield self._walk(
                        name,
                        endpoint,
                        one,
                        keys={f"parent.{f}": k for f, k in zip(endpoint.parent.fields, parent.keys, strict=True)},
                        fields=parent.fields,
                        state=(state or {}) if resumed else {},
                        resumed=resumed and state is not None,
                        parent={"page": page.at, "value": list(parent.keys), **_nested(walk)},
                    )

    def _walk(
        self,
        name: str,
        endpoint: Endpoint,
        one: Pass,
        *,
        state: State,
        resumed: bool,
        keys: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        parent: Mapping[str, Any] | None = None,
    ) -> Walk:
        """The request for a list, for one parent where there are parents; its own endpoint gets the pass's
        parameters."""
        keys = keys or {}
        shown = self._parameters(one) if name == self._name else {}
        return Walk(
            key=one.key,
            path=str(filled(endpoint.path, placed(keys))),
            params={**{k: filled(v, keys) for k, v in endpoint.params.items()}, **shown},
            shown=shown,
            body=None if endpoint.body is None else filled(endpoint.body, keys),
            state=state,
            parent=parent,
            fields=fields or {},
            resumed=resumed,
            alone=parent is None and not one.windowed,
        )


async def _whole_pages(fetcher: Fetcher, walk: Walk, parents: Parents) -> AsyncGenerator[tuple[Fetched, list[Parent]]]:
    """The pages of a list of parents, with the parents on each, each once.

    An answer that comes in parts is read to its end first: it would keep its connection from its children's requests.
    """
    gathered: dict[Any, Parent] = {}
    async with aclosing(fetcher.pages(walk)) as pages:
        async for page in pages:
            for parent in parents.of(page):
                gathered.setdefault((parent.keys, *parent.fields.items()), parent)
            if page.whole or page.failure is not None:
                yield page, list(gathered.values())
                gathered = {}


def _nested(walk: Walk) -> dict[str, Any]:
    return {} if walk.parent is None else {"parent": walk.parent}
