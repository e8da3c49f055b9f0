"""``--json``: standard output is one JSON document, however the command ends and whatever is printed on the way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

_HELP = ("--help", "-h", "--version")
_output: TextIO | None = None
"""Where the document goes; None when the command was not asked for one, or has printed it."""
_wanted = False


def is_wanted(words: Sequence[str]) -> bool:
    """Whether a call with these words asks for JSON."""
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options and not any(word in options for word in _HELP)


@contextmanager
def alone(wanted: bool) -> Iterator[None]:
    """Keep standard output for the document: what else is printed during the block goes to standard error."""
    global _output, _wanted
    if not wanted:
        yield
        return
    output = sys.stdout
    _output, _wanted = output, True
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = output
        _output, _wanted = None, False


def print_document(text: str) -> None:
    """Print the document; on standard output too where a function is called without a command."""
    global _output
    # the name of a file that is not UTF-8 has halves of surrogate pairs, which JSON can escape and UTF-8 not write
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if not _wanted:
        print(text)
        return
    assert _output is not None, "a second document"
    output, _output = _output, None
    print(text, file=output, flush=True)


def print_failure(error: dict[str, Any], exit_code: int) -> None:
    """Print what the command failed of, if it was asked for a document and has printed none."""
    if _output is not None:
        print_document(json.dumps({"error": error, "exit_code": exit_code}, ensure_ascii=False, indent=2))
