"""Where the simulator reaches into the real code: `buggify` and `sometimes`. In production both do nothing.

`buggify(site)` asks whether to be difficult here, in a way that the contract allows anyway: be late, take
less than there is, end sooner. `sometimes(mark)` says that a rare path was taken, so that a sweep can tell
which of them it never saw. Both cost a call and a comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SITES: Final[dict[str, str]] = {
    "processor.short_batch": "a batch of one record",
    "processor.late_commit": "a delay between deciding and committing",
    "processor.late_reply": "facts and replies that leave after a delay",
    "processor.forget": "a working copy that is thrown away after a batch",
    "relay.tiny_buffer": "facts that are read from the ledger although they were at hand",
    "relay.mark_late": "a position that is not marked",
    "ticker.early": "a round right after another one",
    "planner.short_run": "facts that are planned one at a time",
    "planner.drop_hint": "a hint that is not heard",
    "dispatcher.claim_one": "one notice claimed at a time",
    "dispatcher.short_lease": "a lease that ends while the notice is being sent",
    "fanout.tiny_page": "a page of two registrations",
    "desk.give_up": "a request that stops waiting for its reply at once",
    "desk.no_reply": "a reply that is not heard",
    "directory.forget": "an event that is read anew",
    "reserve.tiny_block": "keys reserved a few at a time",
}
"""Every site, and what is done there."""

MARKS: Final[dict[str, str]] = {
    "processor.fenced": "an owner was fenced",
    "processor.commit_unknown": "a commit's outcome was unknown",
    "processor.continued": "promotions went on in a continuation",
    "processor.retaken": "a partition was taken over from another owner",
    "processor.ledger_ahead": "the log showed less than the ledger had decided",
    "processor.kept_grant": "an owner waited for an engine and kept its grant",
    "relay.from_ledger": "facts were published that were not at hand any more",
    "relay.erased": "an erased person's keys were destroyed",
    "planner.gap": "a gap in the facts was filled from the ledger",
    "planner.fenced": "two planners met at one inbox",
    "planner.suppressed": "an erased person's open notices were suppressed",
    "dispatcher.unknown": "an attempt ended with an unknown outcome",
    "dispatcher.again": "a notice was claimed again after its lease",
    "fanout.paged": "a fan-out took more than one page",
    "desk.outcome_unknown": "an append's outcome was unknown, and the reply told it",
    "desk.read_back": "a decision was read from the ledger because its reply was missing",
    "desk.queued": "a request was answered that it waits in line",
    "desk.key_reused": "a key was used again for another body",
}
"""Every mark, and what has happened where it is."""

_buggify: Callable[[str], bool] | None = None
_sometimes: Callable[[str], None] | None = None


def buggify(site: str) -> bool:
    """Whether to be difficult here; False outside a simulation."""
    return _buggify is not None and _buggify(site)


def sometimes(mark: str) -> None:
    """This happened."""
    if _sometimes is not None:
        _sometimes(mark)


def install(difficult: Callable[[str], bool] | None, happened: Callable[[str], None] | None) -> None:
    """Let these be asked and told from now on; None: nobody."""
    global _buggify, _sometimes
    _buggify, _sometimes = difficult, happened
