"""Calls between hosts: they take time, and on a bad day they or their answers do not arrive.

A call has an effect at its server, in the server's life. Whoever calls cannot tell a request that was lost
from an answer that was: both are silence, until the caller gives up. An effect may come long after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from veltrix.ports.errors import OutcomeUnknown, PortError, Unavailable
from veltrix.simulation.loop import LIFE, Life, SimulatedLoop

T = TypeVar("T")

PATIENCE_S: Final = 2.0
"""How long a caller waits for an answer."""

Reply = Callable[[Any, PortError | None], None]
"""How a server answers, once, now or later: with a result or with an error."""


@dataclass(slots=True)
class Weather:
    """What happens to messages: mean latency, and the shares of them that are lost, come much later (and so
    overtake each other the other way round), or, where they are hints, come twice."""

    latency_s: float = 0.0005
    lost: float = 0.0
    answer_lost: float = 0.0
    delayed: float = 0.0
    delay_s: float = 1.0
    duplicated: float = 0.0


class Server:
    """An engine, or part of one, as a host: it can be down, and slow. `reign` counts its primaries: what an
    older one was asked is answered by nobody."""

    def __init__(self, name: str, life: Life) -> None:
        self.name = name
        self.life = life
        self.up = True
        self.reign = 1
        self.delay_s = 0.0
        self.on_up: Callable[[], None] = lambda: None
        self.on_down: Callable[[], None] = lambda: None

    def down(self) -> None:
        """It has no primary: whoever asks is told so at once, who had asked before hears nothing."""
        if self.up:
            self.up = False
            self.on_down()
            self.reign += 1

    def back(self) -> None:
        """A primary serves again."""
        if not self.up:
            self.up = True
            self.on_up()


class _Call:
    """A request on its way, and the way back: called with a result or an error, it answers."""

    __slots__ = ("answer", "caller", "gives_up_s", "network", "reign", "replied", "server", "timer", "writes")

    def __init__(
        self,
        network: Network,
        caller: Life,
        server: Server,
        answer: asyncio.Future[Any],
        gives_up_s: float,
        writes: bool,
    ) -> None:
        self.network = network
        self.caller = caller
        self.server = server
        self.answer = answer
        self.gives_up_s = gives_up_s
        self.writes = writes
        self.reign = 0
        self.replied = False
        self.timer: asyncio.TimerHandle | None = None

    def __call__(self, result: Any, error: PortError | None) -> None:
        if self.reign == self.server.reign:
            self.replied = True
            self.network._answer(self, result, error)


class Network:
    """Everything between the hosts.

    `cuts` and `clogs` hold (from, to), one way each: what is cut is lost, what is clogged comes once the way
    is free, in another order. `ordered`: messages from one host to another do not overtake each other by
    chance.
    """

    def __init__(self, loop: SimulatedLoop, random: Random, *, ordered: bool = False) -> None:
        self.loop = loop
        self.weather = Weather()
        self.cuts: set[tuple[str, str]] = set()
        self.clogs: dict[tuple[str, str], list[tuple[Life, Callable[..., None], tuple[Any, ...]]]] = {}
        self.lost = 0
        self.answers_lost = 0
        self.chance = random
        self._ordered = ordered
        self._last_s: dict[tuple[str, Life], float] = {}

    def cut(self, host: str, *, inward: bool = True, outward: bool = True, others: list[str]) -> None:
        """Separate a host from others, in one direction or both."""
        for other in others:
            if outward:
                self.cuts.add((host, other))
            if inward:
                self.cuts.add((other, host))

    def clog(self, source: str, target: str) -> None:
        """Keep what goes from one to the other until `unclog`."""
        self.clogs.setdefault((source, target), [])

    def unclog(self, source: str, target: str) -> None:
        """Let what was kept go on, in another order."""
        kept = self.clogs.pop((source, target), [])
        self.chance.shuffle(kept)
        for life, callback, args in kept:
            self.loop.post(life, self.loop.now_s + self._latency_s(), callback, *args)

    def heal(self) -> None:
        """Let everything through."""
        self.cuts.clear()
        for source, target in list(self.clogs):
            self.unclog(source, target)

    async def ask(
        self,
        server: Server,
        effect: Callable[[], Coroutine[Any, Any, T]],
        *,
        writes: bool,
        patience_s: float = PATIENCE_S,
        late_s: float = 0.0,
    ) -> T:
        """Have `effect` happen at the server and return what it returns, or raise what it raises.

        Silence ends in `OutcomeUnknown` for what writes, else in `Unavailable`; a server that is down says
        so at once: `Unavailable`.
        """
        found: T = await self.begin(
            server, _whole, effect, writes=writes, patience_s=patience_s, late_s=late_s
        )
        return found

    def begin(
        self,
        server: Server,
        handle: Callable[..., None],
        *args: Any,
        writes: bool,
        patience_s: float = PATIENCE_S,
        late_s: float = 0.0,
    ) -> asyncio.Future[Any]:
        """Have `handle(*args, reply)` called at the server, which replies when it likes. Before that the
        request is `late_s` on its way, beside its usual time."""
        loop = self.loop
        me = LIFE.get(loop.outside)
        answer: asyncio.Future[Any] = loop.create_future()
        call = _Call(self, me, server, answer, loop.now_s + patience_s, writes)
        late_s += server.delay_s
        if not self._send(me.host, server.life, self.weather.lost, late_s, self._arrive, call, handle, args):
            self.lost += 1
            self._wait(call)
        elif late_s or (self.clogs and (me.host, server.name) in self.clogs):
            self._wait(call)
        return answer

    def send(self, host: str, to: Life, receive: Callable[..., None], *args: Any) -> None:
        """Send something that comes once, or not at all."""
        self._send(host, to, self.weather.lost, 0.0, receive, *args)

    def tell(
        self, host: str, to: Life, receive: Callable[..., None], *args: Any, late_s: float = 0.0
    ) -> None:
        """Send something that is a hint: it arrives, perhaps twice, or does not."""
        weather = self.weather
        self._send(host, to, weather.lost, late_s, receive, *args)
        if weather.duplicated and self.chance.random() < weather.duplicated:
            self._send(host, to, weather.lost, late_s, receive, *args)

    def _arrive(self, call: _Call, handle: Callable[..., None], args: tuple[Any, ...]) -> None:
        """The request is there."""
        server = call.server
        if not server.up:
            self._answer(call, None, Unavailable(f"{server.name} is down"))
            return
        call.reign = server.reign
        handle(*args, call)
        if not call.replied:
            self._wait(call)

    def _answer(self, call: _Call, result: Any, error: PortError | None) -> None:
        server, caller = call.server, call.caller
        lost = self.weather.answer_lost
        if not self._send(server.name, caller, lost, 0.0, _settle, call.answer, result, error):
            self.answers_lost += 1
        elif not self.weather.delayed and not self.clogs:
            if call.timer is not None:
                call.timer.cancel()
            return
        self._wait(call)

    def _wait(self, call: _Call) -> None:
        """The answer may not come in time: let the caller give up when its patience ends."""
        if call.timer is None:
            left_s = max(0.0, call.gives_up_s - self.loop.now_s)
            call.timer = self.loop.later(call.caller, left_s, _give_up, call)

    def _send(
        self, source: str, to: Life, lost: float, late_s: float, receive: Callable[..., None], *args: Any
    ) -> bool:
        """Whether it is on its way."""
        if self.cuts and (source, to.host) in self.cuts:
            return False
        if lost and self.chance.random() < lost:
            return False
        if self.clogs and (source, to.host) in self.clogs:
            self.clogs[source, to.host].append((to, receive, args))
        else:
            arrives_s = self.loop.now_s + late_s + self._latency_s()
            if self._ordered:  # as on one connection; else as on many
                arrives_s = max(self._last_s.get((source, to), 0.0), arrives_s)
                self._last_s[source, to] = arrives_s
            self.loop.post(to, arrives_s, receive, *args)
        return True

    def _latency_s(self) -> float:
        weather = self.weather
        if weather.delayed and self.chance.random() < weather.delayed:
            return self.chance.expovariate(1 / weather.delay_s)
        return weather.latency_s * (0.5 + self.chance.random())


def _whole(effect: Callable[[], Coroutine[Any, Any, Any]], reply: Reply) -> None:
    """An effect that is one step at its server: it never waits."""
    coroutine = effect()
    try:
        coroutine.send(None)
    except StopIteration as done:
        reply(done.value, None)
    except PortError as error:
        reply(None, error)
    else:
        raise AssertionError("an effect waits for something")


def _give_up(call: _Call) -> None:
    if not call.answer.done():
        wrong = OutcomeUnknown if call.writes else Unavailable
        call.answer.set_exception(wrong(f"{call.server.name} does not answer"))


def _settle(answer: asyncio.Future[Any], result: Any, error: PortError | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
