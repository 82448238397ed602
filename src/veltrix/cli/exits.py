"""The exit codes: one table for all commands."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script can tell from how a command ended."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    UNAVAILABLE = 3
    CRASHED = 4
    UNUSABLE = 65
    TRY_LATER = 75
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done; the verdict is good",
    ExitCode.NEGATIVE: "done; the verdict is bad (audit, load, config check, nothing to revoke)",
    ExitCode.USAGE: "wrong arguments or configuration",
    ExitCode.UNAVAILABLE: "cannot start or go on: port in use, data in use, disk full …",
    ExitCode.CRASHED: "unexpected error; a report was written",
    ExitCode.UNUSABLE: "bounce: the report cannot be used (as sysexits.h has it)",
    ExitCode.TRY_LATER: "bounce: not now; the mail server should try again",
    ExitCode.INTERRUPTED: "interrupted before it was done",
}


def table() -> str:
    """The exit codes as the help shows them, a line each."""
    # \b keeps the lines of a paragraph as they are.
    return "\n".join(["\b", "Exit codes:", *(f"{code:>5}  {meaning}" for code, meaning in MEANINGS.items())])
