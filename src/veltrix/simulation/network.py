"""Calls between hosts: they take time, and on a bad day they or their answers do not arrive.

A call has an effect at its server, in the server's life. Whoever calls cannot tell a request that was lost
from an answer that was: both are silence, until the caller gives up.
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


@dataclass(slots=True)
class Weather:
    """What happens to messages: mean latency, and the shares of them that are lost, or come much later."""

    latency_s: float = 0.0005
    lost: float = 0.0
    answer_lost: float = 0.0
    delayed: float = 0.0
    delay_s: float = 1.0


class Server:
    """An engine, or part of one, as a host: it can be down, cut off, slow."""

    def __init__(self, name: str, life: Life) -> None:
        self.name = name
        self.life = life
        self.up = True


class Network:
    """Everything between the hosts. `cuts` holds (from, to), one way each."""

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.loop = loop
        self.weather = Weather()
        self.cuts: set[tuple[str, str]] = set()
        self.lost = 0
        self.answers_lost = 0
        self._random = random

    def cut(self, host: str, *, inward: bool = True, outward: bool = True, others: list[str]) -> None:
        """Separate a host from others, in one direction or both."""
        for other in others:
            if outward:
                self.cuts.add((host, other))
            if inward:
                self.cuts.add((other, host))

    def heal(self) -> None:
        """Let everything through."""
        self.cuts.clear()

    async def ask(
        self,
        server: Server,
        effect: Callable[[], Coroutine[Any, Any, T]],
        *,
        writes: bool,
        patience_s: float = PATIENCE_S,
    ) -> T:
        """Have `effect` happen at the server and return what it returns, or raise what it raises.

        Silence ends in `OutcomeUnknown` for what writes, else in `Unavailable`; a server that is down says
        so at once: `Unavailable`.
        """
        me = LIFE.get()
        answer: asyncio.Future[T] = self.loop.create_future()
        if not self._arrives(me.host, server.name, self.weather.lost):
            self.lost += 1
        else:
            self.loop.later(server.life, self._latency_s(), self._arrive, me, server, effect, answer)
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except TimeoutError:
            if writes:
                raise OutcomeUnknown(f"{server.name} does not answer") from None
            raise Unavailable(f"{server.name} does not answer") from None

    def tell(self, host: str, to: Life, receive: Callable[..., None], *args: Any) -> None:
        """Send something that is a hint: it arrives, or does not."""
        if self._arrives(host, to.host, self.weather.lost):
            self.loop.later(to, self._latency_s(), receive, *args)

    def _arrive(
        self,
        caller: Life,
        server: Server,
        effect: Callable[[], Coroutine[Any, Any, T]],
        answer: asyncio.Future[T],
    ) -> None:
        """The request is there. An effect is one step at its server: it never waits."""
        if not server.up:
            self._answer(caller, server, answer, None, Unavailable(f"{server.name} is down"))
            return
        coroutine = effect()
        try:
            coroutine.send(None)
        except StopIteration as done:
            self._answer(caller, server, answer, done.value, None)
        except PortError as error:
            self._answer(caller, server, answer, None, error)
        else:
            raise AssertionError(f"an effect at {server.name} waits for something")

    def _answer(
        self, caller: Life, server: Server, answer: asyncio.Future[T], result: Any, error: PortError | None
    ) -> None:
        if not self._arrives(server.name, caller.host, self.weather.answer_lost):
            self.answers_lost += 1
            return
        self.loop.later(caller, self._latency_s(), _settle, answer, result, error)

    def _arrives(self, source: str, target: str, lost: float) -> bool:
        return (source, target) not in self.cuts and not (lost and self._random.random() < lost)

    def _latency_s(self) -> float:
        weather = self.weather
        if weather.delayed and self._random.random() < weather.delayed:
            return self._random.expovariate(1 / weather.delay_s)
        return weather.latency_s * (0.5 + self._random.random())


def _settle(answer: asyncio.Future[T], result: Any, error: PortError | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
