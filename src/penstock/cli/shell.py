"""``shell``: one prompt for commands and SQL."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from penstock.cli.command import Call, command
from penstock.cli.locked import explained
from penstock.cli.words import OWN_WORDS, SQL_WORDS
from penstock.errors import PenstockError, UsageError

if TYPE_CHECKING:
    from penstock.project import Project

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*(?:\n|$)|/\*.*?\*/|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_WORDS = re.compile(r"\s*(\w*)\s*(\w*)")


@command("penstock shell --target production")
def shell(call: Call, context: typer.Context) -> None:
    """One prompt for this project: commands as on the command line, and SQL, which ends with a semicolon."""
    project = call.open()
    prompt = Shell(project, context.find_root().command)
    if sys.stdin.isatty():
        from penstock.cli.prompt import entries

        print(f"project {project.name}, destination {project.target}; help, or SQL that ends with ;")
        prompt.run(entries(project, prompt.commands, prompt.needs_more))
        return
    code = prompt.run(script(iter(sys.stdin), prompt.needs_more))
    if code:
        raise typer.Exit(code)


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
        return self._is_sql(entry) and not ends(entry)

    def _is_sql(self, entry: str) -> bool:
        """A word that is both begins a command, but for ``explain`` before a statement."""
        word, second = _first_words(entry)
        if word in self.commands or word in OWN_WORDS:
            return word == "explain" and second in SQL_WORDS and second not in self.commands
        return word in SQL_WORDS or entry.lstrip().startswith(("(", "--", "/*"))

    def _perform(self, entry: str) -> int:
        """The exit code that the command line would give."""
        if not _QUOTED.sub(_kept, entry).strip(" \t\r\n;"):
            return 0
        try:
            if self._is_sql(entry):
                return self._call("query", options=("--", entry.strip().rstrip(";")))
            words = _words(entry)
            if words[0] == "help":
                return self._help(words[1:])
            if words[0] not in self.commands:
                near = difflib.get_close_matches(words[0], [*self.commands, *OWN_WORDS, *SQL_WORDS], n=1)
                raise UsageError(
                    f"no command {words[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""), fix="help lists them"
                )
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
        command = self.commands[words[0]]
        for word in words[1:2]:
            command = getattr(command, "commands", {}).get(word, command)
        has = {option for parameter in command.params for option in parameter.opts}
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
            raise UsageError(e.format_message(), fix=f"help {' '.join(words[:1])}") from None
        finally:
            sys.stdout.flush()
        return done if isinstance(done, int) else 0

    def _help(self, words: list[str]) -> int:
        if words:
            if words[0] not in self.commands:
                raise UsageError(f"no command {words[0]!r}", fix="help lists them")
            return self._call(*words[:2], "--help")
        for name, listed in self.commands.items():
            print(f"{name:12} {listed.get_short_help_str(100)}")
        print(f"{'help':12} this list; help COMMAND: its options\n{'quit':12} leave; so does Ctrl-D")
        print("Anything else is SQL, over as many lines as it takes, up to a semicolon.")
        return 0


def script(lines: Iterator[str], needs_more: Any) -> Iterator[str]:
    """Entries of a text that is not typed: a command a line, SQL up to its semicolon."""
    entry = ""
    for line in lines:
        entry += line
        if not needs_more(entry):
            yield entry
            entry = ""
    if entry:
        yield entry


def ends(entry: str) -> bool:
    """Whether a semicolon ends it, one that is not within quotes or a comment."""
    rest = _QUOTED.sub(_kept, entry).rstrip()
    return rest.endswith(";") and not re.search(r"['\"]|/\*", rest)


def _kept(found: re.Match[str]) -> str:
    return "_" if found[0][0] in "'\"$" else " "


def _first_words(entry: str) -> tuple[str, str]:
    found = _WORDS.match(_QUOTED.sub(_kept, entry))
    return (found[1].lower(), found[2].lower()) if found else ("", "")


def _words(entry: str) -> list[str]:
    try:
        return shlex.split(entry.strip().rstrip(";"))
    except ValueError as e:
        raise UsageError(f"{e}: {entry.strip()}", fix="close the quotes") from None
