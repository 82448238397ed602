"""Guards: while a simulation runs, whoever reaches for the real world gets an error, not an answer.

Threads, processes, sockets, clocks and chance of the operating system would make a run one of a kind. The
functions are replaced for the time of a run. Python's own logging may look at the clock: nobody reads what
it notes there. Other threads of the process, a progress bar's say, are not the simulation's.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from veltrix.simulation.loop import Forbidden

CLOCKS: Final = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep",
)  # fmt: skip
CHANCES: Final = (
    "random", "uniform", "randint", "randrange", "choice", "choices", "shuffle", "sample", "getrandbits",
    "randbytes", "gauss", "expovariate",
)  # fmt: skip
_MAY_LOOK: Final = frozenset({"logging"})


def _guard(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
    simulating = threading.get_ident()

    def forbidden(*args: Any, **options: Any) -> Any:
        if threading.get_ident() != simulating or sys._getframe(1).f_globals.get("__name__") in _MAY_LOOK:
            return real(*args, **options)
        raise Forbidden(f"{what} in a simulation: time and chance enter through ports")

    return forbidden


def _unseeded(real: Callable[..., None]) -> Callable[..., None]:
    simulating = threading.get_ident()

    def seed(self: random.Random, a: Any = None, *args: Any, **options: Any) -> None:
        if a is None and threading.get_ident() == simulating:
            raise Forbidden("random.Random without a seed in a simulation")
        real(self, a, *args, **options)

    return seed


def _replacements() -> list[tuple[Any, str, Any]]:
    """What is replaced: (where, name, by what)."""
    found: list[tuple[Any, str, Any]] = [
        (time, name, _guard(f"time.{name}", getattr(time, name))) for name in CLOCKS
    ]
    found += [(random, name, _guard(f"random.{name}", getattr(random, name))) for name in CHANCES]
    urandom = _guard("os.urandom", os.urandom)
    found += [(os, "urandom", urandom), (random, "_urandom", urandom)]
    found.append((random.Random, "seed", _unseeded(random.Random.seed)))
    for owner, name in (
        (threading.Thread, "start"),
        (socket.socket, "__init__"),
        (subprocess.Popen, "__init__"),
    ):
        found.append((owner, name, _guard(f"{owner.__name__}.{name}", getattr(owner, name))))
    return found


@contextmanager
def guarded() -> Generator[None]:
    """Forbid the real world. Garbage is collected before and after: finalizers in between would come at
    moments that depend on what this process did earlier."""
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    standing = [(owner, name, getattr(owner, name)) for owner, name, _ in _replacements()]
    for owner, name, guard in _replacements():
        setattr(owner, name, guard)
    try:
        yield
    finally:
        for owner, name, real in standing:
            setattr(owner, name, real)
        if collecting:
            gc.enable()
