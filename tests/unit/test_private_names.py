"""Private names of other packages: ours to look after, since nobody promises that they stay."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika import BlockingConnection, SelectConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils import io_services_utils
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

ROOT = Path(__file__).parents[2]
_TRANSPORT = ("_MAX_RECV_BYTES", "_nbio", "_on_socket_readable", "_sigint_safe_recv", "_sock")
USED: dict[type, tuple[str, ...]] = {
    BlockingConnection: ("_impl",),
    BlockingChannel: ("_closing_reason", "_flush_output", "_impl"),
    SelectConnection: (
        "_adapter_call_later",
        "_adapter_remove_timeout",
        "_frame_buffer",
        "_on_data_available",
        "_output_marshaled_frames",
        "_terminate_stream",
        "_transport",
    ),
    io_services_utils._AsyncPlaintextTransport: _TRANSPORT,
    io_services_utils._AsyncSSLTransport: _TRANSPORT,
}
"""Class of pika's → its private names that the package uses."""


def source_of(kind: type) -> str:
    """The text of a class of pika's, with that of those it extends."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("pika.")]
    return "\n".join(textwrap.dedent(inspect.getsource(base)) for base in bases)


def attributes(kind: type) -> set[str]:
    """The names that objects of a class have: of the class, and what its methods set."""
    return set(dir(kind)) | {
        node.attr
        for node in ast.walk(ast.parse(source_of(kind)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }


def foreign(tree: ast.Module) -> Iterator[str]:
    """Private names that a module takes from other objects than its own, or from the class that its own extends."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr) and ast.unparse(node.value) != "self":
            if ast.unparse(node.value) not in ("super()", "os"):
                yield node.attr
        elif isinstance(node, ast.ClassDef) and node.name == "BulkConnection":
            inner = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"]
            own = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
            yield from ({n.attr for n in inner if n.attr.startswith("_")} - own)


@pytest.mark.parametrize("kind", USED, ids=lambda kind: kind.__name__)
def test_private_names_of_pika(kind: type) -> None:
    """Each that is used is there in the installed version."""
    assert set(USED[kind]) - attributes(kind) == set()


def test_pika_takes_a_class_of_connections() -> None:
    """The one parameter that is private too."""
    assert "_impl_class" in inspect.signature(BlockingConnection).parameters


def test_pika_asks_its_own_object_for_bytes() -> None:
    """A paused connection has another ``_sigint_safe_recv``, which only holds while it is looked up on the object."""
    for kind in (io_services_utils._AsyncPlaintextTransport, io_services_utils._AsyncSSLTransport):
        assert "self._sigint_safe_recv(self._sock, self._MAX_RECV_BYTES)" in source_of(kind)


def test_private_names_are_listed() -> None:
    """No module that uses pika takes a private name that is not in the list above, and none is listed in vain."""
    listed = {name for names in USED.values() for name in names} - {"_on_data_available"}
    taken: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))}
        if any(re.search(r"\bpika\b|rabbitmq\.amqp import", text) for text in imported):
            taken |= set(foreign(tree))
    assert taken == listed


def test_private_names_of_watchfiles(tmp_path: Path) -> None:
    """A watcher takes what it is given by position, and answers when nothing happened."""
    with RustNotify([str(tmp_path)], False, True, 10, True, True) as notify:
        assert notify.watch(1, 1, 1, None) == "timeout"
    assert issubclass(WatchfilesRustInternalError, RuntimeError)


def test_packages_with_private_names_have_an_upper_bound() -> None:
    """A later version is tried by us before anybody gets it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    required = {re.split(r"[\[><=]", line)[0]: line for line in lines}
    assert all("<" in required[name] for name in ("pika", "watchfiles"))
