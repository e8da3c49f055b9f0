"""The prompt of ``penstock shell``: completion, history, and SQL over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory

from penstock.cli.entries import OWN_WORDS, STATEMENTS
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.cli.entries import Shell
    from penstock.project import Project

_MORE_SQL = re.findall(
    r"\w+",
    """
    and as asc between by case cast count desc distinct else end exists false group having in inner is join left
    like limit not null offset on or order over partition sum then true union using when where
    """,
)


def typed(project: Project, shell: Shell) -> Iterator[str]:
    """What is typed, until Ctrl-D. Ctrl-C takes back what is being typed."""
    folder = project.directory / ".penstock"
    folder.mkdir(exist_ok=True)
    completer = ShellCompleter(shell, list(project.streams), Names(project))
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(folder / "history")),
        completer=completer,
        complete_while_typing=False,
        multiline=Condition(lambda: shell.needs_more(get_app().current_buffer.text)),
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
        # who presses a key is not to wait for it
        self._settings = project.destination.model_copy(update={"lock_timeout_seconds": 0})
        self._known: Sequence[str] | None = None

    def __call__(self) -> Sequence[str]:
        """``schema.table``, and columns."""
        if self._known is None:
            try:
                self._known = self._read() if self._settings.may_exist else ()
            except PenstockError:
                self._known = ()
        return self._known

    def forget(self) -> None:
        """They may have changed."""
        self._known = None

    def _read(self) -> Sequence[str]:
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

    def __init__(self, shell: Shell, streams: Sequence[str], names: Names) -> None:
        self.names = names
        self._shell = shell
        self._streams = streams
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What the last word may become."""
        before = document.text_before_cursor
        words = before.split()
        word = words.pop() if words and not before[-1].isspace() else ""
        commands = self._shell.commands
        if not words:
            yield from _matching(word, [*commands, *OWN_WORDS, *STATEMENTS])
        elif words[0] == "help":
            yield from _matching(word, commands)
        elif words[0] not in commands or self._shell.is_sql(before):
            yield from self._sql(re.split(r"[^\w.]", before)[-1])
        else:
            yield from self._arguments(words, word)
            if words[0] in ("publish", "watch"):
                yield from self._paths.get_completions(Document(word), complete_event)

    def _sql(self, word: str) -> Iterator[Completion]:
        names = self.names()
        yield from _matching(word, [*names, *STATEMENTS, *_MORE_SQL])
        table, dot, column = word.rpartition(".")
        if dot and not any(name.startswith(f"{table}.") for name in names):  # an alias: any column
            yield from _matching(column, [name for name in names if "." not in name])

    def _arguments(self, words: Sequence[str], word: str) -> Iterator[Completion]:
        command = self._shell.commands[words[0]]
        within = getattr(command, "commands", {})
        if within and len(words) == 1:
            return _matching(word, within)
        command = within.get(words[1], command) if len(words) > 1 else command
        if word.startswith("-"):
            return _matching(word, [o for p in command.params for o in p.opts if o.startswith("--")])
        return _matching(word, [*self._streams, *(STATEMENTS if words[0] == "explain" else ())])


def _matching(word: str, choices: Iterable[str]) -> Iterator[Completion]:
    for choice in dict.fromkeys(choices):
        if choice.lower().startswith(word.lower()):
            yield Completion(choice, start_position=-len(word))
