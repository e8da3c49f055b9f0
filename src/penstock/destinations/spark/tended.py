"""The two kinds of tables that are looked after, raw ones and those of models: who else changes them, what must not go
yet, and how their rows are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)

from penstock.destinations.spark.catalogs import RAW
from penstock.destinations.spark.expiring import history, needed_by_loads, needed_by_models
from penstock.destinations.spark.take_back import stamp_of
from penstock.destinations.spark.writing import write_files, write_model_files

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from penstock.destinations.spark.known_models import KnownModels
    from penstock.errors import DestinationError
    from penstock.ports import Ledger

Wait = Callable[[float], object]
"""Waits so many seconds; true when nothing is waited for any longer."""

BUILDING = "transform"
"""The claim of whoever builds models."""
MOST_SECONDS = 600.0
"""How long a rewriting waits for models that are being built."""
_WRITTEN = (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    TruncateTransform,
    YearTransform,
)


class Warehouse(Protocol):
    """The destination that is looked after."""

    shown: str

    @property
    def ledger(self) -> Ledger:
        """The ledger of what lands there."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The catalog."""
        ...

    def refusal(self, error: Exception, *, rows: bool = False) -> DestinationError | None:
        """The drivers' errors as ours."""
        ...

    def transaction(self, streams: Sequence[str] = ()) -> AbstractContextManager[None]:
        """One transaction of the ledger, holding the locks of ``streams``."""
        ...

    def claim(self, name: str, wait: Wait) -> AbstractContextManager[bool]:
        """A claim in the ledger's database."""
        ...

    def is_known(self, stream: str, load_id: int) -> bool:
        """Whether the ledger has a load of a stream."""
        ...


class Tended(Protocol):
    """One table that is looked after."""

    name: tuple[str, ...]
    busy: str
    """Why files stayed as they are that others kept changing."""

    def load(self) -> Table:
        """The table as it is now."""
        ...

    def lock(self) -> AbstractContextManager[object]:
        """A transaction of the ledger in which snapshots may be expired."""
        ...

    def still(self) -> AbstractContextManager[bool]:
        """A transaction of the ledger in which nobody else lands into the table or builds it; false when it is not to
        be waited for any longer."""
        ...

    def unentered(self, table: Table) -> bool:
        """Whether a rewriting was cut off before the ledger knew it."""
        ...

    def left(self, table: Table) -> str:
        """Why its files are to stay as they are for now; empty when they are not."""
        ...

    def write(self, rows: pa.Table, table: Table) -> list[DataFile]:
        """Write rows of its files into others, which no snapshot names yet."""
        ...

    def rewritten(self, before: int, after: int) -> None:
        """Have the ledger know the snapshot of a rewriting, inside of :meth:`still`."""
        ...

    def needed(self, table: Table) -> set[int]:
        """The snapshots that must not expire."""
        ...


class RawTable:
    """The table of a stream, which landings write under the lock of the stream."""

    busy = "landings wrote the same files meanwhile: run it again"

    def __init__(self, warehouse: Warehouse, stream: str) -> None:
        self.name: tuple[str, ...] = (RAW, stream)
        self._warehouse = warehouse
        self._stream = stream

    def load(self) -> Table:
        """The table as it is now."""
        return self._warehouse.catalog.load_table(self.name)

    def lock(self) -> AbstractContextManager[object]:
        """The lock of the stream."""
        return self._warehouse.transaction([self._stream])

    @contextmanager
    def still(self) -> Iterator[bool]:
        """The lock of the stream."""
        with self.lock():
            yield True

    def unentered(self, table: Table) -> bool:
        """Never: there is nothing for the ledger to know."""
        del table
        return False

    def left(self, table: Table) -> str:
        """That the newest load that wrote to it is one that the ledger does not know: to be taken back."""
        loads = (load for snapshot in history(table) if (load := stamp_of(snapshot)) is not None)
        newest = next(loads, None)
        if newest is None or self._is_known(int(newest)):
            return ""
        return "its newest rows are of a load that never ended: the next load into it settles that"

    def write(self, rows: pa.Table, table: Table) -> list[DataFile]:
        """By days, in the order of identities, as loads do."""
        return write_files(rows, table.metadata, table.io)

    def rewritten(self, before: int, after: int) -> None:
        """Loads go by what snapshots before it bear."""

    def needed(self, table: Table) -> set[int]:
        """Those by which the next load tells whether the one before it came to its end."""
        return needed_by_loads(table, self._is_known)

    def _is_known(self, load_id: int) -> bool:
        return self._warehouse.is_known(self._stream, load_id)


class ModelTable:
    """The table of a model, which is written by whoever has the claim on building."""

    busy = "models were built on the same files meanwhile: run it again"

    def __init__(self, warehouse: Warehouse, name: tuple[str, ...], models: KnownModels, wait: Wait) -> None:
        self.name = name
        self._warehouse = warehouse
        self._models = models
        self._wait = wait

    def load(self) -> Table:
        """The table as it is now."""
        return self._warehouse.catalog.load_table(self.name)

    def lock(self) -> AbstractContextManager[object]:
        """A transaction alone: a step that ends meanwhile has one of the two try again, as Iceberg has it."""
        return self._warehouse.transaction()

    @contextmanager
    def still(self) -> Iterator[bool]:
        """The claim on building."""
        until = time.monotonic() + MOST_SECONDS
        with self._warehouse.claim(BUILDING, lambda seconds: self._wait(seconds) or time.monotonic() > until) as mine:
            if not mine:
                yield False
                return
            with self._warehouse.transaction():
                yield True

    def unentered(self, table: Table) -> bool:
        """Whether the ledger knows the snapshot before a rewriting."""
        return self._models.lag(table)

    def left(self, table: Table) -> str:
        """That the ledger does not know it as it is; or that its files cannot be written here."""
        if not all(isinstance(field.transform, _WRITTEN) for field in table.spec().fields):
            return "small files of a table that is partitioned like this are for Spark's rewrite_data_files"
        if table.current_snapshot() is None or self._models.take_up(table):
            return ""
        return "its newest rows are not of a step that ended: the next one settles that"

    def write(self, rows: pa.Table, table: Table) -> list[DataFile]:
        """By its partitions."""
        return write_model_files(rows, table.metadata, table.io)

    def rewritten(self, before: int, after: int) -> None:
        """The next step of it, and of those that read it, goes on from there."""
        self._models.moved(".".join(self.name), str(before), str(after))

    def needed(self, table: Table) -> set[int]:
        """Those between which steps ask what came and went."""
        return needed_by_models(table, self._models.needed())


def partition_of(file: DataFile) -> tuple[Any, ...]:
    """Where a file's rows belong."""
    return file.spec_id, tuple(file.partition[i] for i in range(len(file.partition)))
