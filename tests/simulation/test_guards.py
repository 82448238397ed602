"""While a simulation runs the real world is out of reach; outside of one, everything is as it was."""

from __future__ import annotations

import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from random import Random

import pytest

from veltrix.simulation.guards import guarded
from veltrix.simulation.loop import Forbidden, SimulatedLoop

REACHES: dict[str, Callable[[], object]] = {
    "a thread": lambda: threading.Thread(target=print).start(),
    "the wall clock": lambda: time.time() + 1,
    "the wall clock in nanoseconds": lambda: time.time_ns() + 1,
    "the monotonic clock": lambda: time.monotonic() + 1,
    "a sleep": lambda: time.sleep(0),
    "the operating system's chance": lambda: os.urandom(1),
    "the shared generator": lambda: random.random() + 1,
    "a choice": lambda: random.choice([1]),
    "a generator without a seed": Random,
    "a secret": lambda: secrets.token_bytes(1),
    "a random identifier": lambda: str(uuid.uuid4()),
    "a socket": socket.socket,
    "a process": lambda: subprocess.Popen([sys.executable, "-c", ""]),
}


@pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES)
def test_the_real_world_is_an_error(reach: Callable[[], object]):
    """Each way to the operating system's time, chance, threads, sockets and processes raises `Forbidden`."""
    loop = SimulatedLoop(Random(1))
    loop.surroundings.append(guarded)

    async def main() -> None:
        reach()

    with pytest.raises(Forbidden, match="in a simulation"):
        loop.run(main())
    loop.bury()


@pytest.mark.parametrize("reach", [time.time, lambda: os.urandom(1), random.random, uuid.uuid4, Random])
def test_afterwards_all_is_as_it_was(reach: Callable[[], object]):
    """The guards end with the run, also when it fails."""
    with pytest.raises(ZeroDivisionError), guarded():
        _ = 1 / 0
    reach()


def test_seeded_chance_and_other_threads_go_on():
    """A generator with a seed is repeatable, so it is allowed; a progress bar's thread is no part of it."""
    looked: list[float] = []
    began, ended = threading.Event(), threading.Event()

    def look() -> None:
        began.wait()
        looked.append(time.time())
        ended.set()

    thread = threading.Thread(target=look)
    thread.start()
    with guarded():
        assert Random("seed").random() == Random("seed").random()
        began.set()
        ended.wait()
    thread.join()
    assert len(looked) == 1
