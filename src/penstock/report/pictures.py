"""Vega-Lite to SVG that can stand in a page: no browser, no script, no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from penstock.errors import PenstockError
from penstock.extras import require

_SIZE = re.compile(r'^<svg[^>]*?width="([\d.]+)" height="([\d.]+)" viewBox="([^"]*)"[^>]*>')
_CLASSES = re.compile(r' (?:class|role|aria-roledescription|aria-label|aria-hidden|pointer-events)="[^"]*"')
_EMPTY = re.compile(r'<path(?: aria-hidden="true")? d="M0,0h0v0h0Z"/>|<path d="" display="none"/>|<g></g>')
_PATH = re.compile(r' d="[^"]*"')
_LONG = re.compile(r"(\d+\.\d)\d+")
_ID = re.compile(r'id="([^"]+)"')


def check_renderer() -> None:
    """Say how to get the library that draws, where it is missing.

    Raises:
        MissingLibrary: it is not installed.
    """
    require("report")


class Painter:
    """Draws. Ids within the pictures it makes differ, so that many can stand in one page."""

    def __init__(self) -> None:
        check_renderer()
        self._ids: Iterator[int] = count(1)

    def svg(self, spec: dict[str, Any], *, label: str, kind: str) -> str:
        """The picture, of class ``kind``, ``label`` read out in its place.

        Raises:
            PenstockError: it cannot be drawn.
        """
        import vl_convert

        try:
            drawn: str = vl_convert.vegalite_to_svg(spec, vl_version="6.4", allowed_base_urls=[])
        except ValueError as e:
            raise PenstockError(f"the chart cannot be drawn: {str(e).strip().splitlines()[0]}") from None
        return self._embedded(drawn, label, kind)

    def _embedded(self, drawn: str, label: str, kind: str) -> str:
        from html import escape

        head = _SIZE.match(drawn)
        if head is None:
            raise PenstockError("the chart cannot be drawn: no SVG came of it")
        body = _EMPTY.sub("", _CLASSES.sub("", drawn[head.end() :]))
        body = _PATH.sub(lambda m: _LONG.sub(r"\1", m[0]), body)
        for old in dict.fromkeys(_ID.findall(body)):
            new = f"p{next(self._ids)}"
            body = body.replace(f'id="{old}"', f'id="{new}"').replace(f"url(#{old})", f"url(#{new})")
            body = body.replace(f'href="#{old}"', f'href="#{new}"')
        style = f"max-width:{float(head[1]):.0f}px"
        return f'<svg class="{kind}" role="img" aria-label="{escape(label)}" viewBox="{head[3]}" style="{style}">{body}'
