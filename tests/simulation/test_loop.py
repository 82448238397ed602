"""The simulated event loop: time, order, crashes and pauses."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from random import Random

import pytest

from veltrix.simulation.loop import Forbidden, SimulatedLoop, Stalled

DAY_S = 86_400.0


@pytest.fixture
def loop():
    """A loop; what is left in it is buried."""
    loop = SimulatedLoop(Random(1))
    yield loop
    loop.bury()


def interleaving(seed: int) -> str:
    """In which order three hosts with the same work come to their turns."""
    loop, said = SimulatedLoop(Random(seed)), []

    async def work(name: str) -> None:
        for _ in range(5):
            said.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(loop.spawn(loop.begin(name), work(name)) for name in "abc"))

    loop.run(main())
    loop.bury()
    return "".join(said)


def test_the_seed_decides_the_order():
    """The same seed gives the same order, another seed another one."""
    assert interleaving(1) == interleaving(1)
    assert len({interleaving(seed) for seed in range(20)}) > 10


def test_a_host_keeps_its_own_order(loop: SimulatedLoop):
    """Callbacks of one host run in the order in which they were scheduled, as asyncio promises."""
    said: list[int] = []
    done = loop.create_future()

    async def main() -> None:
        for number in range(50):
            loop.call_soon(said.append, number)
        loop.call_soon(done.set_result, None)
        await done

    loop.run(main())
    assert said == list(range(50))


def test_time_costs_nothing(loop: SimulatedLoop):
    """A day of waiting passes at once, and the loop's clock says so."""
    began_s = time.monotonic()
    loop.run(asyncio.sleep(DAY_S - 1))
    assert time.monotonic() - began_s < 1
    assert loop.time() == DAY_S - 1


def test_asyncio_works(loop: SimulatedLoop):
    """Time-outs, events, queues, locks, shields and gathering do what they do on a real loop."""

    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock, event = asyncio.Lock(), asyncio.Event()

        async def produce() -> None:
            async with lock:
                for number in range(3):
                    await queue.put(number)
            event.set()

        async def consume() -> list[int]:
            return [await queue.get() for _ in range(3)]

        got = await asyncio.gather(produce(), consume())
        await event.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await loop.create_future()
        inner = asyncio.ensure_future(asyncio.sleep(1, "shielded"))
        outer = asyncio.create_task(asyncio.wait_for(asyncio.shield(inner), 0.5))
        with pytest.raises(TimeoutError):
            await outer
        return [got, await inner, loop.time()]

    assert loop.run(main()) == [[None, [0, 1, 2]], "shielded", 6.0]


def test_after_a_crash_nothing_runs(loop: SimulatedLoop):
    """No callback, timer, `finally` or child of a crashed life ever runs; who waits for it waits on."""
    said: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(5)
            said.append("child woke up")
        finally:
            said.append("child's finally")

    async def work() -> None:
        try:
            asyncio.get_running_loop().call_later(3, said.append, "timer")
            await asyncio.gather(child(), asyncio.sleep(2))
        finally:
            said.append("finally")

    async def main() -> bool:
        life = loop.begin("a")
        task = loop.spawn(life, work())
        await asyncio.sleep(1)
        loop.crash(life)
        await asyncio.wait({task}, timeout=60)
        return task.done()

    assert loop.run(main()) is False
    assert said == []
    loop.bury()


def test_a_message_on_its_way_outlives_its_sender(loop: SimulatedLoop):
    """What was sent to another life arrives there although the sender crashed; to a dead one it is lost."""
    got: list[str] = []

    async def main() -> None:
        sender, receiver = loop.begin("sender"), loop.begin("receiver")

        async def send() -> None:
            loop.later(receiver, 1, got.append, "hello")

        await loop.spawn(sender, send())
        loop.crash(sender)
        await asyncio.sleep(2)
        loop.later(receiver, 1, got.append, "too late")
        loop.crash(receiver)
        await asyncio.sleep(2)

    loop.run(main())
    assert got == ["hello"]


def test_a_pause_parks_and_a_resume_goes_on(loop: SimulatedLoop):
    """A paused life does nothing; when it goes on, its timers are late and nothing is lost."""
    said: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            said.append(loop.time())

    async def main() -> None:
        life = loop.begin("a")
        task = loop.spawn(life, work())
        await asyncio.sleep(1.5)
        loop.pause(life)
        await asyncio.sleep(10)
        assert said == [1.0]
        loop.resume(life)
        await task

    loop.run(main())
    assert said == [1.0, 11.5, 12.5]


def test_a_slow_host_takes_its_time(loop: SimulatedLoop):
    """Each callback of a slow life takes virtual time, and others go on meanwhile."""

    async def spin() -> float:
        for _ in range(10):
            await asyncio.sleep(0)
        return loop.time()

    async def main() -> tuple[float, float]:
        slow, quick = loop.begin("slow"), loop.begin("quick")
        slow.step_s = 0.1
        return await asyncio.gather(loop.spawn(slow, spin()), loop.spawn(quick, spin()))

    slow_s, quick_s = loop.run(main())
    assert quick_s == 0.0
    assert slow_s == pytest.approx(1.0)


async def _in_a_thread() -> None:
    await asyncio.to_thread(time.monotonic)


async def _over_a_socket() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def _a_process() -> None:
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize("reach", [_in_a_thread, _over_a_socket, _a_process])
def test_the_real_world_is_out_of_reach(loop: SimulatedLoop, reach):
    """Threads, sockets and processes are errors."""
    with pytest.raises((Forbidden, NotImplementedError)):
        loop.run(reach())


def test_what_stands_still_is_noticed(loop: SimulatedLoop):
    """Waiting for nobody, beyond the time, or in a circle ends with an error that says which."""

    async def circle() -> None:
        while True:  # noqa: ASYNC110 - to stand still is the point
            await asyncio.sleep(0)

    async def nobody() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stalled, match="nobody"):
        loop.run(nobody())
    with pytest.raises(Stalled, match="not done"):
        loop.run(asyncio.sleep(2 * DAY_S))
    with pytest.raises(Stalled, match="circle"):
        SimulatedLoop(Random(1)).run(circle())


def test_a_defect_is_kept(loop: SimulatedLoop):
    """An exception that nobody handles is told, whoever's callback raised it."""

    async def main() -> None:
        life = loop.begin("a")
        loop.later(life, 1, lambda: 1 / 0)
        await asyncio.sleep(2)

    loop.run(main())
    (said,) = loop.defects
    assert "ZeroDivisionError" in said


def test_an_asynchronous_generator_ends_in_its_host(loop: SimulatedLoop):
    """One that is dropped is closed by its own life; one of a crashed life is not closed at all."""
    closed: list[str] = []

    async def numbers(name: str):
        try:
            while True:
                yield 1
        finally:
            closed.append(name)

    async def work(name: str) -> None:
        async for _ in numbers(name):
            break
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().create_future()

    async def hold(name: str) -> None:
        async for _ in numbers(name):
            await asyncio.sleep(100)

    async def main() -> None:
        crashed = loop.begin("b")
        task = loop.spawn(crashed, hold("b"))
        await loop.spawn(loop.begin("a"), work("a"))
        loop.crash(crashed)
        assert not task.done()
        await asyncio.sleep(1)

    loop.run(main())
    assert closed == ["a"]
