"""Bugs of processing: the way from the log to the ledger, and what leaves it."""

from tests.simulation.mutants.planting import Mutant, Patch

_PROCESSOR = "veltrix.processing.processor"
_RELAY = "veltrix.processing.relay"
_BATCH = "veltrix.processing.batch"
_TICKER = "veltrix.processing.ticker"
_COMMITS = "        await self.ledger.commit(outcome.changes)\n"
_UNKNOWN = """offset=entries[0].record.offset)
            await self._take_over()
"""
_STATE = """        self.state = PartitionState(
            self.partition,
            identity.generation,
            head.next_offset,
            head.log_time_ms,
            head.rules_version,
            head.next_seq,
        )
"""

MUTANTS = (
    Mutant(
        "state kept after an unknown commit",
        "never assume: what was not acknowledged is read back",
        (
            Patch(
                _PROCESSOR,
                _STATE,
                "        stale = self.state\n" + _STATE + "        if stale is not None:\n"
                "            self.state.events = stale.events\n",
            ),
        ),
    ),
    Mutant(
        "reply taken for truth: sent before the commit",
        "nothing of an uncommitted batch leaves the process",
        (
            Patch(
                _PROCESSOR,
                _COMMITS,
                "        for reply_to, replies in outcome.replies.items():\n"
                "            self.replies.send(reply_to, replies)\n" + _COMMITS,
            ),
        ),
    ),
    Mutant(
        "facts published before the commit",
        "nothing of an uncommitted batch leaves the process",
        (
            Patch(
                _PROCESSOR,
                _COMMITS,
                "        await self.relay.feed.publish(\n"
                "            self.partition, outcome.changes.facts, outcome.changes.new_offset)\n" + _COMMITS,
            ),
        ),
    ),
    Mutant(
        "retry of an ambiguous transaction",
        "a commit whose outcome is unknown is not simply tried again",
        (
            Patch(
                _PROCESSOR,
                _UNKNOWN,
                """offset=entries[0].record.offset)
            await self._commit(entries, {})
""",
            ),
        ),
        equivalent="where the first one was done, the offset has moved and its decisions stand: another is "
        "refused by the compare-and-swap or by a constraint, and the owner begins anew",
    ),
    Mutant(
        "a commit with unknown outcome taken for done",
        "never assume: what was not acknowledged is read back",
        (
            Patch(
                _PROCESSOR,
                _UNKNOWN,
                """offset=entries[0].record.offset)
            forget_touched(self._state(), limits.EVENTS_CACHED)
""",
            ),
        ),
        seeds=60,
        rare=True,
    ),
    Mutant(
        "wake-up lost",
        "what is committed is published",
        (
            Patch(
                _RELAY,
                "        self._appended_ms.extend(appended_ms[: limits.RELAY_BUFFER_MAX - "
                "len(self._appended_ms)])\n        self._wake.set()\n",
                "        self._appended_ms.extend(appended_ms[: limits.RELAY_BUFFER_MAX - "
                "len(self._appended_ms)])\n        if len(facts) > 1:\n            self._wake.set()\n",
            ),
        ),
    ),
    Mutant(
        "relay marks what it has not published",
        "the relay's position moves only past what was acknowledged",
        (
            Patch(
                _RELAY,
                "            await self.feed.publish(self.partition, facts, next_offset)\n",
                "            if facts:\n"
                "                self._published_seq = facts[-1].seq\n"
                "            await self.feed.publish(self.partition, facts, next_offset)\n",
            ),
        ),
        seeds=60,
        rare=True,
    ),
    Mutant(
        "duplicates looked for in the batch alone",
        "same request twice, same answer, no second effect",
        (
            Patch(
                _BATCH,
                "            collect_needs(entry.said, needs)\n    may_change",
                "            collect_needs(entry.said, needs)\n    needs.commands.clear()\n    may_change",
            ),
        ),
    ),
    Mutant(
        "new rules without a logged change",
        "another rules version starts at a logged command",
        (
            Patch(
                _PROCESSOR,
                "            head.rules_version,\n            head.next_seq,\n",
                "            1 + self.grant.term.revision % 2,\n            head.next_seq,\n",
            ),
        ),
    ),
    Mutant(
        "continuation of promotions forgotten",
        "nobody waits for seats that are free",
        (
            Patch(
                _PROCESSOR,
                "        for continuation in outcome.continuations:\n"
                "            await self._continue(continuation)\n",
                "",
            ),
        ),
        seeds=60,
        rare=True,
    ),
    Mutant(
        "ticker runs on every process",
        "one ticks at a time",
        (
            Patch(
                _TICKER,
                '                grant = await self.coordinator.acquire("ticker")\n',
                "                from veltrix.ports.coordinator import Grant\n"
                "                from veltrix.ports.ledger import Term\n"
                '                grant = Grant("ticker", Term(0, 0), "me")\n',
            ),
        ),
        equivalent="ticking decides nothing: a command that comes twice is a duplicate, or finds no hold; "
        "the grant saves work, it guards nothing",
    ),
)
