"""The errors of the ports: one tree, so that a service can say what it handles and why."""

from __future__ import annotations


class PortError(Exception):
    """Anything that the outside world refuses or fails to do."""


class Unavailable(PortError):
    """It did not happen, and certainly will not on its own; it may be tried again."""


class OutcomeUnknown(PortError):
    """It may or may not have happened. Never assume; read back through a fence."""


class Fenced(PortError):
    """A newer term owns the partition (or the offset moved on): this owner must step down."""


class Rejected(PortError):
    """It can never happen as asked: a constraint, a size or a shape forbids it."""


class Mismatch(PortError):
    """Parts that belong together do not (a log and a ledger, a topic and its shape); says the remedy."""


class TermsBehind(Mismatch):
    """The ledger knows a greater term than the coordinator can have granted: the latter was restored. What
    is taken now would be fenced; it is tried again, for the remedy (a greater epoch) needs no restart."""


class LogBehind(Mismatch):
    """The log ends before what the ledger has decided. It was put back from an older state, or a leader that
    was cut off still answers for it: then it passes, so it is tried again."""
