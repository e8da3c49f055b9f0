"""The prompt of ``penstock shell``: completion, history, and SQL over several lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory

from penstock.cli.words import OWN_WORDS, SQL_WORDS
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.project import Project

_MORE_SQL_WORDS = [
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "count",
    "desc",
    "distinct",
    "else",
    "end",
    "exists",
    "false",
    "group",
    "having",
    "in",
    "inner",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "partition",
    "sum",
    "then",
    "true",
    "union",
    "using",
    "when",
    "where",
]
_LAST_WORD = re.compile(r"[\w.$-]*$")
_LAST_NAME = re.compile(r"[\w.]*$")


def entries(project: Project, commands: Mapping[str, Any], needs_more: Callable[[str], bool]) -> Iterator[str]:
    """What is typed, until Ctrl-D. Ctrl-C takes back what is being typed."""
    completer = ShellCompleter(commands, list(project.streams), Names(project))
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history_file(project))),
        completer=completer,
        complete_while_typing=False,
        multiline=Condition(lambda: needs_more(get_app().current_buffer.text)),
        prompt_continuation=lambda width, *_: "> ".rjust(width),
    )
    while True:
        try:
            entry = session.prompt(f"{project.name}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        yield entry
        completer.names.forget()


class Names:
    """The tables and columns of the destination, asked for when first needed. None while somebody else has it."""

    def __init__(self, project: Project) -> None:
        self._settings = project.destination
        self._known: Sequence[str] | None = None

    def __call__(self) -> Sequence[str]:
        """``schema.table``, and columns."""
        if self._known is None:
            try:
                self._known = self._asked()
            except PenstockError:
                self._known = ()
        return self._known

    def forget(self) -> None:
        """They may have changed."""
        self._known = None

    def _asked(self) -> Sequence[str]:
        from penstock.destinations import open_destination
        from penstock.destinations.kinds import kind_of

        if not self._settings.may_exist:
            return ()
        destination = open_destination(kind_of(self._settings).unwaiting(self._settings))
        try:
            rows = destination.query(
                "select table_schema, table_name, column_name from information_schema.columns"
                " where table_schema not in ('information_schema', 'pg_catalog')"
            ).rows
        finally:
            destination.close()
        return sorted({name for schema, table, column in rows for name in (f"{schema}.{table}", column)})


class ShellCompleter(Completer):
    """Commands, their options, streams and files; in SQL its words, tables and columns."""

    def __init__(self, commands: Mapping[str, Any], streams: Sequence[str], names: Names) -> None:
        self.names = names
        self._commands = commands
        self._streams = streams
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What the last word may become."""
        before = document.text_before_cursor
        words = before.split()
        if not words or (len(words) == 1 and not before[-1].isspace()):
            return _matching(before.lstrip(), [*self._commands, *OWN_WORDS, *SQL_WORDS])
        first = words[0].lower()
        if first == "help":
            return _matching(_last(_LAST_WORD, before), self._commands)
        if first not in self._commands or (first in SQL_WORDS and len(words) > 1 and words[1].lower() in SQL_WORDS):
            return self._sql(_last(_LAST_NAME, before))
        return self._arguments(first, words, before, complete_event)

    def _sql(self, word: str) -> Iterable[Completion]:
        names = self.names()
        yield from _matching(word, [*names, *SQL_WORDS, *_MORE_SQL_WORDS])
        table, dot, column = word.rpartition(".")
        if dot and not any(name.startswith(f"{table}.") for name in names):
            # an alias: any column
            yield from _matching(column, [name for name in names if "." not in name])

    def _arguments(self, first: str, words: list[str], before: str, event: CompleteEvent) -> Iterable[Completion]:
        command = self._commands[first]
        inner = getattr(command, "commands", {})
        word = _last(_LAST_WORD, before)
        typed = words if before[-1].isspace() else words[:-1]
        if inner and len(typed) == 1:
            yield from _matching(word, inner)
            return
        command = inner.get(words[1], command) if len(words) > 1 else command
        if word.startswith("-"):
            yield from _matching(word, [o for p in command.params for o in p.opts if o.startswith("--")])
            return
        yield from _matching(word, [*self._streams, *(SQL_WORDS if first == "explain" else ())])
        if first in ("publish", "watch"):
            path = "" if typed is words else words[-1]
            yield from self._paths.get_completions(Document(path), event)


def _matching(word: str, choices: Iterable[str]) -> Iterable[Completion]:
    lowered = word.lower()
    for choice in dict.fromkeys(choices):
        if choice.lower().startswith(lowered):
            yield Completion(choice, start_position=-len(word))


def _last(pattern: re.Pattern[str], before: str) -> str:
    found = pattern.search(before)
    return found[0] if found else ""


def history_file(project: Project) -> Path:
    """Where what was typed is kept."""
    folder = project.directory / ".penstock"
    folder.mkdir(exist_ok=True)
    return folder / "history"
