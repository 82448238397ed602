"""One process for each data directory."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import TracebackType

from veltrix.ports.errors import Mismatch, Unavailable

_log = logging.getLogger(__name__)


class DataDirectoryLock:
    """Holds `lock` in a data directory, from entering to leaving it; the system frees it if we die.

    Entering raises `Mismatch` when another process holds it, `Unavailable` when it cannot be taken at all.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        self._path = self._directory / "lock"
        self._descriptor: int | None = None

    def __enter__(self) -> DataDirectoryLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or say who has it."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            _lock_exclusively(descriptor)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Mismatch(
                f"data directory {self._directory} is in use by process {owner}; "
                "stop that process, or give this one a data directory of its own"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise Unavailable(f"{self._path} cannot be locked: {error.strerror}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; safe to call twice. The file stays: removing it would let two hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock_exclusively(descriptor: int) -> None:
    if sys.platform == "win32":
        _log.warning("this platform has no file locks: start one process only on a data directory")
    else:
        import fcntl  # POSIX only

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
