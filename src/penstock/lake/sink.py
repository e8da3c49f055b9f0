"""A file on its way into the lake: hidden, locked, hashed; complete and durable before it gets its name."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path
from typing import Any, cast

import zstandard

from penstock.records.lake_files import Compression
from penstock.system import lock, sync_folder


class Sink:
    """Writes one file. Its lock is held until :meth:`publish` or :meth:`release`, and goes with the process.

    ``size`` counts what was written before compression.
    """

    def __init__(self, temporary: Path, final: Path, compression: Compression) -> None:
        self.temporary = temporary
        self.final = final
        self.size = 0
        temporary.parent.mkdir(parents=True, exist_ok=True)
        self._raw = temporary.open("xb")
        lock(self._raw)
        self._digest = hashlib.sha256()
        self._stream: Any = self._raw
        if compression == "zstd":
            self._stream = zstandard.ZstdCompressor().stream_writer(self._raw, closefd=False)
        elif compression == "gzip":
            # without a time, so that the same records make the same file
            self._stream = gzip.GzipFile(fileobj=cast("Any", self._raw), mode="wb", compresslevel=6, mtime=0)

    @property
    def closed(self) -> bool:
        """As files have it, for Arrow."""
        return self._raw.closed

    def write(self, data: Any) -> int:
        """Write bytes, or a buffer of them."""
        view = memoryview(data)
        self._digest.update(view)
        self._stream.write(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """How much was written."""
        return self.size

    def flush(self) -> None:
        """Nothing is promised before :meth:`finish`."""

    def close(self) -> None:
        """Arrow's writers close what they write to; the file stays open until it has its name."""

    def finish(self) -> dict[str, Any]:
        """Make the file durable under its hidden name. Returns its state, as a position of files has it."""
        if self._stream is not self._raw:
            self._stream.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        sync_folder(self.temporary.parent)
        stat = os.fstat(self._raw.fileno())
        return {
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "ctime_ns": stat.st_ctime_ns,
            "inode": stat.st_ino,
            "complete": True,
            "content": self._digest.hexdigest(),
        }

    def publish(self) -> None:
        """Give the file its name."""
        if sys.platform == "win32":  # where no open file can be renamed
            self._raw.close()
        publish(self.temporary, self.final)
        self._raw.close()

    def release(self) -> None:
        """Leave the file as it is, for the next run to decide about."""
        self._raw.close()

    def discard(self) -> None:
        """Remove the file."""
        if sys.platform == "win32":
            self._raw.close()
        self.temporary.unlink(missing_ok=True)
        self._raw.close()


def publish(temporary: Path, final: Path) -> None:
    """Rename a complete file, durably."""
    temporary.rename(final)
    sync_folder(final.parent)


def is_abandoned(temporary: Path) -> bool:
    """Whether no process writes the file any more."""
    try:
        with temporary.open("rb") as file:
            lock(file)
    except OSError:
        return False
    return True
