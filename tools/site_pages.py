"""Hooks of MkDocs: pages that lie elsewhere in the tree join the site, links lead to them, and pictures are inlined.

A page keeps links that work where its source is read, such as ``../examples``. What the site does not have, a folder or
a script, is shown as text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs"
ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/car_subscriptions/README.md": "examples/car_subscriptions.md",
    "examples/random_users/README.md": "examples/random_users.md",
    "examples/user_events/README.md": "examples/user_events.md",
    "benchmarks/RESULTS.md": "benchmarks/results.md",
    "benchmarks/RESULTS-queue.md": "benchmarks/results-queue.md",
    "benchmarks/RESULTS-http.md": "benchmarks/results-http.md",
    "benchmarks/RESULTS-sizes.md": "benchmarks/results-sizes.md",
    "benchmarks/RESULTS-soak.md": "benchmarks/results-soak.md",
    "benchmarks/RESULTS-spark.md": "benchmarks/results-spark.md",
}
"""Path in the tree → page of the site."""

_SOURCES = {page: path for path, page in ELSEWHERE.items()}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
_PICTURE = re.compile(r'<p><img alt="[^"]*" src="[./]*assets/(?P<name>[\w-]+\.svg)" ?/?></p>')
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Take in the pages from elsewhere."""
    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links between places in the tree into links between pages of the site."""
    uri = page.file.src_uri
    source = _SOURCES.get(uri, f"{DOCS}/{uri}")
    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(lambda found: _link(found, source, uri), part) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Put pictures of our own into the page, so that they take its colours, light or dark."""
    return _PICTURE.sub(_figure, html)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Name the dialog of the search, which the theme leaves without a name."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def _figure(found: re.Match[str]) -> str:
    svg = (ROOT / DOCS / "assets" / found["name"]).read_text(encoding="utf-8")
    return f'<div class="figure" tabindex="0">{svg}</div>'


def _link(found: re.Match[str], source: str, uri: str) -> str:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found["path"]))
    if path in ELSEWHERE:
        target = ELSEWHERE[path]
    elif path.startswith(f"{DOCS}/"):
        target = path.removeprefix(f"{DOCS}/")
    elif (ROOT / path).exists():
        return found["text"]
    else:
        return found[0]
    return f"[{found['text']}]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{found['anchor'] or ''})"
