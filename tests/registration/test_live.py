"""Server-sent events: seats left, and places in line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.registration.house import House, a_house, person, quick, until
from veltrix.domain.identifiers import partition_of
from veltrix.registration.streams import gone

FAST = quick(stream_coalesce_s=0.01, stream_heartbeat_s=0.02)


class Listener:
    """A client of a stream, spoken to without a server in between."""

    def __init__(self, house: House, path: str, last_id: str = "", method: str = "GET") -> None:
        headers = [(b"last-event-id", last_id.encode())] if last_id else []
        self.scope: dict[str, Any] = {
            "type": "http", "method": method, "path": path, "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        self.status = 0
        self.text = ""
        self.news = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self._left = asyncio.Event()
        self._asked = False
        self.task = asyncio.create_task(house.service.app(self.scope, self._receive, self._send))

    async def _receive(self):
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        await self.taking.wait()
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        self.news.set()

    def leave(self):
        """Go away without a word, as clients do."""
        self._left.set()

    @property
    def events(self):
        """The events so far: (name, id, data)."""
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line
            )
            if "data" in fields:
                found.append((fields.get("event"), fields.get("id"), json.loads(fields["data"])))
        return found

    async def until(self, condition):
        """Wait for news until the condition holds."""
        async with asyncio.timeout(5):
            while not condition():
                self.news.clear()
                await self.news.wait()


async def test_seats_are_pushed_as_they_change():
    """A watcher gets the numbers at once and after each change, with the offset they are as of."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        one = Listener(house, f"/v1/events/{event}/seats/stream")
        await one.until(lambda: len(one.events) == 1)
        assert one.status == 200
        await house.register(event, person("Ada", 2))
        await one.until(lambda: len(one.events) == 2)
        name, _, seats = one.events[1]
        assert name == "seats"
        assert seats["pools"] == [{"key": "main", "capacity": 3, "taken": 2, "free": 1}]
        assert seats["as_of"]["partition"] == partition_of(event)
        assert one.events[0][2]["as_of"]["offset"] < seats["as_of"]["offset"]
        one.leave()
        async with asyncio.timeout(5):
            await one.task  # the next heartbeat finds that nobody is there
        assert len(house.service._live.hub) == 0


async def test_what_is_unchanged_is_not_told_again():
    """Last-Event-ID resumes: the same numbers are not repeated, others are told."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        path = f"/v1/events/{event}/seats/stream"
        one = Listener(house, path)
        await one.until(lambda: one.events)
        seen = one.events[0][1]
        await house.organizer.post(f"/v1/events/{event}/open")  # moves the offset, and no number
        again = Listener(house, path, seen)
        await again.until(lambda: ": beat" in again.text)
        assert again.events == []
        await house.register(event)
        await again.until(lambda: again.events)
        assert again.events[0][2]["pools"][0]["taken"] == 1
        for listener in (one, again):
            listener.leave()
            await listener.task


async def test_many_watchers_cost_one_read():
    """However many watch an event, a change of it is read and encoded once for all."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        many = [Listener(house, f"/v1/events/{event}/seats/stream") for _ in range(50)]
        for one in many:
            await one.until(lambda one=one: one.events)
        reads, read = [], house.ledger.event

        async def counted(*arguments):
            reads.append(arguments)
            return await read(*arguments)

        house.ledger.event = counted
        await house.register(event)
        for one in many:
            await one.until(lambda one=one: len(one.events) == 2)
        assert len(reads) <= 2
        for one in many:
            one.leave()
            await one.task


async def test_a_slow_watcher_skips_states():
    """Who does not read holds up nobody, keeps no queue, and gets the latest when it reads again."""
    async with a_house(FAST) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 50}])
        slow, quick_one = [Listener(house, f"/v1/events/{event}/seats/stream") for _ in range(2)]
        for one in (slow, quick_one):
            await one.until(lambda one=one: one.events)
        slow.taking.clear()
        for number in range(5):
            count = len(quick_one.events)
            await house.register(event, person(f"P{number}"))
            await quick_one.until(lambda count=count: len(quick_one.events) > count)
        slow.taking.set()
        await slow.until(lambda: slow.events[-1][2] == quick_one.events[-1][2])
        assert len(slow.events) < len(quick_one.events)
        for one in (slow, quick_one):
            one.leave()
            await one.task


async def test_who_is_stuck_is_dropped():
    """A client that takes nothing for several heartbeats is let go."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        stuck = Listener(house, f"/v1/events/{event}/seats/stream")
        await stuck.until(lambda: stuck.events)
        stuck.taking.clear()
        async with asyncio.timeout(5):
            await asyncio.wait([stuck.task])
        assert stuck.task.cancelled()
        assert len(house.service._live.hub) == 0


async def test_a_place_in_line_moves_up():
    """Who waits is told their place, when it changes, and at last the decision; then the stream ends."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        await house.pause()
        answers = [await house.register(event, person(f"P{n}"), prefer="respond-async") for n in range(3)]
        location = answers[2].headers["location"]
        one = Listener(house, f"{location}/stream")
        await one.until(lambda: one.events)
        assert one.events[0][0] == "place"
        assert one.events[0][2]["place_in_line"] == 2
        await house.decide()
        async with asyncio.timeout(5):
            await one.task
        name, identity, decision = one.events[-1]
        assert (name, identity) == ("decision", "decided")
        assert decision == (await house.public.get(location)).json()
        again = Listener(house, f"{location}/stream", identity)
        await again.task
        assert again.status == 204
        late = Listener(house, f"{location}/stream")
        await late.task
        assert [event[0] for event in late.events] == ["decision"]


async def test_a_refusal_is_streamed_as_its_problem():
    """The decision event of a refused request is its problem, in the reader's language."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        answer = await house.register(event, person(seats=11), prefer="respond-async")
        one = Listener(house, f"{answer.headers['location']}/stream")
        await one.task
        assert one.events[-1][2]["refusal"] == "party_too_large"


async def test_a_decision_is_streamed_when_replies_are_lost():
    """The line's own movement tells a waiting stream to look, even when its reply never comes."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        await house.pause()
        answer = await house.register(event, prefer="respond-async")
        one = Listener(house, f"{answer.headers['location']}/stream")
        await one.until(lambda: one.events)
        house.replies.listen(lambda replies: None)
        await house.decide()
        async with asyncio.timeout(5):
            await one.task
        assert one.events[-1][0] == "decision"


async def test_streams_end_with_the_process():
    """Stopping ends every stream with a last event, so that clients come back elsewhere."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        one = Listener(house, f"/v1/events/{event}/seats/stream")
        await one.until(lambda: one.events)
        await house.service.stop()
        async with asyncio.timeout(5):
            await one.task
        assert one.events[-1][0] == "end"


async def test_there_are_no_more_streams_than_the_bound():
    """Past the bound the answer is 503, and a client that goes makes room."""
    async with a_house(quick(stream_clients_max=1, stream_heartbeat_s=0.01)) as house:
        event = await house.open_event()
        path = f"/v1/events/{event}/seats/stream"
        one = Listener(house, path)
        await one.until(lambda: one.events)
        refused = Listener(house, path)
        await refused.task
        assert refused.status == 503
        one.leave()
        await one.task
        third = Listener(house, path)
        await third.until(lambda: third.events)
        third.leave()
        await third.task


async def test_a_head_of_a_stream_ends():
    """HEAD on a stream answers its head and holds nothing open."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        one = Listener(house, f"/v1/events/{event}/seats/stream", method="HEAD")
        async with asyncio.timeout(5):
            await one.task
        assert (one.status, one.text) == (200, "")
        await until(lambda: not len(house.service._live.hub))


async def test_a_failing_ledger_is_asked_again():
    """When the numbers cannot be read, the stream stays and tells them as soon as they can."""
    async with a_house(FAST) as house:
        event = await house.open_event()
        await house.register(event)
        read = house.ledger.event
        failed: list[int] = []

        async def once_failing(*arguments):
            if not failed:
                failed.append(1)
                await house.ledger.close()
                house.ledger._closed = True
            elif house.ledger._closed:
                house.ledger._closed = False
            return await read(*arguments)

        house.ledger.event = once_failing
        one = Listener(house, f"/v1/events/{event}/seats/stream")
        await one.until(lambda: one.events)
        assert failed == [1]
        one.leave()
        await one.task


async def test_looking_whether_a_client_has_gone_disturbs_nothing():
    """Asking without waiting leaves no waiter behind, and still sees the client go later."""
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    assert [gone(receive) for _ in range(3)] == [False] * 3
    left.set()
    assert gone(receive)
