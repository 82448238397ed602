"""Changes as they happen: facts of one event for its organizer's screen, and one registration for its holder.

Who comes back with `Last-Event-ID` gets what came in between: of an event each fact, once and in order; of a
registration its latest state, which is all that counts.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import msgspec

from veltrix.domain import limits
from veltrix.domain.facts import NumberedFact
from veltrix.domain.identifiers import partition_of
from veltrix.observability.logging import get_logger
from veltrix.ports.access import Scope
from veltrix.ports.deliveries import Deliveries, Wanted
from veltrix.ports.errors import PortError
from veltrix.public import PUBLIC_KINDS, public_fact
from veltrix.registration.calls import Call
from veltrix.registration.core import Core
from veltrix.registration.endpoints import problem_answer
from veltrix.registration.outputs import time_of
from veltrix.registration.problems import Problem
from veltrix.registration.registrations import Registrations
from veltrix.registration.streams import Client, Hub, Stream, event_of, wake_all

_log = get_logger("registration")
_encoder = msgspec.json.Encoder()

_PAGE: Final = 500
_AGAIN_S: Final = 1.0
_NOTICES_SHOWN: Final = 50
_LOOK_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""When to look at notices that are under way; nothing tells when one is delivered."""


class Beginning(msgspec.Struct):
    """Where a stream of facts begins: all facts after `fact` follow. `missed`: some before it were too many
    to send; read what you show anew."""

    event: str
    fact: str
    missed: bool


class NoticeChange(msgspec.Struct):
    """A notice to the registration's people and where it stands."""

    id: str
    kind: str
    channel: str
    status: str
    created_at: str


class Notices(msgspec.Struct):
    """The notices of a registration, the newest first."""

    items: list[NoticeChange]


class EventBoard:
    """The last facts of one event, encoded once for all who watch it.

    After `floor` none is missing in `_kept`; what is older is read from the ledger by whoever comes back.
    """

    def __init__(self, core: Core, event: str) -> None:
        self._core = core
        self.event = event
        self.partition = partition_of(event)
        self.clients: dict[Client, None] = {}
        self.floor = 0
        self.last = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._begun: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        """Know where the event stands; raises the port's errors. Facts that come meanwhile are kept."""
        if self._begun is None or (self._begun.done() and self._begun.exception() is not None):
            self._begun = asyncio.ensure_future(self._begin())
        await asyncio.shield(self._begun)

    async def _begin(self) -> None:
        head = await self._core.ports.queries.head(self.partition)
        self.floor = 0 if head is None else head.next_seq - 1
        self.last = max(self.floor, self.last)
        while self._kept and self._kept[0][0] <= self.floor:
            self._kept.popleft()

    def publish(self, numbered: NumberedFact) -> None:
        """A fact of the event was published."""
        if numbered.fact.kind not in PUBLIC_KINDS or (self._kept and numbered.seq <= self._kept[-1][0]):
            return
        self._kept.append((numbered.seq, encoded(numbered, self._core)))
        self.last = max(self.last, numbered.seq)
        if len(self._kept) > limits.STREAM_FACTS_KEPT:
            self.floor = self._kept.popleft()[0]

    def lose(self) -> None:
        """Facts went missing: begin anew; who watches reads the ledger from where they are."""
        self._kept.clear()
        self._begun = None

    def after(self, seq: int) -> list[bytes] | None:
        """The facts after `seq`; None where some may be missing here."""
        if seq < self.floor:
            return None
        return [written for number, written in self._kept if number > seq]


class EventSource:
    """One client's place in the facts of an event."""

    __slots__ = ("_board", "_client", "_core")

    def __init__(self, core: Core, board: EventBoard) -> None:
        self._core = core
        self._board = board
        self._client: Client | None = None

    def join(self, client: Client) -> None:
        """Listen."""
        self._client = client
        self._board.clients[client] = None

    def leave(self, client: Client) -> None:
        """Listen no more."""
        self._board.clients.pop(client, None)

    async def news(self, seen: str) -> tuple[bytes, str, bool] | None:
        """The facts since the one that was seen."""
        board = self._board
        try:
            await board.begin()
            seq = self._place(seen)
            if seq is None:
                return self._beginning(missed=bool(seen))
            found = board.after(seq)
            if found is None:
                return await self._from_ledger(seq)
        except PortError as error:
            _log.warning("changes_not_read", event=board.event, error=str(error))
            asyncio.get_running_loop().call_later(_AGAIN_S, self._wake)
            return None
        return (b"".join(found), f"{board.partition}-{board.last}", False) if found else None

    def _place(self, seen: str) -> int | None:
        """The sequence number of an id of ours; one of the future is none."""
        partition, _, number = seen.partition("-")
        if partition != str(self._board.partition) or not (number.isascii() and number.isdecimal()):
            return None
        seq = int(number[:18])
        return seq if seq <= self._board.last else None

    def _beginning(self, *, missed: bool) -> tuple[bytes, str, bool]:
        board = self._board
        identity = f"{board.partition}-{board.last}"
        return (
            event_of("begin", _encoder.encode(Beginning(board.event, identity, missed)), identity),
            identity,
            False,
        )

    async def _from_ledger(self, seq: int) -> tuple[bytes, str, bool]:
        """What a client missed that the board does not hold, up to where the board goes on."""
        board, looked_at = self._board, 0
        if board.floor - seq > limits.STREAM_RESUME_FACTS_MAX:
            return self._beginning(missed=True)
        said: list[bytes] = []
        while seq < board.floor:
            page = await self._core.ports.queries.facts(board.partition, seq, min(_PAGE, board.floor - seq))
            if not page:
                break
            seq, looked_at = page[-1].seq, looked_at + len(page)
            said += [
                encoded(each, self._core)
                for each in page
                if each.fact.event == board.event and each.fact.kind in PUBLIC_KINDS
            ]
        self._wake()  # the board has the rest
        return b"".join(said) or b": nothing missed\n\n", f"{board.partition}-{seq}", False

    def _wake(self) -> None:
        if self._client is not None:
            self._client.wake()


class RegistrationSource:
    """One registration as its holder sees it, and the notices about it."""

    __slots__ = ("_call", "_changes", "_client", "_looks", "_registration", "_single", "_timer", "event")

    def __init__(
        self, changes: Changes, single: Registrations, call: Call, registration: str, event: str
    ) -> None:
        self._changes = changes
        self._single = single
        self._call = call
        self._registration = registration
        self.event = event
        self._client: Client | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0

    def join(self, client: Client) -> None:
        """Listen."""
        self._client = client
        self._changes.watch(self._registration, self.event, client)

    def leave(self, client: Client) -> None:
        """Listen no more."""
        self._changes.unwatch(self._registration, self.event, client)
        self._client = None
        if self._timer is not None:
            self._timer.cancel()

    async def news(self, seen: str) -> tuple[bytes, str, bool] | None:
        """The registration if it is another than the one that was seen, and its notices likewise."""
        known, _, known_notices = seen.partition("-")
        try:
            answer = await self._single.read(self._call)
            notices = await self._notices()
        except Problem as problem:  # handed to somebody else: this link shows nothing any more
            return event_of("gone", problem_answer(problem, self._call).body, "gone"), "gone", True
        except PortError as error:
            _log.warning("registration_not_read", registration=self._registration, error=str(error))
            self._look_later(_AGAIN_S)
            return None
        state, told = f"{zlib.crc32(answer.body):08x}", f"{zlib.crc32(notices):08x}"
        identity = f"{state}-{told}"
        said = b""
        if state != known:
            self._looks = 0
            said += event_of("registration", answer.body, identity)
        if told != known_notices:
            said += event_of("notices", notices, identity)
        return (said, identity, False) if said else None

    async def _notices(self) -> bytes:
        """The notices about it; looked at again in a while as long as one is under way."""
        deliveries = self._changes.deliveries
        if deliveries is None:
            return _encoder.encode(Notices([]))
        found = await deliveries.search(Wanted(registration=self._registration), None, _NOTICES_SHOWN)
        if self._looks < len(_LOOK_S) and (not self._looks or any(each.due_ms is not None for each in found)):
            self._look_later(_LOOK_S[self._looks])
            self._looks += 1
        return _encoder.encode(
            Notices(
                [
                    NoticeChange(
                        each.notice.id,
                        each.notice.kind,
                        each.notice.channel,
                        each.status.value,
                        time_of(each.notice.created_ms),
                    )
                    for each in found
                    if each.notice.channel != "webhook"
                ]
            )
        )

    def _look_later(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._client.wake)


@dataclass
class Changes:
    """Handlers of streams of changes."""

    core: Core
    hub: Hub
    single: Registrations
    deliveries: Deliveries | None = None
    _boards: dict[str, EventBoard] = field(default_factory=dict)
    _by_registration: dict[str, dict[Client, None]] = field(default_factory=dict)
    _by_event: dict[str, dict[Client, None]] = field(default_factory=dict)
    _waking: set[asyncio.Task[None]] = field(default_factory=set)

    async def event(self, call: Call) -> Stream:
        """The facts of one of the organizer's events, as they are published."""
        event = (await self.core.directory.find(call.params["event"])).event
        if event.organizer != call.organizer_key.organizer:
            raise Problem("unknown_event")
        for idle in [idle for idle, board in self._boards.items() if not board.clients]:
            del self._boards[idle]
        board = self._boards.setdefault(event.id, EventBoard(self.core, event.id))
        return self.hub.admit(EventSource(self.core, board), last_id(call))

    async def registration(self, call: Call) -> Stream:
        """A registration, as it changes."""
        call.query()
        subject = await self.single.subject(call, Scope.READ)
        registration = subject.registration
        source = RegistrationSource(self, self.single, call, registration.id, registration.event)
        return self.hub.admit(source, last_id(call))

    def watch(self, registration: str, event: str, client: Client) -> None:
        """Somebody watches a registration."""
        self._by_registration.setdefault(registration, {})[client] = None
        self._by_event.setdefault(event, {})[client] = None

    def unwatch(self, registration: str, event: str, client: Client) -> None:
        """Somebody does no more."""
        for clients, key in ((self._by_registration, registration), (self._by_event, event)):
            theirs = clients.get(key)
            if theirs is not None:
                theirs.pop(client, None)
                if not theirs:
                    del clients[key]

    def publish(self, numbered: NumberedFact) -> None:
        """A fact came, in the order of its partition."""
        fact = numbered.fact
        board = self._boards.get(fact.event)
        if board is not None:
            board.publish(numbered)
            self._wake(board.clients)
        if fact.registration is not None:
            for client in self._by_registration.get(fact.registration.id, ()):
                client.wake()
        elif fact.event in self._by_event:
            self._wake(self._by_event[fact.event])

    def forget(self, partition: int) -> None:
        """Facts went missing: whatever is watched is read again."""
        for board in self._boards.values():
            if board.partition == partition:
                board.lose()
                self._wake(board.clients)
        for event, clients in self._by_event.items():
            if partition_of(event) == partition:
                self._wake(clients)

    def _wake(self, clients: dict[Client, None]) -> None:
        if not clients:
            return
        task = asyncio.create_task(wake_all(list(clients)), name="changes")
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)


def encoded(numbered: NumberedFact, core: Core) -> bytes:
    """A fact as an event of the stream: the CloudEvent that webhooks carry."""
    body = _encoder.encode(public_fact(numbered, core.settings.base_url))
    return event_of("fact", body, f"{numbered.partition}-{numbered.seq}")


def last_id(call: Call) -> str:
    """What the client saw last."""
    return call.headers.get(b"last-event-id", b"").decode("latin-1")
