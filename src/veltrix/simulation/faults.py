"""The nemesis: what goes wrong, when, and for how long, all drawn from the seed.

Each run enables a random half of the faults. `calm` ends them all, for good: from then on everything that
is not a casualty must come right.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from veltrix.ports.channel import Attempt, Mail, Sent
from veltrix.simulation.cluster import ENGINES, Cluster, Host
from veltrix.simulation.network import Weather

MEAN_PAUSE_S: Final = 0.8
LONG_S: Final = 3.5
"""Longer than a lease, so that a pause or a cut costs a process what it owns."""
STEP_MS: Final = 4_000


class FickleMailbox:
    """A mail relay that refuses for now, or takes a message and says nothing, as often as it is told."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.not_sent = 0.0
        self.unknown = 0.0
        self.arrived: Counter[str] = Counter()
        self.needless: list[str] = []
        """Messages that came although their notice was recorded as over."""

    @property
    def name(self) -> str:
        """It carries mail."""
        return "email"

    async def send(self, mail: Mail) -> Attempt:
        """Take it, or not; a message that was taken may go without an answer."""
        await asyncio.sleep(0.01 * self._random.random())
        drawn = self._random.random()
        if drawn < self.not_sent:
            return Attempt(Sent.NOT_SENT, "452 try again")
        self.arrived[mail.notice] += 1
        if mail.notice in self._cluster.over:
            self.needless.append(mail.notice)
        await self._cluster.mailbox.send(mail)
        await asyncio.sleep(0.01 * self._random.random())
        if drawn < self.not_sent + self.unknown:
            return Attempt(Sent.UNKNOWN, "connection lost after DATA")
        return Attempt(Sent.ACCEPTED)

    async def forget(self, notices: list[str]) -> None:
        """A relay cannot."""

    async def close(self) -> None:
        """Nothing is kept."""


class Nemesis:
    """Draws faults and lets them happen; `reached` counts them by name."""

    def __init__(self, cluster: Cluster, random: Random, mailbox: FickleMailbox) -> None:
        self._cluster = cluster
        self._random = random
        self._mailbox = mailbox
        self.reached: Counter[str] = Counter()
        self.story: list[str] = []
        faults: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self.crash,
            self.crash_loop,
            self.pause,
            self.slow,
            self.cut,
            self.one_way_cut,
            self.storm,
            self.lost_answers,
            self.engine_down,
            self.clock_step,
            self.bad_relay,
            self.silent_relay,
        ]
        self.enabled = [fault for fault in faults if random.random() < 0.5] or [faults[0]]
        self._running: set[asyncio.Task[None]] = set()
        self._calm = False

    async def rage(self) -> None:
        """Begin one fault after the other until `calm`."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / MEAN_PAUSE_S))
            if self._calm:
                return
            fault = self._random.choice(self.enabled)
            task = asyncio.create_task(fault())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def calm(self) -> None:
        """End every fault and bring every host back."""
        self._calm = True
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        cluster = self._cluster
        cluster.network.heal()
        cluster.network.weather = Weather()
        self._mailbox.not_sent = self._mailbox.unknown = 0.0
        for server in cluster.engines.servers.values():
            server.up = True
        for host in cluster.hosts.values():
            life = cluster.ensure(host)
            cluster.loop.resume(life)
            life.step_s = 0.0
        self._say("calm", "")

    async def crash(self) -> None:
        """A process dies, and comes back after a while."""
        await self._crash_once(self._host(), self._random.expovariate(1 / 1.5))

    async def crash_loop(self) -> None:
        """A process dies again and again, soon after each start."""
        host = self._host()
        for _ in range(self._random.randint(2, 5)):
            await self._crash_once(host, 0.2 * self._random.random())
            await asyncio.sleep(0.5 * self._random.random())

    async def pause(self) -> None:
        """A process stands still, perhaps for longer than its lease, and goes on as if nothing had been."""
        host = self._host()
        if host.life is None or host.life.paused:
            return
        self._say("pause", host.name)
        life = host.life
        self._cluster.loop.pause(life)
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        self._cluster.loop.resume(life)

    async def slow(self) -> None:
        """A process is 200 times as slow."""
        host = self._host()
        if host.life is None:
            return
        self._say("slow", host.name)
        life = host.life
        life.step_s = 0.002
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        life.step_s = 0.0

    async def cut(self) -> None:
        """A process and some engines cannot reach each other."""
        await self._cut(inward=True, outward=True)

    async def one_way_cut(self) -> None:
        """One of the directions goes."""
        inward = self._random.random() < 0.5
        await self._cut(inward=inward, outward=not inward)

    async def storm(self) -> None:
        """Messages are lost, and overtake each other."""
        self._say("storm", "")
        weather = self._cluster.network.weather
        weather.lost, weather.delayed, weather.delay_s = 0.03, 0.1, 0.3
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        weather.lost, weather.delayed = 0.0, 0.0

    async def lost_answers(self) -> None:
        """What was asked for happens, and nobody hears of it."""
        self._say("lost_answers", "")
        self._cluster.network.weather.answer_lost = 0.1
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        self._cluster.network.weather.answer_lost = 0.0

    async def engine_down(self) -> None:
        """An engine has no primary for a while."""
        server = self._cluster.engines.servers[self._random.choice(ENGINES)]
        self._say("engine_down", server.name)
        server.up = False
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        server.up = True

    async def clock_step(self) -> None:
        """A host's clock is put forward or back."""
        host = self._host()
        host.clock.offset_ms += self._random.randint(-STEP_MS, STEP_MS)
        self._say("clock_step", f"{host.name} {host.clock.offset_ms:+d} ms")

    async def bad_relay(self) -> None:
        """The mail relay asks to come again later."""
        self._say("bad_relay", "")
        self._mailbox.not_sent = 0.4
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        self._mailbox.not_sent = 0.0

    async def silent_relay(self) -> None:
        """The mail relay takes messages and does not say so."""
        self._say("silent_relay", "")
        self._mailbox.unknown = 0.3
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        self._mailbox.unknown = 0.0

    async def _crash_once(self, host: Host, away_s: float) -> None:
        if host.life is None:
            return
        self._say("crash", host.name)
        self._cluster.crash(host)
        await asyncio.sleep(away_s)
        self._cluster.ensure(host)

    async def _cut(self, *, inward: bool, outward: bool) -> None:
        network, host = self._cluster.network, self._host()
        others = [name for name in ENGINES if self._random.random() < 0.6] or [ENGINES[0]]
        how = "both ways" if inward and outward else "inward" if inward else "outward"
        self._say(
            "cut" if inward and outward else "one_way_cut", f"{host.name} {how} from {', '.join(others)}"
        )
        network.cut(host.name, inward=inward, outward=outward, others=others)
        await asyncio.sleep(self._random.expovariate(1 / LONG_S))
        for other in others:
            network.cuts.discard((host.name, other))
            network.cuts.discard((other, host.name))

    def _host(self) -> Host:
        return self._cluster.hosts[self._random.choice(list(self._cluster.hosts))]

    def _say(self, fault: str, whom: str) -> None:
        self.reached[fault] += 1
        self.story.append(f"{self._cluster.loop.time():9.3f}  {fault:<14} {whom}".rstrip())
