"""What is entered at the prompt of ``penstock shell``, or in a script for it: commands, and SQL."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.cli.locked import explained
from penstock.errors import PenstockError, UsageError

if TYPE_CHECKING:
    from penstock.project import Project

STATEMENTS = re.findall(
    r"\w+",
    """
    select with from insert update delete merge create drop alter truncate show describe explain values table copy
    set reset begin commit rollback vacuum analyze pragma attach detach summarize call grant revoke pivot unpivot
    install load use checkpoint
    """,
)
"""How statements begin, in DuckDB and PostgreSQL."""
OWN_WORDS = ("help", "quit", "exit")

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*(?:\n|$)|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)


class Shell:
    """Performs entries: a command of ``penstock``, or SQL. An error is printed, and ends nothing."""

    def __init__(self, project: Project, root: Any) -> None:
        self.commands: Mapping[str, Any] = {name: c for name, c in root.commands.items() if name != "shell"}
        self._root = root
        self._project = project

    def run(self, given: Iterator[str]) -> int:
        """Perform each entry until there is none, or ``quit``; the exit code of the first that failed, or 0."""
        failed = 0
        for entry in given:
            if entry.strip().rstrip(";").strip().lower() in ("quit", "exit"):
                break
            code = self._perform(entry)
            failed = failed or code
        return failed

    def needs_more(self, entry: str) -> bool:
        """Whether it is SQL whose end is yet to come."""
        return self.is_sql(entry) and not ends(entry)

    def is_sql(self, entry: str) -> bool:
        """Whether it begins as a statement, perhaps with a comment or a parenthesis. A word that is both begins a
        command, but for ``explain`` before a statement."""
        first, second, *_ = [*re.findall(r"\w+", _bare(entry).lower()), "", ""]
        if first in self.commands:
            return first == "explain" and second in STATEMENTS and second not in self.commands
        return first in STATEMENTS if first else bool(entry.strip())

    def _perform(self, entry: str) -> int:
        """The exit code that the command line would give."""
        if not _bare(entry).strip(" \t\r\n;"):
            return 0
        try:
            if self.is_sql(entry):
                return self._call("query", options=("--", entry.strip().rstrip(";")))
            words = _words(entry)
            if words[0] == "help":
                return self._help(words[1:])
            if words in (["quarantine"], ["runs"]):
                words.append("list")
            return self._call(*words)
        except PenstockError as e:
            sys.stdout.flush()
            print(f"error: {explained(e)}", file=sys.stderr, flush=True)
            return e.exit_code
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr, flush=True)
            return 130

    def _call(self, *words: str, options: tuple[str, ...] = ()) -> int:
        """A command, on this project and destination."""
        called = self._command(words[0])
        for word in words[1:2]:
            called = getattr(called, "commands", {}).get(word, called)
        has = {option for parameter in called.params for option in parameter.opts}
        arguments = list(words)
        for option, value in (("--project-dir", str(self._project.directory)), ("--target", self._project.target)):
            if option in has and not any(w.partition("=")[0] == option for w in words):
                arguments += [option, value]
        try:
            done = self._root.main(args=[*arguments, *options], prog_name="penstock", standalone_mode=False)
        except SystemExit as e:
            return e.code if isinstance(e.code, int) else 1
        except Exception as e:
            if not hasattr(e, "format_message"):  # what the command line's parser says
                raise
            raise UsageError(e.format_message(), fix=f"help {words[0]}") from None
        finally:
            sys.stdout.flush()
        return done if isinstance(done, int) else 0

    def _command(self, word: str) -> Any:
        if word not in self.commands:
            near = difflib.get_close_matches(word, [*self.commands, *OWN_WORDS, *STATEMENTS], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"no command {word!r}{hint}", fix="help lists them")
        return self.commands[word]

    def _help(self, words: list[str]) -> int:
        if words:
            return self._call(*words[:2], "--help")
        for name, listed in self.commands.items():
            print(f"{name:12} {listed.get_short_help_str(100)}")
        print(f"{'help':12} this list; help COMMAND: its options\n{'quit':12} leave; so does Ctrl-D")
        print("Anything else is SQL, over as many lines as it takes, up to a semicolon.")
        return 0


def script(lines: Iterator[str], shell: Shell) -> Iterator[str]:
    """Entries of a text that is not typed: a command a line, SQL up to its semicolon."""
    entry = ""
    for line in lines:
        entry += line
        if not shell.needs_more(entry):
            yield entry
            entry = ""
    if entry:
        yield entry


def ends(entry: str) -> bool:
    """Whether a semicolon ends it, one that is not within quotes or a comment."""
    rest = _bare(entry).rstrip()
    return rest.endswith(";") and not re.search(r"['\"]|/\*", rest)


def _bare(entry: str) -> str:
    """An entry without its comments, and ``_`` for what is quoted."""
    return _QUOTED.sub(lambda match: "_" if match[0][0] in "'\"$" else " ", entry)


def _words(entry: str) -> list[str]:
    try:
        return shlex.split(entry.strip().rstrip(";"))
    except ValueError as e:
        raise UsageError(f"{e}: {entry.strip()}", fix="close the quotes") from None
