"""Bugs of notification: who is told, and how often."""

from tests.simulation.mutants.planting import Mutant, Patch

_DISPATCHER = "veltrix.notification.dispatcher"
_PLANNER = "veltrix.notification.planner"
_NOTICES = "veltrix.adapters.memory.notices"
_ROWS = "veltrix.adapters.memory.notice_rows"
_CAS = '        if at != after_seq:\n            raise Fenced(f"the inbox of partition'

MUTANTS = (
    Mutant(
        "mark sent before sending",
        "a notice that is accepted was delivered",
        (
            Patch(
                _DISPATCHER,
                "                attempt = await outgoing.send()\n",
                "                await self.notices.finish(\n"
                '                    [ended(claimed, NoticeStatus.ACCEPTED, "", self.clock.now_ms())])\n'
                "                attempt = await outgoing.send()\n",
            ),
        ),
    ),
    Mutant(
        "gap in facts ignored",
        "one notice of every fact",
        (
            Patch(_PLANNER, "            if seq > at + len(run) + 1:\n", "            if False:\n"),
            Patch(
                _PLANNER,
                "            if seq == at + len(run) + 1:\n                run.append(hint)\n",
                "            if seq > at + len(run):\n                run.append(hint)\n",
            ),
            Patch(
                _PLANNER,
                "        at = part[0].seq - 1\n",
                "        at = self.positions.get(partition, part[0].seq - 1)\n",
            ),
        ),
    ),
    Mutant(
        "inbox without compare-and-swap",
        "the inbox only moves on",
        (Patch(_NOTICES, _CAS, _CAS.replace("at != after_seq", "False")),),
        seeds=40,
        rare=True,
    ),
    Mutant(
        "notices recorded twice",
        "one notice a fact, recipient and channel",
        (
            Patch(_NOTICES, _CAS, _CAS.replace("at != after_seq", "False")),
            Patch(
                _ROWS,
                "        if notice.id in self._entries or key in self._keys:\n            return\n",
                "",
            ),
        ),
    ),
    Mutant(
        "results of lost claims count",
        "a notice that is over stays over",
        (
            Patch(
                _NOTICES,
                "entry is None or entry.fence != result.fence or entry.status not in OPEN",
                "entry is None",
            ),
        ),
        seeds=100,
        rare=True,
    ),
    Mutant(
        "an unknown delivery taken for none",
        "a delivery whose outcome is unknown is tried again under the same id",
        (
            Patch(
                _DISPATCHER,
                'attempt = Attempt(Sent.UNKNOWN, "the channel did not answer within the lease")\n',
                "attempt = Attempt(Sent.ACCEPTED)\n",
            ),
        ),
        seeds=60,
        rare=True,
    ),
)
