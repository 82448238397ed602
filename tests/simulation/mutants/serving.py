"""Bugs of registration: what people are told."""

from tests.simulation.mutants.planting import Mutant, Patch

_DESK = "veltrix.registration.desk"
_CORE = "veltrix.registration.core"
_DECISIONS = "veltrix.registration.decisions"

MUTANTS = (
    Mutant(
        "acknowledged before it is appended",
        "an acknowledged command is durable",
        (
            Patch(
                _DESK,
                "            appended = await self._log.append(progress.partition, record)\n",
                "            from veltrix.ports.log import Appended\n"
                "            self._task = asyncio.create_task(self._log.append(progress.partition, record))\n"
                "            self._task.add_done_callback(lambda done: done.exception())\n"
                "            appended = Appended(progress.partition, progress.end_offset, 0)\n",
            ),
        ),
    ),
    Mutant(
        "an unknown append taken for done",
        "an acknowledged command is durable",
        (
            Patch(
                _DESK,
                '            raise Problem(\n                "outcome_unknown",',
                "            return progress.end_offset\n"
                '            raise Problem(\n                "outcome_unknown",',
            ),
        ),
    ),
    Mutant(
        "shed request still appended",
        "what was turned away was not appended",
        (
            Patch(
                _DESK,
                "        self.admit(progress, envelope.event, newcomer)\n        if wait_s",
                "        try:\n"
                "            self.admit(progress, envelope.event, newcomer)\n"
                "        except Problem:\n"
                "            await self._append(envelope, progress, newcomer, trace)\n"
                "            raise\n"
                "        if wait_s",
            ),
        ),
    ),
    Mutant(
        "ids not unique across restarts",
        "two requests without a key are two requests",
        (
            Patch(
                _CORE,
                "            made = base64.urlsafe_b64encode(self.chance.token(18)).decode()\n",
                '            self.made_keys = getattr(self, "made_keys", 0) + 1\n'
                '            made = f"made by this process {self.made_keys:09d}"\n',
            ),
        ),
    ),
    Mutant(
        "a reply handed to whoever uses the key",
        "a used key is good for the same request and for no other",
        (
            Patch(
                _DESK,
                "            found = waiters.pop(decision.command + decision.fingerprint, None)\n",
                "            found = next((waiters.pop(key) for key in list(waiters) "
                "if key.startswith(decision.command)), None)\n",
            ),
        ),
        seeds=40,
        rare=True,
    ),
)
