"""An event loop of its own: virtual time, a seeded order of hosts, and hosts that crash and pause.

Every callback belongs to the life of a host, which it inherits by its context. Callbacks of one life run in
the order in which they were scheduled, as asyncio promises; which life goes next is drawn. Time passes only
when no life has anything to do. A crash ends a life: nothing of it ever runs again, no `finally` either.
What the real world would answer (threads, sockets, processes) is an error here.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import warnings
import weakref
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

T = TypeVar("T")

STILL_MAX: Final = 100_000
"""Steps at one instant; past them something goes in a circle."""


class Forbidden(Exception):
    """Simulated code reached for the real world: a thread, a socket, a process."""


class Stalled(Exception):
    """The simulation cannot go on: nobody has anything to do, time is over, or it goes in a circle."""


LIFE: ContextVar[Life] = ContextVar("LIFE")
_Item = tuple[Any, tuple[Any, ...], Context | None]
"""A callback with its arguments and its context; or a handle without a context."""


class Life:
    """One life of a host, from its start to its crash."""

    def __init__(self, host: str, number: int) -> None:
        self.host = host
        self.number = number
        self.ended = False
        self.paused = False
        self.step_s = 0.0
        """Virtual time that one callback takes; above zero the host is slow."""
        self.ready: deque[_Item] = deque()
        self.resting = False
        self.awake = False
        self.tasks_kept = 0
        self.context = Context()
        self.context.run(LIFE.set, self)

    def __repr__(self) -> str:
        return f"{self.host}#{self.number}"


class _Handle:
    """A callback, whose it is, and when. asyncio's own would look for a debug mode each time."""

    __slots__ = ("__weakref__", "args", "callback", "context", "dropped", "life", "when_s")

    def __init__(
        self,
        when_s: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        life: Life,
    ) -> None:
        self.when_s = when_s
        self.callback = callback
        self.args = args
        self.context = context
        self.life = life
        self.dropped = False

    def cancel(self) -> None:
        """It is dropped when its turn comes."""
        self.dropped = True
        self.callback, self.args = _nothing, ()


def _nothing(*_: object) -> None:
    """What a cancelled callback holds on to."""


# To a type checker asyncio's loop is abstract in forty methods, most of them sockets: none exists here.
_EventLoop: Any = Any if TYPE_CHECKING else asyncio.AbstractEventLoop


class SimulatedLoop(_EventLoop):  # type: ignore[misc]  # as said above
    """The loop. `outside` is the life of what watches: the nemesis, the checkers, the test itself."""

    def __init__(self, random: Random) -> None:
        self.outside = Life("outside", 0)
        self.steps = 0
        self.defects: list[str] = []
        self.surroundings: list[Callable[[], AbstractContextManager[None]]] = []
        """Entered while it runs: what stands in for the real world, and keeps it out."""
        self._random = random
        self.now_s = 0.0
        self._numbers = count()
        self._timers: list[tuple[float, int, Life, _Item]] = []
        self._awake: list[Life] = []
        self._lives: dict[str, int] = {}
        self._tasks: dict[Life, list[asyncio.Task[Any]]] = {}
        self._generators: weakref.WeakKeyDictionary[Any, Life] = weakref.WeakKeyDictionary()
        self._graves: list[object] = []
        self._over = False

    # -- hosts -----------------------------------------------------------------------------------

    def begin(self, host: str) -> Life:
        """A new life of a host."""
        number = self._lives[host] = self._lives.get(host, 0) + 1
        return Life(host, number)

    def spawn(self, life: Life, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as part of a life."""
        context = copy_context()
        context.run(LIFE.set, life)
        return self.create_task(coroutine, context=context)

    def later(
        self, life: Life, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        """Call something on behalf of a life, whoever asks, unless it is cancelled before."""
        when_s = self.now_s + delay_s
        timer = _Handle(when_s, callback, args, life.context, life)
        heapq.heappush(self._timers, (when_s, next(self._numbers), life, (timer, (), None)))
        return timer  # type: ignore[return-value]  # to whoever cancels, it is one

    def post(self, life: Life, when_s: float, callback: Callable[..., object], *args: Any) -> None:
        """The same at a time, for what nobody cancels: a message that is on its way arrives."""
        heapq.heappush(self._timers, (when_s, next(self._numbers), life, (callback, args, life.context)))

    def crash(self, life: Life) -> None:
        """End a life between two of its callbacks: from now on it never was."""
        life.ended = True
        self._graves.extend(life.ready)
        life.ready.clear()
        self._sleep(life)
        self._graves.extend(self._tasks.pop(life, ()))

    def pause(self, life: Life) -> None:
        """Stop a life where it is (SIGSTOP); its timers go on and wait for it."""
        life.paused = True
        self._sleep(life)

    def resume(self, life: Life) -> None:
        """Let a paused life go on."""
        life.paused = False
        self._wake(life)

    # -- running ---------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T], most_s: float = 86_400.0) -> T:
        """Run until `main`, which belongs to `outside`, is done; `Stalled` when `most_s` pass before."""
        with self._running():
            task = self.spawn(self.outside, main)
            self._until(task, self.now_s + most_s)
            return task.result()

    def run_until_complete(self, future: Any) -> Any:
        """What asyncio's runners ask for: a test's fixtures and body run one after the other on one loop."""
        with self._running():
            task = asyncio.ensure_future(future, loop=self)
            self._until(task, self.now_s + 86_400.0)
            return task.result()

    async def shutdown_asyncgens(self) -> None:
        """Asynchronous generators end with their lives."""

    async def shutdown_default_executor(self, *_: object) -> None:
        """There are no threads to end."""

    def close(self) -> None:
        """End the simulation."""
        self.bury()

    def bury(self) -> None:
        """End the simulation. `finally` blocks of what crashed run now, when they have no effect any more."""
        self._over = True
        waiting = [grave for grave in self._graves if isinstance(grave, asyncio.Task)]
        waiting += [task for tasks in self._tasks.values() for task in tasks]
        with warnings.catch_warnings():
            # A `finally` that awaits finds no loop any more; what it would have awaited is no defect.
            warnings.simplefilter("ignore", RuntimeWarning)
            for task in waiting:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does
                    with suppress(BaseException):
                        task.get_coro().close()
            for kept in (waiting, self._tasks, self._graves, self._timers, self._awake):
                kept.clear()

    def _until(self, done: asyncio.Future[Any], most_s: float) -> None:
        """Draw one life after the other for its next callback, until `done` is."""
        random, lives, still, finished = self._random.random, self._awake, 0, done.done
        while not finished():
            if not lives:
                before_s = self.now_s
                self._advance(most_s)
                still = still if self.now_s == before_s else 0
                continue
            still += 1
            if still > STILL_MAX:
                raise Stalled(f"{STILL_MAX} steps at {self.now_s:.6f} s: something goes in a circle")
            life = lives[int(random() * len(lives))] if len(lives) > 1 else lives[0]
            callback, args, context = life.ready.popleft()
            if not life.ready:
                life.awake = False
                lives.remove(life)
            if context is None:  # a handle, which may have been cancelled since
                if callback.dropped:
                    continue
                callback, args, context = callback.callback, callback.args, callback.context
            self.steps += 1
            if life.step_s:
                self._rest(life)
            try:
                context.run(callback, *args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                name = getattr(callback, "__qualname__", "")  # and no address: histories are compared
                self.call_exception_handler({"message": f"in {name}", "exception": error})

    def _advance(self, most_s: float) -> None:
        """Let time pass to the next timer; every timer of that instant wakes its life."""
        timers, pop, awake = self._timers, heapq.heappop, self._awake
        while not awake:
            if not timers:
                raise Stalled(f"at {self.now_s:.6f} s nobody has anything left to do")
            when_s, _, life, item = pop(timers)
            if life.ended or (item[2] is None and item[0].dropped):
                continue
            now_s = self.now_s = max(self.now_s, when_s)
            if now_s > most_s:
                raise Stalled(f"not done at {most_s:.0f} simulated seconds")
            self._enqueue(life, item)
            while timers and timers[0][0] <= now_s:
                _, _, life, item = pop(timers)
                if not (life.ended or (item[2] is None and item[0].dropped)):
                    self._enqueue(life, item)

    def _rest(self, life: Life) -> None:
        """A slow life does nothing more for a while after each step."""
        life.resting = True
        self._sleep(life)
        self.post(self.outside, self.now_s + life.step_s, self._rested, life)

    def _rested(self, life: Life) -> None:
        life.resting = False
        self._wake(life)

    def _enqueue(self, life: Life, item: _Item) -> None:
        if life.ended or self._over:
            self._graves.append(item)
            return
        life.ready.append(item)
        if not life.awake and not life.paused and not life.resting:
            life.awake = True
            self._awake.append(life)

    def _wake(self, life: Life) -> None:
        if life.ready and not (life.awake or life.paused or life.resting or life.ended):
            life.awake = True
            self._awake.append(life)

    def _sleep(self, life: Life) -> None:
        if life.awake:
            life.awake = False
            self._awake.remove(life)

    @contextmanager
    def _running(self) -> Generator[None]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._generator_begins, finalizer=self._generator_ends)
        events._set_running_loop(self)
        try:
            with ExitStack() as stack:
                for surrounding in self.surroundings:
                    stack.enter_context(surrounding())
                yield
        finally:
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _generator_begins(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators[generator] = LIFE.get(self.outside)

    def _generator_ends(self, generator: AsyncGenerator[Any, Any]) -> None:
        life = self._generators.get(generator, self.outside)
        if life.ended or self._over:
            self._graves.append(generator)
        else:
            _ = self.spawn(life, _closing(generator))

    # -- what asyncio asks of a loop -------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the simulation began."""
        return self.now_s

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run it as soon as its host's turn comes."""
        context = copy_context() if context is None else context
        life = context.get(LIFE, self.outside)
        handle = _Handle(self.now_s, callback, args, context, life)
        self._enqueue(life, (handle, (), None))
        return handle  # type: ignore[return-value]  # to whoever cancels, it is one

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it after so many virtual seconds."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it at a virtual time."""
        context = copy_context() if context is None else context
        life = context.get(LIFE, self.outside)
        timer = _Handle(when, callback, args, context, life)
        heapq.heappush(self._timers, (when, next(self._numbers), life, (timer, (), None)))
        return timer  # type: ignore[return-value]  # to whoever cancels, it is one

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """A task; it belongs to the life of who makes it."""
        life = (copy_context() if context is None else context).get(LIFE, self.outside)
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        # Who waits is kept alive, or garbage collection would run its `finally` after a crash.
        tasks = self._tasks.setdefault(life, [])
        tasks.append(task)
        if len(tasks) > 2 * life.tasks_kept + 64:
            tasks[:] = [each for each in tasks if not each.done()]
            life.tasks_kept = len(tasks)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that nobody handles is a defect of the simulated code, and kept."""
        error = context.get("exception")
        said = f"{context.get('message', '')}: {type(error).__name__}: {error}"
        if not self._over:
            self.defects.append(said)

    def get_debug(self) -> bool:
        """No debug mode: it would look at the real clock."""
        return False

    def is_running(self) -> bool:
        """Whether it is the running loop."""
        return events._get_running_loop() is self

    def set_debug(self, enabled: bool) -> None:
        """It has none."""

    def is_closed(self) -> bool:
        """Whether the simulation is over."""
        return self._over

    def life(self) -> Life:
        """Whose callback is running."""
        return LIFE.get(self.outside)

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        """asyncio tells; it is dropped when its time comes."""

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> NoReturn:
        """There are no threads to call it."""
        raise Forbidden("call_soon_threadsafe: simulated code has no threads")

    def run_in_executor(self, *_: Any, **__: Any) -> NoReturn:
        """There are no threads to run in."""
        raise Forbidden("run_in_executor: simulated code has no threads")


async def _closing(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
