"""What an engine says of an error, without the values of rows.

DuckDB and PostgreSQL quote what they choke on: ``invalid input syntax for type integer: "anna@example.org"``. Where an
error becomes text, it goes through :func:`error_text`, so that no value reaches a screen, the ledger, a log, lineage, a
report or an alert. Names of tables, columns and types stay, and so do the engine's own words: all others are masked,
quoted or not, since a value may hold quotes and line breaks itself. An error about the statement, such as a column that
is missing, keeps its words but for the literals.
"""

from __future__ import annotations

import re

from penstock.engine_words import TYPES, WORDS
from penstock.errors import MASK, PenstockError

RAISED = "a function or a trigger of the database raised an exception; its words may hold values, and are not shown"
_VALUE_CLASSES = ("22", "23", "44", "P0", "XX")
"""SQLSTATE classes whose messages quote values."""
_STATEMENT_KINDS = (
    "Binder",
    "Catalog",
    "Parser",
    "Syntax",
    "Permission",
    "Not implemented",
    "Dependency",
    "Out of Memory",
    "Transaction",
    "Connection",
    "Interrupt",
    "INTERRUPT",
    "HTTP",
    "Missing Extension",
    "Settings",
)
"""DuckDB's errors about statements."""

_KIND = re.compile(r"(?P<kind>[A-Za-z][A-Za-z ]{1,40}) Error: ")
_EXCERPT = re.compile(r"\n+LINE \d+: (?P<line>[^\n]*)\n[ \t]*\^[ ^~]*\s*\Z")
_CAST = re.compile(r"(?: to [A-Z][A-Z0-9_]*(?:\(\d+,\d+\))?(?:\[\])?)?(?: when casting from source column \w+)?\Z")
"""How DuckDB ends what it says of a cast."""
_KEY = re.compile(
    r"(?P<head>(?:duplicate key value|insert or update on table|update or delete on table|conflicting key value)[^\n]*"
    r"\s+DETAIL:\s+Key \([^\n]*?\)=\()(?s:.*?)"
    r"(?P<rest>\) (?:already exists|is not present in table \"[^\"\n]+\""
    r"|is still referenced from table \"[^\"\n]+\")\.)?\s*\Z"
)
_DUPLICATE = re.compile(r"(?P<head>(?:Duplicate|Violates foreign key constraint because) key \"\w+: )(?s:.*)\"")
_CHECK = re.compile(r"CHECK constraint failed on table \"[^\"\n]+\" with expression (?=CHECK\()")
_INNER = re.compile(r"\"exception_message\":\"(?P<text>(?:[^\"\\]|\\.)*)\"")
"""What happened to a file, inside of what a thread that wrote it says."""
_QUOTED = re.compile(r"(?s:(['\"]).*\1)")
_COLUMNS = re.compile(r"CSV parse error: (?:Row #\d+: )?Expected \d+ columns, got \d+")
_LONG_NUMBER = re.compile(r"\d{5,}")
_LITERAL = re.compile(r"'(?P<text>[^']*)'?")
_HARMLESS_LITERAL = re.compile(r"[\w.]*\([\w\s,\[\]().]*\)|[A-Z][A-Z0-9_ ]*|[\w./-]+\.(?:duckdb|db|sql|yml)")
_TOKEN = re.compile(r"\s+|\w+'(?:t|s)\b|\"[^\"]*\"|'[^']*'|[\"']|[^\s\"']+")
_NAME = re.compile(r"[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*")
_NOUNS = re.compile(
    "column|relation|table|view|index|constraint|schema|function|procedure|type|role|user|database|sequence|operator"
    "|extension|parameter|domain|trigger|rule|language|collation|attribute|partition|policy|enum"
)
"""After these stands a name."""
_EDGES = "()[]{}.,;:!?"
_SIGNS = frozenset("()[]{}.,;:!?-=<>*^")
_DIGITS = frozenset("0123456789,")
_NOT_NULL = re.compile(r"NOT NULL constraint failed: (?:\w+\.)*\w+\Z")
_NEAR = re.compile(r"at or near (?:\"[^\"\w]*(?:[A-Za-z_][\w.]*)?[^\"\w]*\"\Z)")
_MASKS = re.compile(rf"{re.escape(MASK)}(?:[^\w\n]*{re.escape(MASK)})+")


def error_text(error: BaseException) -> str:
    """What an error says, fit to be shown and kept: an engine's without the values of rows, our own as it is."""
    if isinstance(error, PenstockError):
        return str(error)
    text = str(error) or type(error).__name__
    library = type(error).__module__.partition(".")[0]
    if library in ("psycopg", "psycopg2", "adbc_driver_manager"):
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
        # what has no SQLSTATE is about the connection, or is a driver's own refusal of a value
        away = not state.strip("\0") and type(error).__name__ in ("OperationalError", "InterfaceError")
        return _statement_text(text) if away else postgres_text(text, state)
    if isinstance(error, UnicodeDecodeError):
        # DuckDB may cut its excerpt of a statement inside of a character; the message is then what cannot be read
        message = error.object.decode("utf-8", "replace")
        return duckdb_text(message) if _KIND.match(message) else text
    if library in ("duckdb", "_duckdb"):
        return duckdb_text(text)
    if library in ("pyspark", "py4j"):
        return _spark_text(error, text)
    if match := _COLUMNS.match(text):
        return f"{match[0]}: {MASK}"
    # Arrow and Python quote what they could not take, and give numbers as they are
    quoting = library == "pyarrow" or isinstance(error, ValueError | LookupError)
    return _LONG_NUMBER.sub(MASK, _QUOTED.sub(MASK, text)) if quoting else text


def shown_error(error: BaseException) -> BaseException:
    """The error itself, or where it or what it came from quotes values one that stands for it in a traceback."""
    chain: BaseException | None = error
    while chain is not None:
        if error_text(chain) != (str(chain) or type(chain).__name__):
            stand_in = type(type(error).__name__, (Exception,), {"__module__": type(error).__module__})
            shown: BaseException = stand_in(error_text(error))
            return shown.with_traceback(error.__traceback__)
        chain = chain.__cause__ or chain.__context__
    return error


def postgres_text(text: str, state: str) -> str:
    """PostgreSQL's message, with whatever follows it, by its SQLSTATE."""
    if state == "P0001":
        return RAISED
    return without_values(text) if not state or state[:2] in _VALUE_CLASSES else _statement_text(text)


def duckdb_text(text: str) -> str:
    """DuckDB's message, by the kind that it begins with."""
    match = _KIND.match(text)
    if match is None:
        return _masked(text, names=False)
    head, kind = match[0], match["kind"]
    if kind in _STATEMENT_KINDS:
        return _statement_text(text)
    text, tail = _EXCERPT.sub("", text[match.end() :]), ""
    if kind == "Constraint":
        return f"{head}{_constraint_text(text)}"
    if kind == "IO" and (inner := _INNER.search(text)):
        text = re.sub(r"\\(.)", r"\1", inner["text"])
    if kind == "Conversion" and (cast := _CAST.search(text)):
        text, tail = text[: cast.start()], cast[0]
    # any of these may begin with a value, which may read like a name
    return f"{head}{_masked(text, names=False)}{tail}"


def _constraint_text(text: str) -> str:
    """What DuckDB says of a constraint, with the names where it puts them in front of any value."""
    if _NOT_NULL.fullmatch(text):
        return text
    if match := _DUPLICATE.match(text):
        return f'{match["head"]}{MASK}"{_masked(text[match.end() :], names=False)}'
    if match := _CHECK.match(text):
        return f"{match[0]}{MASK}"
    return _masked(text, names=False)


def without_values(text: str) -> str:
    """The words that are PostgreSQL's own, and the names that stand before the first value. All else is masked."""
    text = _EXCERPT.sub("", text)
    if match := _KEY.match(text):
        return f"{match['head']}{MASK}{match['rest'] or ''}"
    # a detail may begin with a value: Failing row contains (...
    summary, detail, rest = text.partition("\nDETAIL:")
    return _MASKS.sub(MASK, f"{_masked(summary)}{detail}{_masked(rest, names=False)}")


def _spark_text(error: BaseException, text: str) -> str:
    """Spark's class of the error, and its message without the calls of Java that led there."""
    condition = getattr(error, "getErrorClass", lambda: None)()
    words = re.split(r"\n\s*at |\n+JVM stacktrace|\n== ", text)[0]
    head = f"[{condition}] " if condition else ""
    return head + _masked(words.removeprefix(head), names=False)


def _masked(text: str, *, names: bool = True) -> str:
    """The words that are an engine's own; with ``names`` also those that stand before the first value."""
    kept: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        shown = token if token.isspace() else _shown(token, before, names=names)
        names = names and MASK not in shown
        kept.append(shown)
        if not token.isspace():
            before = token.strip(_EDGES).lower()
    return _MASKS.sub(MASK, "".join(kept))


def _shown(token: str, before: str, *, names: bool) -> str:
    """A token, or a mask in its place. ``names`` says that no value has come yet, so that names may."""
    if token[0] in "\"'" and len(token) > 1:
        named = names and _NOUNS.fullmatch(before) and len(token) <= 130 and "\n" not in token
        return token if named else MASK
    if set(token) <= _SIGNS:
        return token
    head = token[: len(token) - len(token.lstrip(_EDGES))]
    inner = token.strip(_EDGES)
    end = token[len(head) + len(inner) :]
    lower = inner.lower()
    known = (
        lower in WORDS or lower in TYPES or (names and _NOUNS.fullmatch(before) and _NAME.fullmatch(inner) is not None)
    )
    if not known:
        # a type with its length or precision
        type_, _, length = inner.partition("(")
        known = bool(length) and set(length) <= _DIGITS and type_.lower() in TYPES
    return token if known else f"{head}{MASK}{end}"


def _statement_text(text: str) -> str:
    """What is wrong with a statement, without the literals in it."""
    excerpt = ""
    if match := _EXCERPT.search(text):
        text, excerpt = text[: match.start()], match[0]
        line = match["line"]
        if "'" in line or '"' in line or (line.startswith("...") and line.endswith("...")):
            excerpt = ""
    if " at or near " in text and not _NEAR.search(text.strip()):
        text = f"{text.partition(' at or near ')[0]} at or near {MASK}"
    return _LITERAL.sub(_literal, text) + excerpt


def _literal(match: re.Match[str]) -> str:
    return match[0] if _HARMLESS_LITERAL.fullmatch(match["text"]) else MASK
