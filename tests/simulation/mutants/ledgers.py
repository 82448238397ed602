"""Bugs of the ledger and of its fence."""

from tests.simulation.mutants.planting import Mutant, Patch

_TABLES = "veltrix.adapters.memory.tables"
_LEDGER = "veltrix.adapters.memory.ledger"
_CLIENT = "veltrix.simulation.ledger"
_COMMIT = "        await self._write(lambda: self._ledger.commit(changes))\n"
_RELAYED = '''    async def relayed(self, partition: int, term: Term, seq: int) -> None:
        """Move the relay's position on."""
        self._check_open()
'''
_OLDER = "        if found.head.term > term or (found.head.term == term and found.head.owner != owner):\n"
_OWNED = """            raise Fenced(
                f"partition {partition} is owned by"""
_HALVES = '''    async def put_rows(self, changes, staged=None):
        """One half of a commit: decisions, facts and rows."""
        staged = staged or self._tables.check(changes)
        self._tables.apply(changes, staged, self._clock.now_ms())

    async def put_head(self, changes, checked=True):
        """The other half: the offset and what goes with it."""
        if not checked:
            self._tables.check(changes)
        partition = self._tables.partitions[changes.partition]
        partition.head = replace(
            partition.head,
            next_offset=changes.new_offset,
            log_time_ms=changes.log_time_ms,
            rules_version=changes.rules_version,
            next_seq=changes.next_seq,
            last_hash=changes.last_hash,
        )

    async def put(self, changes, staged):
        """Both halves, whatever has become of the fence."""
        await self.put_rows(changes, staged)
        await self.put_head(changes)
        self._wrote("commit", changes)

'''

MUTANTS = (
    Mutant(
        "no fencing",
        "no write under an old term",
        (
            Patch(
                _TABLES,
                "if partition is None or partition.head.term != changes.term:",
                "if partition is None:",
            ),
        ),
    ),
    Mutant(
        "no fence at take-over",
        "terms only grow",
        (
            Patch(
                _LEDGER,
                _OLDER + _OWNED,
                "        if False:\n" + _OWNED,
            ),
        ),
        seeds=40,
        rare=True,
    ),
    Mutant(
        "fence read without lock",
        "the fence and what it guards are one step",
        (
            Patch(
                _CLIENT,
                _COMMIT,
                """        checked = []

        async def look():
            checked.append(self._ledger._tables.check(changes))

        await self._write(look)
        await self._write(lambda: self._ledger.put(changes, checked[-1]))
""",
            ),
            Patch(_LEDGER, _RELAYED, _HALVES + _RELAYED),
        ),
        seeds=60,
    ),
    Mutant(
        "offset before effects",
        "the offset moves if and only if its decisions are in the same transaction",
        (
            Patch(
                _CLIENT,
                _COMMIT,
                """        checked = []

        async def move():
            checked.append(self._ledger._tables.check(changes))
            await self._ledger.put_head(changes)

        await self._write(move)
        await self._write(lambda: self._ledger.put_rows(changes, checked[-1]))
""",
            ),
            Patch(_LEDGER, _RELAYED, _HALVES + _RELAYED),
        ),
    ),
    Mutant(
        "effects before offset",
        "the offset moves if and only if its decisions are in the same transaction",
        (
            Patch(
                _CLIENT,
                _COMMIT,
                """        await self._write(lambda: self._ledger.put_rows(changes))
        await self._write(lambda: self._ledger.put_head(changes))
""",
            ),
            Patch(_LEDGER, _RELAYED, _HALVES + _RELAYED),
        ),
    ),
    Mutant(
        "key not kept with the seat",
        "same request twice, same answer, no second effect",
        (
            Patch(
                _TABLES,
                "            if decision.original is None and decision.command:\n"
                "                self.commands[decision.command] = decision\n",
                "            if decision.original is None and len(changes.decisions) > 1:\n"
                "                self.commands[decision.command] = decision\n",
            ),
        ),
    ),
    Mutant(
        "take-over not repeatable",
        "who owns a partition may take it again after a lost answer",
        (
            Patch(
                _LEDGER,
                _OLDER + _OWNED,
                "        if found.head.term >= term:\n" + _OWNED,
            ),
        ),
    ),
    Mutant(
        "seat numbers given twice",
        "a seat belongs to one registration",
        (
            Patch(
                _LEDGER,
                "state = EventState(row.event, pools, row.next_seat, dict(row.code_uses))",
                "state = EventState(row.event, pools, max(1, row.next_seat - 1), dict(row.code_uses))",
            ),
        ),
    ),
    Mutant(
        "stale read for a decision",
        "decisions read what the log made, all of it",
        (
            Patch(
                _CLIENT,
                "        return await self._read(lambda ledger: ledger.load(partition, needs))\n",
                "        self._seen = 0\n"
                "        return await self._read(lambda ledger: ledger.load(partition, needs))\n",
            ),
        ),
        seeds=40,
        rare=True,
    ),
)
