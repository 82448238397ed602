"""Where the simulator reaches into the real code: `buggify` and `sometimes`. In production both do nothing.

`buggify(site)` asks whether to be difficult here, in a way that the contract allows anyway: be late, take
less than there is, end sooner. `sometimes(mark)` says that a rare path was taken, so that a sweep can tell
which of them it never saw. Both cost a call and a comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LATE_S: Final = 0.3
"""How long what is late is late, where a site delays."""

SITES: Final[dict[str, str]] = {
    "processor.short_batch": "a batch of one record",
    "processor.late_commit": "a delay between deciding and committing",
    "processor.forget": "a working copy that is thrown away after the batch",
    "relay.tiny_buffer": "facts that are not kept at hand until they are published",
    "relay.tiny_page": "facts that are read from the ledger one at a time",
    "relay.mark_late": "a position that is not marked yet",
    "ticker.early": "a round right after another one",
    "planner.short_run": "facts that are planned one at a time",
    "planner.drop_hint": "facts whose hint is not heard",
    "dispatcher.claim_one": "one notice claimed at a time",
    "dispatcher.short_lease": "a claim that ends early",
    "fanout.tiny_page": "a fan-out by pages of two",
    "desk.give_up": "a request that hardly waits for its decision",
    "desk.no_reply": "a reply that is not heard",
    "directory.forget": "an event that is read anew",
    "reserve.tiny_block": "keys that are reserved a few at a time",
}
"""Every site, and what is difficult there."""

MARKS: Final[dict[str, str]] = {
    "processing.fenced": "an owner was fenced",
    "processing.kept_grant": "an owner whose engines were away kept its partition and began again",
    "processor.commit_unknown": "a commit's outcome was unknown",
    "processor.continued": "promotions were left to a continuation",
    "processor.log_behind": "the log showed less than the ledger had decided",
    "relay.from_ledger": "facts were published that were not at hand any more",
    "relay.erased": "an erased person's keys were destroyed",
    "planner.gap": "facts were missing between two hints",
    "planner.fenced": "two planners met at one inbox",
    "planner.takes_up": "a planner went on where another one had stopped",
    "planner.erased": "an erased person's notices were suppressed",
    "dispatcher.lease_over": "a channel did not answer before the claim ended",
    "fanout.paged": "a fan-out took more than one page",
    "desk.outcome_told": "an append's outcome was unknown, and the reply told it",
    "desk.key_reused": "a key came with another body",
    "desk.read_back": "a decision was read from the ledger because its reply was missing",
}
"""Every mark, and what has happened where it stands."""

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
