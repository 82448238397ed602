"""Bugs of the rules. Replay repeats them, so the audit alone would not see one of them."""

from tests.simulation.mutants.planting import Mutant, Patch

_DECIDER = "veltrix.domain.decider"
_STATE = "veltrix.domain.state"
_SEATING = "veltrix.domain.seating"
_STEPS = "veltrix.domain.rules.registrations"
_TABLES = "veltrix.adapters.memory.tables"
_EXPIRE = """        found is None
        or found.status is not RegistrationStatus.HELD
        or found.hold_number != body.hold_number
        or found.hold_deadline_ms is None
    ):
        return accepted()
    if context.now_ms < found.hold_deadline_ms:
"""

MUTANTS = (
    Mutant(
        "duplicate inside a batch",
        "same request twice, same answer, no second effect",
        (
            Patch(
                _DECIDER,
                "    state.decided[envelope.id] = decision\n    _advance(state, offset, now_ms)\n    more",
                "    _advance(state, offset, now_ms)\n    more",
            ),
        ),
    ),
    Mutant(
        "another body under a used key taken for the same",
        "a used key is good for the same request and for no other",
        (Patch(_DECIDER, "    same = before.fingerprint == envelope.fingerprint\n", "    same = True\n"),),
    ),
    Mutant(
        "log time runs backward",
        "log time never runs backward",
        (
            Patch(
                _DECIDER,
                "    return max(previous_ms, min(append_ms, stamp_ms + limits.STAMP_AHEAD_MS))\n",
                "    return min(append_ms, stamp_ms + limits.STAMP_AHEAD_MS)\n",
            ),
        ),
        seeds=40,
        rare=True,
    ),
    Mutant(
        "waitlist promoted twice",
        "who waits is promoted once",
        (
            Patch(
                _STATE,
                "    else:\n        event.waiting.remove(registration.id, registration.arrival)\n",
                "    elif registration.arrival % 2:\n"
                "        event.waiting.remove(registration.id, registration.arrival)\n",
            ),
        ),
    ),
    Mutant(
        "hold expiry against confirm",
        "a hold ends once: by confirm or by expiry, as the log has it",
        (
            Patch(
                _STEPS,
                _EXPIRE,
                """        found is None
        or found.status not in SEATED
        or found.hold_number != body.hold_number
    ):
        return accepted()
    if found.hold_deadline_ms is not None and context.now_ms < found.hold_deadline_ms:
""",
            ),
        ),
    ),
    Mutant(
        "hold expires early",
        "a hold stands until its deadline in log time",
        (
            Patch(
                _STEPS,
                "    if context.now_ms < found.hold_deadline_ms:\n",
                "    if context.now_ms < found.hold_deadline_ms - 60_000:\n",
            ),
        ),
        seeds=60,
        rare=True,
    ),
    Mutant(
        "oversold by one, refused by the ledger",
        "no pool above its ceiling",
        (
            Patch(
                _SEATING,
                "        if has.capacity - has.taken < count:",
                "        if has.capacity - has.taken < count - 1:",
            ),
        ),
    ),
    Mutant(
        "oversold by one, and the ledger does not mind",
        "no pool above its ceiling",
        (
            Patch(
                _SEATING,
                "        if has.capacity - has.taken < count:",
                "        if has.capacity - has.taken < count - 1:",
            ),
            Patch(
                _TABLES,
                "            if row.capacity < 0 or not 0 <= row.taken <= ceiling:\n",
                "            if row.capacity < 0:\n",
            ),
        ),
    ),
    Mutant(
        "newcomers overtake the waitlist",
        "who came first is served first",
        (
            Patch(
                _SEATING,
                "        return event.waiting.waits_for(need)\n    return any_waiting_fits(event)\n",
                "        return False\n    return False\n",
            ),
        ),
    ),
    Mutant(
        "the last in line is promoted first",
        "who came first is served first",
        (
            Patch(
                _SEATING,
                "        (arrival, chosen), need = min(fitting)\n",
                "        (arrival, chosen), need = max(fitting)\n",
            ),
            Patch(
                _SEATING,
                "    lines = {need: deque(line[:most]) for need, line in event.waiting.lines()}\n",
                "    lines = {need: deque(line[::-1][:most]) for need, line in event.waiting.lines()}\n",
            ),
        ),
    ),
    Mutant(
        "a freed seat is offered to nobody",
        "nobody waits for seats that are free",
        (Patch(_DECIDER, "        FactKind.REGISTRATION_CANCELLED,\n", ""),),
    ),
)
