"""Server-sent events: one small object a client, woken when there is news and for a heartbeat.

A client holds no queue: it is told that there is something newer, and takes the latest when it can. So
a slow one skips states and costs nobody anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.types import Receive, Send

from veltrix.ports.system import Clock
from veltrix.registration.calls import Call, at_once
from veltrix.registration.meters import Meters
from veltrix.registration.problems import Problem

HEARTBEAT: Final = b": beat\n\n"
END: Final = b'event: end\ndata: {"reason":"stopping"}\n\n'
_RETRY: Final = b"retry: 2000\n\n"
_WOKEN_AT_ONCE: Final = 250
_STUCK_BEATS: Final = 4


class Source(Protocol):
    """What a client listens to."""

    def join(self, client: Client) -> None:
        """A client begins to listen."""
        ...

    def leave(self, client: Client) -> None:
        """It listens no more."""
        ...

    async def news(self, seen: str) -> tuple[bytes, str, bool] | None:
        """What is newer than the event of the id `seen`: the event, its id, and whether it is the last."""
        ...


class Client:
    """Somebody who listens."""

    __slots__ = ("_future", "_woken", "beats", "task")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._woken = False
        self.beats = 0
        self.task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is news; many wakings before it looks are one."""
        self._woken = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Until woken."""
        if not self._woken:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
            self._future = None
        self._woken = False


@dataclass(slots=True)
class Stream:
    """The answer that never ends: events as they come."""

    hub: Hub
    source: Source
    seen: str
    status: int = 200

    async def send(self, call: Call, send: Send) -> None:
        """Write the head, then events until the client goes or the process stops."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # a proxy must not keep events back
            (b"x-trace-id", call.trace.trace_id.encode()),
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if call.method != "HEAD":
                await self.hub.run(self.source, self.seen, call.receive, send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.hub.left()


class Hub:
    """All clients of all streams: counted, kept alive, and ended together."""

    def __init__(self, clock: Clock, most: int, heartbeat_s: float, meters: Meters) -> None:
        self._clock = clock
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._meters = meters
        self._clients: dict[Client, None] = {}
        self._count = 0
        self.stopping = False

    def __len__(self) -> int:
        return self._count

    def admit(self, source: Source, seen: str) -> Stream:
        """A stream for one more client. Raises `Problem` too_many_streams."""
        if self._count >= self._most:
            self._meters.turned_away("too_many_streams")
            raise Problem("too_many_streams").retry_after(10)
        self._count += 1
        return Stream(self, source, seen[:128])

    def left(self) -> None:
        """A stream has ended."""
        self._count -= 1

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._count

    async def run(self, source: Source, seen: str, receive: Receive, send: Send) -> None:
        """Tell one client what is new until it goes."""
        client = Client()
        client.task = asyncio.current_task()
        self._clients[client] = None
        source.join(client)
        try:
            await send({"type": "http.response.body", "body": _RETRY, "more_body": True})
            while not self.stopping:
                found = await source.news(seen)
                if found is not None:
                    event, seen, last = found
                    await _write(client, send, event)
                    if last:
                        return
                await client.wait()
                if client.beats:
                    if gone(receive):
                        return
                    await _write(client, send, HEARTBEAT)
            await _write(client, send, END)
        finally:
            source.leave(client)
            self._clients.pop(client, None)

    async def beat(self) -> None:
        """Again and again: wake everybody for a heartbeat, spread over its interval.

        A heartbeat is how a connection that went away is noticed. Who has not taken the last few is
        stuck behind a full buffer, and is dropped.
        """
        while True:
            clients = list(self._clients)
            self._meters.gauge("stream_clients", self._count)
            slices = [clients[at : at + _WOKEN_AT_ONCE] for at in range(0, len(clients), _WOKEN_AT_ONCE)]
            for some in slices:
                for client in some:
                    client.beats += 1
                    if client.beats > _STUCK_BEATS and client.task is not None:
                        client.task.cancel()
                    client.wake()
                await asyncio.sleep(self._heartbeat_s / len(slices))
            if not slices:
                await asyncio.sleep(self._heartbeat_s)

    async def stop(self) -> None:
        """End every stream with a last event."""
        self.stopping = True
        await wake_all(list(self._clients))


async def _write(client: Client, send: Send, chunk: bytes) -> None:
    """Write; waits while the client's buffer is full. What was taken shows that it lives."""
    await send({"type": "http.response.body", "body": chunk, "more_body": True})
    client.beats = 0


async def wake_all(clients: Iterable[Client]) -> None:
    """Wake clients some at a time, so that requests in between do not wait for ten thousand writes."""
    for number, client in enumerate(clients, start=1):
        client.wake()
        if number % _WOKEN_AT_ONCE == 0:
            await asyncio.sleep(0)


def gone(receive: Receive) -> bool:
    """Whether the client has gone; a task that waits for that would cost each client a kilobyte more."""
    for _ in range(2):  # the first message may still be the request's empty body
        message = at_once(receive)
        if message is None:
            return False
        if message["type"] == "http.disconnect":
            return True
    return False


def event_of(name: str, data: bytes, identity: str = "") -> bytes:
    """One event; its data is a line of JSON."""
    head = f"event: {name}\n" + (f"id: {identity}\n" if identity else "")
    return head.encode() + b"data: " + data + b"\n\n"
