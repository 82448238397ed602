"""Mail as files: every notice one `.eml` file in a directory, to be looked at or handed on.

A file appears whole or not at all (written beside, then renamed), and the same notice written twice is
one file. Making a file costs the kernel 0.1 ms, and up to 2 ms where many were deleted a moment ago (ext4
looks for an inode), so a thread of its own does it, for everything that was sent meanwhile at once.

An accepted mail survives the end of the process; by default it is left to the operating system when it
reaches the disk (within half a minute or so), because waiting for that costs another 0.5 to 2 ms a mail
and slows down what shares the disk: the log. `sync=True` waits. All files are in one directory: 100,000
in it are as fast as spread over many.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.ports.errors import Unavailable

SUFFIX: Final = ".eml"
_PARTIAL: Final = ".partial"
_GROUP_MAX: Final = 256
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ACCEPTED: Final = Attempt(Sent.ACCEPTED)


class Spool:
    """A channel that writes files named by the notice's id into `directory`, which it makes."""

    def __init__(self, directory: Path, *, sync: bool = False) -> None:
        self._directory = directory
        self._sync = sync
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for partial in directory.glob(f".*{_PARTIAL}"):
            partial.unlink(missing_ok=True)  # of a process that ended while it wrote
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: list[tuple[Mail, asyncio.Future[Attempt]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """`email`."""
        return "email"

    def path(self, notice: str) -> Path:
        """The file of a notice, whether it is there or not."""
        return self._directory / f"{notice}{SUFFIX}"

    async def send(self, mail: Mail) -> Attempt:
        """Write the file; a full disk or a missing directory is `not_sent`."""
        if self._closed:
            return Attempt(Sent.NOT_SENT, "the spool is closed")
        if not _FILE_NAME.fullmatch(mail.notice):
            return Attempt(Sent.REFUSED, "the notice's id cannot name a file")
        done: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
        self._waiting.append((mail, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="spool")
        return await done

    async def forget(self, notices: list[str]) -> None:
        """Overwrite and remove the files of these notices; those that are not there are forgotten already.

        Raises `Unavailable` when one cannot be removed: whoever was promised that it is gone must know.
        """
        forgotten = set(notices)
        for mail, done in self._waiting:
            if mail.notice in forgotten and not done.done():
                done.set_result(Attempt(Sent.NOT_SENT, "forgotten before it was written"))
        self._waiting = [each for each in self._waiting if each[0].notice not in forgotten]
        paths = [str(self.path(notice)) for notice in notices if _FILE_NAME.fullmatch(notice)]
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writer, _erase_group, str(self._directory), paths)
        except OSError as error:
            raise Unavailable(f"mails in the spool cannot be removed: {error.strerror}") from error

    async def close(self) -> None:
        """Finish what is being written."""
        self._closed = True
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self._writer.shutdown(wait=True)

    async def _write_all(self) -> None:
        """Group after group until nothing waits: what comes while one is written makes up the next."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_GROUP_MAX], self._waiting[_GROUP_MAX:]
                mails = [(f"{self._directory}/{mail.notice}{SUFFIX}", mail.content) for mail, _ in group]
                attempts = await loop.run_in_executor(
                    self._writer, _write_group, str(self._directory), mails, self._sync
                )
                for (_, done), attempt in zip(group, attempts, strict=True):
                    if not done.done():
                        done.set_result(attempt)
        finally:
            self._writing = None


def _write_group(directory: str, mails: Sequence[tuple[str, bytes]], sync: bool) -> list[Attempt]:
    """Write each file; with `sync`, they are all on the disk when this returns."""
    open_files: list[tuple[int, str, str]] = []
    attempts: list[Attempt] = []
    for index, (path, content) in enumerate(mails):
        partial = f"{directory}/.{os.getpid()}-{index if sync else 0}{_PARTIAL}"
        try:
            descriptor = _write(directory, partial, content)
            if sync:
                open_files.append((descriptor, partial, path))
            else:
                os.close(descriptor)
                os.replace(partial, path)  # noqa: PTH105 - a Path would cost more than the call
        except OSError as error:
            attempts.append(Attempt(Sent.NOT_SENT, f"cannot be written: {error.strerror}"))
        else:
            attempts.append(_ACCEPTED)
    if sync and open_files:
        try:
            _settle(directory, open_files)
        except OSError as error:
            return [Attempt(Sent.UNKNOWN, f"may not be on the disk: {error.strerror}") for _ in mails]
    return attempts


def _write(directory: str, partial: str, content: bytes) -> int:
    """Write a file and leave it open. A directory that somebody removed is made again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        descriptor = os.open(partial, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - it is a string here
        descriptor = os.open(partial, flags, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _settle(directory: str, open_files: Sequence[tuple[int, str, str]]) -> None:
    """Wait until the files are on the disk, then give them their names, and wait for those."""
    synchronize = getattr(os, "fdatasync", os.fsync)
    advise = getattr(os, "posix_fadvise", None)
    try:
        if advise is not None:  # starts writing all of them, so that they share the journal's commits
            for descriptor, _, _ in open_files:
                advise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor, _, _ in open_files:
            synchronize(descriptor)
    finally:
        for descriptor, _, _ in open_files:
            os.close(descriptor)
    for _, partial, path in open_files:
        os.replace(partial, path)  # noqa: PTH105 - a Path would cost more than the call
    _sync_directory(directory)


def _erase_group(directory: str, paths: Sequence[str]) -> None:
    removed = False
    for path in paths:
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            continue
        try:
            # Where the file system writes in place this takes the text off the disk too, not only its name.
            os.write(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.unlink(path)  # noqa: PTH108 - it is a string here
        removed = True
    if removed:
        _sync_directory(directory)


def _sync_directory(directory: str) -> None:
    with suppress(OSError):  # some systems open no directories
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
