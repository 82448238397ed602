"""What is pushed: an event's seats to all who watch it, and a command's place in line to who asked."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress

import msgspec

from veltrix.domain.credentials import Receipt
from veltrix.domain.event import EventStatus
from veltrix.domain.facts import NumberedFact
from veltrix.observability.logging import get_logger
from veltrix.ports.errors import PortError
from veltrix.ports.feed import Reply
from veltrix.registration.calls import Answer, Call
from veltrix.registration.core import Core
from veltrix.registration.decisions import Decisions
from veltrix.registration.endpoints import problem_answer
from veltrix.registration.event_bodies import AsOf, seats_of
from veltrix.registration.problems import Problem
from veltrix.registration.progress import Progress
from veltrix.registration.streams import Client, Hub, Stream, event_of, wake_all

_log = get_logger("registration")
_encoder = msgspec.json.Encoder()

_DECIDED = "decided"
_READ_AGAIN_S = 1.0
_PLACES_PER_S = 5_000
"""Places in line that are told in a second at most: with many who ask, each is told less often."""


class PlaceInLine(msgspec.Struct):
    """How many commands are before this one, at most, and how long that may take."""

    place_in_line: int
    estimated_wait_s: float | None
    as_of: AsOf


class SeatsBoard:
    """What is left of one event, for all who watch it: read once, encoded once."""

    def __init__(self, core: Core, event: str) -> None:
        self._core = core
        self._event = event
        self._clients: dict[Client, None] = {}
        self._changed = asyncio.Event()
        self._latest = b""
        self._identity = ""
        self._reading: asyncio.Task[None] | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody listens."""
        return bool(self._clients)

    def join(self, client: Client) -> None:
        """One more listens; the first one starts the reading."""
        self._clients[client] = None
        if self._reading is None:
            self._changed.set()
            self._reading = asyncio.create_task(self._run(), name=f"seats/{self._event}")

    def leave(self, client: Client) -> None:
        """One less; the last one ends the reading."""
        self._clients.pop(client, None)
        if not self._clients and self._reading is not None:
            self._reading.cancel()
            self._reading = None
            self._latest, self._identity = b"", ""

    def touch(self) -> None:
        """Something happened to the event."""
        self._changed.set()

    async def news(self, seen: str) -> tuple[bytes, str, bool] | None:
        """The latest numbers, unless they are those that were seen."""
        if not self._latest or _state(seen) == _state(self._identity):
            return None
        return self._latest, self._identity, False

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._read()
            except PortError as error:
                _log.warning("seats_not_read", event=self._event, error=str(error))
                self._changed.set()
                await asyncio.sleep(_READ_AGAIN_S)
            await asyncio.sleep(self._core.settings.stream_coalesce_s)

    async def _read(self) -> None:
        view = await self._core.ports.queries.event(self._event)
        if view is None:
            return
        seats = seats_of(view)
        numbers = zlib.crc32(_encoder.encode((seats.pools, seats.waiting)))
        identity = f"{view.partition}-{view.next_offset}-{numbers:08x}"
        if _state(identity) == _state(self._identity):
            return
        self._identity = identity
        self._latest = event_of("seats", _encoder.encode(seats), identity)
        await wake_all(list(self._clients))


def _state(identity: str) -> str:
    """The part of an id that tells one state from another: other commands move the offset alone."""
    return identity.rpartition("-")[2]


class Line:
    """The line before one partition: whoever waits in it is told when it moves."""

    def __init__(self, coalesce_s: float) -> None:
        self._coalesce_s = coalesce_s
        self._clients: dict[Client, None] = {}
        self._telling: asyncio.Task[None] | None = None

    def join(self, client: Client) -> None:
        """One more waits."""
        self._clients[client] = None

    def leave(self, client: Client) -> None:
        """One less."""
        self._clients.pop(client, None)

    def touch(self) -> None:
        """The line has moved: tell all in a moment, unless that is about to happen."""
        if self._clients and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(), name="place-in-line")

    async def stop(self) -> None:
        """Tell nobody any more."""
        if self._telling is not None:
            self._telling.cancel()
            with suppress(asyncio.CancelledError):
                await self._telling

    async def _tell(self) -> None:
        await asyncio.sleep(max(self._coalesce_s, len(self._clients) / _PLACES_PER_S))
        await wake_all(list(self._clients))


class PlaceSource:
    """One command's place in line, and in the end its decision."""

    __slots__ = ("_call", "_core", "_decisions", "_line", "_printed", "_progress", "_receipt", "_reply")

    def __init__(
        self, core: Core, decisions: Decisions, line: Line, call: Call, receipt: Receipt, printed: str
    ) -> None:
        self._core = core
        self._decisions = decisions
        self._line = line
        self._call = call
        self._receipt = receipt
        self._printed = printed
        self._progress = core.desk.progress[receipt.partition]
        self._reply: asyncio.Future[Reply] | None = None

    def join(self, client: Client) -> None:
        """Listen to the line, and for the command's own reply."""
        self._line.join(client)
        self._reply = self._core.desk.watch(self._receipt.command)
        self._reply.add_done_callback(lambda _: client.wake())

    def leave(self, client: Client) -> None:
        """Listen no more."""
        self._line.leave(client)
        if self._reply is not None:
            self._core.desk.unwatch(self._receipt.command, self._reply)

    async def news(self, seen: str) -> tuple[bytes, str, bool] | None:
        """The decision, or another place in line than the one that was seen."""
        receipt, progress = self._receipt, self._progress
        first = not seen
        if first or receipt.offset < progress.next_offset or (self._reply is not None and self._reply.done()):
            body = await self._decision()
            if body is not None:
                return event_of("decision", body, _DECIDED), _DECIDED, True
        place = PlaceInLine(
            progress.place(receipt.offset),
            progress.estimated_wait_s(receipt.offset),
            AsOf(progress.partition, progress.next_offset),
        )
        identity = f"{progress.partition}-{place.place_in_line}"
        if identity == seen:
            return None
        return event_of("place", _encoder.encode(place), identity), identity, False

    async def _decision(self) -> bytes | None:
        """What GET on the receipt would be answered, as soon as it is decided."""
        try:
            settled = await self._decisions.settled(self._receipt, self._printed, 0.0)
            if settled is None:
                return None
            return (await self._core.decided(self._call, settled)).body
        except Problem as problem:
            return problem_answer(problem, self._call).body
        except PortError:
            return None


class Live:
    """Handlers of streams."""

    def __init__(self, core: Core, decisions: Decisions) -> None:
        settings = core.settings
        self._core = core
        self._decisions = decisions
        self._boards: dict[str, SeatsBoard] = {}
        self._lines = [Line(settings.stream_coalesce_s) for _ in core.desk.progress]
        self.hub = Hub(
            core.ports.clock, settings.stream_clients_max, settings.stream_heartbeat_s, core.meters
        )
        core.on_applied.append(self._apply)
        core.desk.on_progress = self._moved

    async def seats(self, call: Call) -> Stream:
        """What is left of an event, as it changes."""
        event, key = (await self._core.directory.find(call.params["event"])).event, call.key
        if event.status is EventStatus.DRAFT and (key is None or key.organizer != event.organizer):
            raise Problem("unknown_event")
        for idle in [idle for idle, board in self._boards.items() if not board.watched]:
            del self._boards[idle]
        board = self._boards.setdefault(event.id, SeatsBoard(self._core, event.id))
        return self.hub.admit(board, _last_id(call))

    async def decision(self, call: Call) -> Stream | Answer:
        """A command's place in line and its decision."""
        receipt, printed = self._decisions.receipt(call)
        seen = _last_id(call)
        if seen == _DECIDED:  # a browser comes back after the last event; this tells it to stay away
            return Answer(204)
        line = self._lines[receipt.partition]
        source = PlaceSource(self._core, self._decisions, line, call, receipt, printed)
        return self.hub.admit(source, seen)

    def forget(self, partition: int) -> None:
        """Facts went missing: whatever is watched is read again."""
        for board in self._boards.values():
            board.touch()

    async def stop(self) -> None:
        """End all streams."""
        await self.hub.stop()
        for line in self._lines:
            await line.stop()

    def _apply(self, fact: NumberedFact) -> None:
        board = self._boards.get(fact.fact.event)
        if board is not None:
            board.touch()

    def _moved(self, progress: Progress) -> None:
        self._lines[progress.partition].touch()


def _last_id(call: Call) -> str:
    return call.headers.get(b"last-event-id", b"").decode("latin-1")
