"""PostgreSQL's errors as the ports'.

What the server answers with an ERROR did not happen. What it did not answer may have happened: a COMMIT
that was sent and not acknowledged, a connection that ended meanwhile, a wait for the standby that was cut
short. Those are `OutcomeUnknown` for whoever writes, and `Unavailable` for who only reads.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from veltrix.ports.errors import (
    Fenced,
    Mismatch,
    OutcomeUnknown,
    PortError,
    Rejected,
    Unavailable,
)

FENCED: Final = "VX001"
REJECTED: Final = "VX002"
MISMATCH: Final = "VX003"
LOCK_NOT_AVAILABLE: Final = "55P03"
READ_ONLY: Final = "25006"

_OURS: Final[dict[str, type[PortError]]] = {FENCED: Fenced, REJECTED: Rejected, MISMATCH: Mismatch}
# Data exceptions, integrity constraints, a row that is given twice; more of a size than the server takes.
_REJECTED_CLASSES: Final = ("21", "22", "23", "54")
# Answers after which it is not sure that the transaction was rolled back everywhere: cancelled, shut down.
_UNSURE: Final = frozenset({"57014", "57P01", "57P02", "57P05"})
# asyncpg's own confusion: above all a connection that was ended by the server while nobody was asking.
_CONFUSED: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_PREPARE: Final = "has the database been prepared? Run: veltrix cluster prepare"


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no use any more, and its server may not be the primary."""
    if isinstance(error, asyncpg.PostgresConnectionError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state == READ_ONLY or state in ("57P01", "57P02", "57P03", "57P05")
    return isinstance(error, (*_CONFUSED, OSError)) and not isinstance(error, ValueError)


def port_error(error: BaseException, *, writing: bool) -> PortError | None:
    """The port's error for one of PostgreSQL's; None for what is none of its. `writing`: it may commit."""
    if isinstance(error, PortError):
        return error
    if isinstance(error, asyncpg.PostgresConnectionError | OSError | TimeoutError):
        return _lost(error, writing)
    if isinstance(error, asyncpg.PostgresError):
        return _answered(error, error.sqlstate or "", writing)
    if isinstance(error, _CONFUSED):
        if isinstance(error, ValueError):  # asyncpg's own DataError: never sent
            return Rejected("a value is of a kind that PostgreSQL cannot hold")
        return _lost(error, writing)
    return None


def _lost(error: BaseException, writing: bool) -> PortError:
    if writing:
        return OutcomeUnknown(f"the connection ended before the answer: {error}")
    return Unavailable(f"PostgreSQL cannot be asked now: {error}")


def _answered(error: asyncpg.PostgresError, state: str, writing: bool) -> PortError:
    """What an ERROR says. Its text only where it is our own: others' name values."""
    if state in _OURS:
        return _OURS[state](str(error))
    if state[:2] in _REJECTED_CLASSES:
        constraint = getattr(error, "constraint_name", None)
        return Rejected(f"PostgreSQL forbids it: {constraint or type(error).__name__} ({state})")
    if writing and state in _UNSURE:
        return OutcomeUnknown(f"cut short before the answer: {error}")
    if state in ("42501", "3F000") or state.startswith(("42P", "428")) or state == "42703":
        return Mismatch(f"{error}: {_PREPARE}")
    return Unavailable(f"PostgreSQL refused: {error} ({state})")
