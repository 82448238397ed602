"""Sends what was planned over open connections and notes when what came back.

Callbacks, no task a person: an answer leads to the next step directly. Answers are only looked into where
the next step needs it; all else waits until the clock has stopped.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from veltrix.load.answers import is_decided, link_in
from veltrix.load.client import Connection, Target, open_connection
from veltrix.load.patience import Patience
from veltrix.load.plan import Request, Script, cancel_bytes
from veltrix.promises.history import Kind
from veltrix.promises.reading import read_answer

_SLICE: Final = 200  # requests written before answers are looked at again
_SWEEP_S: Final = 0.1
_TICK_MIN_S: Final = 0.001  # a loop's timer has 1 ms; a shorter one would spin and take the server's CPU
_REOPEN_PAUSE_S: Final = 0.05
_REOPEN_PAUSE_MAX_S: Final = 1.0
_OPENING_MAX_S: Final = 3.0  # a machine that is cut off says nothing at all
_LOOKED_THROUGH: Final = 64


@dataclass(slots=True)
class Counts:
    """How far a run is."""

    people: int = 0
    people_done: int = 0
    sent: int = 0
    answered: int = 0
    reopened: int = 0
    repeated: int = 0
    followed: int = 0


@contextmanager
def quiet_collector() -> Iterator[None]:
    """No garbage collection while the clock runs: over so many objects one would make requests late."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Runner:
    """Runs scripts to their end. The first `spares` of the connections are the second devices of twins."""

    def __init__(
        self,
        targets: list[Target],
        scripts: list[Script],
        connections: list[Connection],
        spares: int,
        timeout_s: float,
        patience: Patience,
    ) -> None:
        self.counts = Counts(people=len(scripts))
        self._targets = targets
        self._patience = patience
        self._scripts = iter(scripts)
        self._spares: deque[Connection] = deque(connections[:spares])
        self._free: deque[Connection] = deque(connections[spares:])
        self._spare_set = set(connections[:spares])
        self._live = set(connections)
        # They have a step to do (None) or something to ask again, and no connection for it.
        self._ready: deque[tuple[Script, Request | None]] = deque()
        self._twins: deque[Script] = deque()  # they have a twin to send, and no second device
        self._outstanding: deque[tuple[int, Connection, Request]] = deque()
        self._schedule: deque[int] | None = None
        self._timeout_ns = round(timeout_s * 1e9)
        self._reopen_ns = round(max(timeout_s, patience.patience_s) * 1e9)
        self._reopening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._sweep_timer: asyncio.TimerHandle | None = None
        for connection in connections:
            connection.done = self._answered
            connection.lost = self._lost

    def connections(self) -> list[Connection]:
        """All that are open now."""
        return list(self._live)

    async def closed(self, concurrency: int) -> None:
        """`concurrency` people at a time, the next as soon as one is done."""
        self._launch(min(concurrency, self.counts.people))
        await self._finish()

    async def scheduled(self, offsets_ns: list[int]) -> None:
        """Each person at the time that the schedule says, whatever has become of the others."""
        start_ns = time.monotonic_ns() + 20_000_000
        self._schedule = deque(start_ns + offset for offset in offsets_ns)
        self._tick()
        await self._finish()

    async def _finish(self) -> None:
        self._sweep()
        try:
            if self.counts.people:
                await self._over
        finally:
            if self._sweep_timer is not None:
                self._sweep_timer.cancel()
            reopening = tuple(self._reopening)
            for task in reopening:
                task.cancel()
            await asyncio.gather(*reopening, return_exceptions=True)

    def _launch(self, left: int) -> None:
        for _ in range(min(left, _SLICE)):
            self._start_next()
        if left > _SLICE:
            self._loop.call_soon(self._launch, left - _SLICE)

    def _start_next(self) -> None:
        script = next(self._scripts, None)
        if script is not None:
            self._proceed(script)

    def _tick(self) -> None:
        schedule, now_ns = self._schedule, time.monotonic_ns()
        assert schedule is not None
        for _ in range(_SLICE):
            if not schedule:
                return
            if schedule[0] > now_ns:
                break
            script = next(self._scripts)
            script.steps[0].intended_ns = schedule.popleft()
            if script.twin is not None:
                script.twin.intended_ns = script.steps[0].intended_ns
            self._proceed(script)
        if schedule:
            pause_s = max(_TICK_MIN_S, (schedule[0] - now_ns) / 1e9)
            self._loop.call_later(0.0 if schedule[0] <= now_ns else pause_s, self._tick)

    def _proceed(self, script: Script) -> None:
        """Do the script's next step on a free connection, or as soon as there is one."""
        while self._free:
            connection = self._free.popleft()
            if connection.alive:
                self._step(script, connection)
                return
        self._ready.append((script, None))
        self._strand_if_cut_off()

    def _ask_again(self, script: Script, request: Request, avoided: Target | None) -> None:
        """Send it on a free connection, of another URL where there is one, or as soon as there is one."""
        free = self._free
        for _ in range(min(len(free), _LOOKED_THROUGH)):
            if free[0].alive and (free[0].peer != avoided or len(self._targets) == 1):
                break
            free.rotate(-1)
        while free:
            connection = free.popleft()
            if connection.alive:
                self._send(connection, script, request)
                return
        self._ready.append((script, request))
        self._strand_if_cut_off()

    def _step(self, script: Script, connection: Connection) -> None:
        request = script.steps[script.next]
        script.next += 1
        script.open += 1
        self._send(connection, script, request)
        if script.next == 1 and script.twin is not None:
            script.open += 1
            self._send_twin(script)

    def _send_twin(self, script: Script) -> None:
        while self._spares:
            spare = self._spares.popleft()
            if spare.alive:
                assert script.twin is not None
                self._send(spare, script, script.twin)
                return
        self._twins.append(script)
        self._strand_if_cut_off()

    def _send(self, connection: Connection, script: Script, request: Request) -> None:
        connection.call = (script, request)
        request.sent_ns = now_ns = time.monotonic_ns()
        self._outstanding.append((now_ns, connection, request))
        self.counts.sent += 1
        connection.send(request.payload)

    def _answered(self, connection: Connection, status: int, body: bytes, received_ns: int) -> None:
        script, request = connection.call
        connection.call = None
        followed = request.follows
        if followed is None:
            request.received_ns, request.status, request.body = received_ns, status, body
            if status == 202:
                request.location = connection.headers().get("location", "")
            self.counts.answered += bool(status)
        if self._patience.patience_s:
            again = self._patience.next(request, status, received_ns)
            if again is not None:
                self._go_on_asking(script, *again, connection)
                return
            if followed is not None and status not in (0, 202):
                followed.decided_status, followed.decided_body = status, body
                followed.decided_ns = received_ns
        self._advance(script, connection)

    def _go_on_asking(self, script: Script, pause_s: float, request: Request, connection: Connection) -> None:
        """Neither the script nor its person is done: this one stays under way."""
        self.counts.repeated += request.follows is None
        self.counts.followed += request.follows is not None
        avoided = connection.peer if request.follows is None else None
        self._loop.call_later(pause_s, self._ask_again, script, request, avoided)
        if connection.alive:
            self._release(connection, spare=connection in self._spare_set)

    def _advance(self, script: Script, connection: Connection) -> None:
        """After an answer: wait for the twin's, go on with the next step, or let the next person come."""
        script.open -= 1
        spare = connection in self._spare_set
        if script.open == 0 and self._prepare_next(script):
            if not spare and connection.alive:
                self._step(script, connection)
                return
            self._proceed(script)
        elif script.open == 0:
            self._script_over()
        if connection.alive:
            self._release(connection, spare=spare)

    def _release(self, connection: Connection, *, spare: bool) -> None:
        if spare:
            self._spares.append(connection)
            if self._twins:
                self._send_twin(self._twins.popleft())
        elif self._ready:
            script, request = self._ready.popleft()
            if request is None:
                self._step(script, connection)
            else:
                self._send(connection, script, request)
        else:
            self._free.append(connection)

    def _prepare_next(self, script: Script) -> bool:
        """Whether the script goes on; steps that make no sense after the first answer are left out."""
        steps = script.steps
        while script.next < len(steps):
            request, first = steps[script.next], steps[0]
            if not is_decided(first):
                script.next = len(steps)
                return False
            if request.kind is not Kind.CANCEL:
                return True
            link = link_in(first)
            if link is not None:
                answer = read_answer(*first.final)[1]
                request.target = answer.registration if answer is not None else ""
                request.payload = cancel_bytes(self._targets[0], link, request.key, self._patience.wait_s)
                return True
            script.next += 1
        return False

    def _script_over(self) -> None:
        self.counts.people_done += 1
        if self.counts.people_done == self.counts.people and not self._over.done():
            self._over.set_result(None)
        elif self._schedule is None:
            self._start_next()

    def _sweep(self) -> None:
        """End what waits for its answer too long; the oldest stand first."""
        self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)
        limit_ns = time.monotonic_ns() - self._timeout_ns
        outstanding = self._outstanding
        while outstanding:
            sent_ns, connection, request = outstanding[0]
            waits = connection.call is not None and connection.call[1] is request
            if waits and sent_ns > limit_ns:
                return
            outstanding.popleft()
            if waits:
                request.timed_out = True
                connection.abort()

    def _lost(self, connection: Connection) -> None:
        """A connection has ended: open another in its place, so that the number of people stays."""
        self._live.discard(connection)
        if self._over.done():
            return
        spare = connection in self._spare_set
        self._spare_set.discard(connection)
        task = self._loop.create_task(self._reopen(connection.peer, spare=spare))
        self._reopening.add(task)
        task.add_done_callback(self._reopened)

    async def _reopen(self, target: Target | None, *, spare: bool) -> None:
        """To the same URL, else to the others in turn."""
        pause_s, deadline_ns = _REOPEN_PAUSE_S, time.monotonic_ns() + self._reopen_ns
        turn = self._targets.index(target) if target in self._targets else 0
        while True:
            connection = Connection(self._answered, self._lost)
            try:
                async with asyncio.timeout(_OPENING_MAX_S):
                    await open_connection(self._targets[turn % len(self._targets)], connection)
                break
            except (OSError, TimeoutError):
                if time.monotonic_ns() > deadline_ns:
                    return
                turn += 1
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _REOPEN_PAUSE_MAX_S)
        self._live.add(connection)
        self.counts.reopened += 1
        if spare:
            self._spare_set.add(connection)
        self._release(connection, spare=spare)

    def _reopened(self, task: asyncio.Task[None]) -> None:
        self._reopening.discard(task)
        self._strand_if_cut_off()

    def _strand_if_cut_off(self) -> None:
        if not self._live and not self._reopening and not self._over.done():
            self._loop.call_soon(self._strand)

    def _strand(self) -> None:
        """No connection is left and none can be opened: what is still to be sent stays unanswered."""
        now_ns = time.monotonic_ns()
        while self._ready or self._twins:
            if self._twins:
                script = self._twins.popleft()
                assert script.twin is not None
                script.twin.sent_ns = now_ns
                script.open -= 1
            else:
                script, request = self._ready.popleft()
                if request is None:
                    script.steps[script.next].sent_ns = now_ns
                else:
                    request.sent_ns = now_ns
                    script.open -= 1
                script.next = len(script.steps)
            if script.open == 0:
                self._script_over()
