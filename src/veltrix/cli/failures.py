"""From an error to what people see: what is wrong, what to do, an exit code; never a traceback."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from veltrix.cli.exits import ExitCode


class Failure(Exception):
    """A command cannot do what it was asked; the message says why and the remedy what to do."""

    def __init__(self, message: str, remedy: str = "", code: ExitCode = ExitCode.UNAVAILABLE) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code


class _Told(NamedTuple):
    message: str
    remedy: str


_SYSTEM_ERRORS: Final[dict[int, _Told]] = {
    errno.EADDRINUSE: _Told(
        "is in use by another program", "stop it, or choose another port (0: a free one)"
    ),
    errno.EADDRNOTAVAIL: _Told("is no address of this machine", "choose one that is, such as 127.0.0.1"),
    errno.EACCES: _Told("may not be used by this user", "give the user the right, or choose another"),
    errno.EPERM: _Told("may not be used by this user", "give the user the right, or choose another"),
    errno.ENOSPC: _Told("is full", "make room; nothing that was acknowledged is lost"),
    errno.EDQUOT: _Told("is full: the quota is used up", "make room; nothing that was acknowledged is lost"),
    errno.EROFS: _Told("can only be read", "choose a directory that can be written"),
    errno.EMFILE: _Told("cannot be opened: too many open files", "raise the limit (ulimit -n)"),
    errno.ENFILE: _Told("cannot be opened: the system has too many open files", "raise the system's limit"),
    errno.ENOTDIR: _Told("has a file where a directory should be", "choose another directory"),
    errno.EEXIST: _Told("is there, but is not what it should be", "choose another place"),
    errno.ENOENT: _Told("does not exist", "create it, or name another"),
    errno.EIO: _Told("cannot be read or written", "check the disk"),
}
_DATABASE_ERRORS: Final = (
    ("disk is full", "the disk is full", "make room; nothing that was acknowledged is lost"),
    (
        "readonly database",
        "the data cannot be written",
        "give this user the right to write the data directory",
    ),
    ("unable to open", "the data cannot be opened", "check the data directory and its permissions"),
    ("not a database", "a file of the data directory is damaged or of another kind", "restore a backup"),
    ("malformed", "a file of the data directory is damaged", "restore a backup"),
    ("disk i/o error", "the disk cannot be read or written", "check the disk"),
    ("locked", "the data is in use by another process", "wait until it is done, or stop it"),
)


def explain(error: BaseException) -> Failure | None:
    """What people should be told about an error; None when it is one that nobody expected."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ExceptionGroup):
        known = [explain(inner) for inner in error.exceptions]
        return known[0] if all(known) else None
    if type(error).__module__.startswith("sqlite3"):
        return _of_database(str(error))
    return _of_ours(error)


def _of_ours(error: BaseException) -> Failure | None:
    """Veltrix' own errors carry their remedy in their text."""
    from veltrix.config import ConfigError
    from veltrix.ports.errors import PortError

    if isinstance(error, ConfigError):
        return Failure(listed(error), "", ExitCode.USAGE)
    if isinstance(error, PortError):
        # A text of a driver's own, passed on as it is, names no remedy.
        return _of_database(str(error)) or Failure(str(error) or type(error).__name__)
    return None


def listed(error: Exception) -> str:
    """Every problem of a configuration, one a line."""
    problems = str(error).splitlines()
    if len(problems) == 1:
        return f"The configuration cannot be used. {problems[0]}"
    lines = "\n".join(f"  {problem}" for problem in problems)
    return f"The configuration cannot be used: {len(problems)} problems.\n{lines}"


def _of_system(error: OSError) -> Failure | None:
    told = _SYSTEM_ERRORS.get(error.errno or 0)
    if type(error).__name__ == "gaierror":
        return Failure(f"a host name cannot be resolved ({error.strerror})", "check http.host")
    if told is None:
        return None
    subject = str(error.filename) if error.filename else _SUBJECTS.get(error.errno or 0, "something")
    return Failure(f"{subject} {told.message}", told.remedy)


_SUBJECTS: Final = {
    errno.EADDRINUSE: "the port",
    errno.EADDRNOTAVAIL: "the address",
    errno.EACCES: "the port or directory",
    errno.EPERM: "the port or directory",
    errno.ENOSPC: "the disk",
    errno.EDQUOT: "the disk",
    errno.EROFS: "the disk",
    errno.EIO: "the disk",
    errno.EMFILE: "a file or connection",
    errno.ENFILE: "a file or connection",
}


def _of_database(text: str) -> Failure | None:
    for part, message, remedy in _DATABASE_ERRORS:
        if part in text.lower():
            return Failure(message, remedy)
    return None


def report(error: BaseException, arguments: list[str]) -> Path | None:
    """Write what an unexpected error was to a file for whoever will mend it; None if that fails too.

    Addresses, links and keys are masked: the file is meant to be passed on.
    """
    from veltrix import __version__
    from veltrix.config import state_directory
    from veltrix.observability.masking import mask_text

    now = datetime.now(UTC)
    text = "\n".join(
        [
            f"veltrix {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"{now.isoformat(timespec='seconds')}, process {os.getpid()}",
            f"command: veltrix {mask_text(' '.join(arguments))}",
            "",
            *(mask_text(line) for line in "".join(traceback.format_exception(error)).splitlines()),
            "",
        ]
    )
    name = f"{now.strftime('%Y%m%dT%H%M%SZ')}-{os.getpid()}.txt"
    state = state_directory()
    for folder in [state / "crashes" if state else None, Path(tempfile.gettempdir())]:
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / (name if folder.name == "crashes" else f"veltrix-crash-{name}")
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return path
    return None


def tell(failure: Failure) -> None:
    """One message on standard error."""
    from veltrix.cli.output import console, escape

    remedy = f"\n[dim]What to do:[/] {escape(failure.remedy)}" if failure.remedy else ""
    console(stderr=True).print(f"[bold red]Error:[/] {escape(failure.message)}{remedy}", soft_wrap=True)


def tell_crash(error: BaseException, arguments: list[str]) -> None:
    """A short message and where the report is; the traceback only for who asked for it."""
    path = report(error, arguments)
    where = f"A report is in {path}" if path else "No report could be written"
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    tell(Failure(f"Veltrix met an unexpected error ({name}). {where}"))
    if Wanted.tracebacks:
        traceback.print_exception(error, file=sys.stderr)


class Wanted:
    """What the configuration said about errors, once it was read."""

    tracebacks: bool = False
