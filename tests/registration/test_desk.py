"""The desk: duplicates, lost replies, unknown outcomes, and the bounds of overload."""

from __future__ import annotations

import asyncio

from tests.registration.house import QuickLog, a_house, person, quick, strong_key, until
from veltrix.adapters.memory import MemoryReplies, MemoryVault
from veltrix.ports.errors import OutcomeUnknown, Unavailable
from veltrix.registration.desk import SWEEP_S
from veltrix.registration.progress import Progress


class LossyReplies(MemoryReplies):
    """Replies that never arrive while `lost`."""

    lost = False

    def send(self, reply_to, replies):
        """Drop them, or hand them on."""
        if not self.lost:
            super().send(reply_to, replies)


async def test_the_same_request_at_the_same_time_is_one():
    """Requests under one key that are all in flight have one answer, and one registration."""
    async with a_house() as house:
        event, key = await house.open_event(), strong_key()
        answers = await asyncio.gather(*(house.register(event, idempotency_key=key) for _ in range(20)))
        assert len({answer.text for answer in answers}) == 1
        replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
        assert replayed.count(None) == 1
        listed = await house.organizer.get(f"/v1/events/{event}/registrations")
        assert len(listed.json()["items"]) == 1


async def test_two_bodies_under_one_key_at_the_same_time():
    """Of two different requests under one key, the first in the log is decided, the other is 422."""
    async with a_house() as house:
        event, key = await house.open_event(), strong_key()
        answers = await asyncio.gather(
            *(house.register(event, person(name), idempotency_key=key) for name in ("Ada", "Eve"))
        )
        assert sorted(answer.status_code for answer in answers) == [201, 422]


async def test_a_lost_reply_is_read_back():
    """When replies go missing, the ledger answers: no request waits for its whole time."""
    async with a_house(quick(wait_default_s=60.0), replies=LossyReplies()) as house:
        event = await house.open_event()
        house.replies.lost = True
        async with asyncio.timeout(20 * SWEEP_S):
            answer = await house.register(event)
        assert answer.status_code == 201


async def test_a_lost_reply_of_a_replay_is_read_back_too():
    """The original decision is found for a duplicate whose reply went missing."""
    async with a_house(quick(wait_default_s=60.0), replies=LossyReplies()) as house:
        event, key = await house.open_event(), strong_key()
        first = await house.register(event, idempotency_key=key)
        house.replies.lost = True
        again = await house.register(event, idempotency_key=key)
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        other = await house.register(event, person("Eve"), idempotency_key=key)
        assert other.json()["type"].endswith("key_reused")


async def test_an_unknown_outcome_says_where_to_look():
    """When nobody knows whether it was appended: 503, with Location, and the key to repeat it with."""
    async with a_house(quick(wait_default_s=0.05)) as house:
        event = await house.open_event()
        house.log.fault = OutcomeUnknown("lost")
        answer = await house.public.post(f"/v1/events/{event}/registrations", json=person())
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (503, "urn:veltrix:problem:outcome_unknown")
        assert answer.headers["location"] == problem["location"]
        house.log.fault = None
        waiting = await house.public.get(answer.headers["location"], headers={"prefer": "wait=0"})
        assert waiting.status_code == 202
        again = await house.register(event, idempotency_key=problem["idempotency_key"])
        assert again.status_code == 201
        decided = await house.public.get(answer.headers["location"])
        assert decided.json()["registration"] == again.json()["registration"]


async def test_an_unknown_outcome_that_was_none():
    """When the record was appended after all, its reply answers the request as if nothing had been."""
    async with a_house() as house:
        event = await house.open_event()
        house.log.fault, house.log.keeps = OutcomeUnknown("lost"), True
        answer = await house.register(event)
        assert answer.status_code == 201
        assert "idempotent-replayed" not in answer.headers


async def test_an_unavailable_log_is_a_503_that_may_be_repeated():
    """Surely not appended: 503 with Retry-After, and the repetition is a first request."""
    async with a_house() as house:
        event, key = await house.open_event(), strong_key()
        house.log.fault = Unavailable("gone")
        answer = await house.register(event, idempotency_key=key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        house.log.fault = None
        again = await house.register(event, idempotency_key=key)
        assert again.status_code == 201
        assert "idempotent-replayed" not in again.headers


async def test_a_log_that_elects_a_leader_is_waited_for_at_the_start():
    """A partition whose end cannot be read for a moment does not end the process that starts just then."""

    class Electing(QuickLog):
        left = 3

        async def bounds(self, partition):
            """Not now."""
            self.left -= 1
            if self.left >= 0:
                raise Unavailable("leader epoch is newer")
            return await super().bounds(partition)

    async with a_house(log=Electing(2), deciding=False) as house:
        assert house.log.left < 0


async def test_no_more_requests_are_held_than_the_bound():
    """Past the bound of held requests, the answer is 202 at once; none of them is lost."""
    async with a_house(quick(held_requests_max=2)) as house:
        event = await house.open_event()
        await house.pause()
        held = [asyncio.create_task(house.register(event, person(f"P{n}"))) for n in range(2)]
        await until(lambda: house.service.core.desk.held == 2)
        third = await house.register(event, person("P3"))
        assert third.status_code == 202
        await house.decide()
        assert [(await task).status_code for task in held] == [201, 201]
        assert (await house.public.get(third.headers["location"])).status_code == 200
        assert house.service.core.desk.held == 0


async def test_overload_leaves_room_for_what_matters_more():
    """One event's registrations fill half of the line, all together 80 %; cancelling still gets in,
    until the line is full."""
    async with a_house(quick(undecided_max=10)) as house:
        hot, other = await house.open_event(), await house.open_event()
        mine = (await house.register(other)).json()["link"]
        await house.pause()

        async def ask(event):
            return await house.register(event, prefer="respond-async")

        assert [(await ask(hot)).status_code for _ in range(6)] == [202] * 5 + [503]
        assert [(await ask(other)).status_code for _ in range(4)] == [202] * 3 + [503]
        headers = {"prefer": "respond-async"}
        cancels = [
            await house.public.post(f"/v1/registrations/{mine}/cancel", headers=headers) for _ in range(3)
        ]
        assert [answer.status_code for answer in cancels] == [202, 202, 503]
        assert int(cancels[-1].headers["retry-after"]) >= 1
        await house.decide()
        await until(lambda: not house.service.core.desk.progress[0].undecided)
        assert (await ask(hot)).status_code == 202


async def test_requests_in_flight_count_as_undecided():
    """What is still being appended counts, too: a slow log cannot be flooded."""
    async with a_house(quick(undecided_max=4)) as house:
        event = await house.open_event()
        await house.pause()
        gate, append = asyncio.Event(), house.log.append

        async def slow(*arguments):
            await gate.wait()
            return await append(*arguments)

        house.log.append = slow
        tasks = [asyncio.create_task(house.register(event, prefer="respond-async")) for _ in range(4)]
        await until(lambda: house.service.core.desk.progress[0].appending == 4)
        answer = await house.register(event)
        gate.set()
        await asyncio.gather(*tasks)
        assert answer.status_code == 503


async def test_keys_are_reserved_ahead():
    """Intake takes keys without waiting for the vault; when it cannot be refilled, the reserve runs out
    and the answer is 503, and with the vault intake comes back."""

    class Moody(MemoryVault):
        down = False

        async def reserve(self, count):
            if self.down:
                raise Unavailable("the vault is away")
            return await super().reserve(count)

    async with a_house(quick(key_block=4, keys_reserved_low=3), vault=Moody()) as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 100}])
        reserve = house.service.core.reserve
        await until(lambda: len(reserve) > 3)
        house.vault.down = True
        left = len(reserve)
        answers = [await house.register(event, person(f"P{n}")) for n in range(left)]
        assert {answer.status_code for answer in answers} == {201}
        assert (await house.public.get("/readyz")).status_code == 503
        late = asyncio.create_task(house.register(event, person("Late")))
        await until(lambda: not reserve.ready)
        house.vault.down = False
        assert (await late).status_code == 201


async def test_unused_keys_are_destroyed_at_the_end():
    """What the reserve still holds when the process stops sealed nothing, and does not stay."""
    async with a_house() as house:
        event = await house.open_event()
        await house.register(event)
        left = [key_id for key_id, _ in house.service.core.reserve._keys]
        await house.service.stop()
        assert left
        assert await house.vault.keys(left) == {}


async def test_stopping_answers_who_waits():
    """A graceful stop lets what was asked be answered, and nobody new in."""
    async with a_house() as house:
        event = await house.open_event()
        await house.pause()
        waiting = asyncio.create_task(house.register(event))
        await until(lambda: house.service.core.desk.held == 1)
        stopping = asyncio.create_task(house.service.stop())
        await until(lambda: house.service.core.stopping)
        refused = await house.register(event)
        await house.decide()
        assert (await waiting).status_code == 201
        await stopping
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")


async def test_stopping_takes_bounded_time():
    """Where no decision comes, who waits is answered 202 before the stop's time is over, and it ends."""
    async with a_house(quick(stop_timeout_s=0.2)) as house:
        event = await house.open_event()
        await house.pause()
        waiting = asyncio.create_task(house.register(event))
        await until(lambda: house.service.core.desk.held == 1)
        await house.service.stop()
        answer = await waiting
        assert answer.status_code == 202


async def test_events_are_read_once():
    """No registration reads the ledger for its event; a change reaches intake through its fact."""
    async with a_house() as house:
        event = await house.open_event(pools=[{"key": "main", "capacity": 100}])
        await house.register(event)
        reads, read = [], house.ledger.event

        async def counted(*arguments):
            reads.append(arguments)
            return await read(*arguments)

        house.ledger.event = counted
        for number in range(20):
            await house.register(event, person(f"P{number}"))
        assert reads == []
        form = {"version": 2, "questions": [{"key": "q", "label": "Q", "required": True}]}
        await house.organizer.patch(f"/v1/events/{event}", json={"form": form})
        reads.clear()
        assert (await house.register(event, person("Eve"))).status_code == 422
        assert reads == []


async def test_a_directory_is_bounded():
    """The directory keeps the latest used events, and reads the others anew."""
    async with a_house() as house:
        events = [await house.open_event() for _ in range(4)]
        directory = house.service.core.directory
        directory._most = 2
        for event in events * 2:
            assert (await house.register(event)).status_code == 201
            assert len(directory) <= 4
        directory.forget(0)
        assert (await house.register(events[0], person("Eve"))).status_code in (201, 409)


def test_progress_counts_what_is_undecided():
    """Offsets only rise, whoever mentions them; places and shares follow from them."""
    progress = Progress(0)
    for offset in (3, 1, 2, 0):
        progress.appended(offset)
        progress.appended_of("a" if offset % 2 else "b", offset)
    assert (progress.undecided, progress.place(3), progress.place(9)) == (4, 3, 4)
    assert progress.decided(2)
    assert not progress.decided(1)
    assert (progress.undecided, progress.place(3), progress.place(0)) == (2, 1, 0)
    progress.decided(4)
    assert progress.undecided_of("a") == progress.undecided_of("b") == progress.undecided_of("c") == 0


def test_the_wait_is_estimated_from_the_rate():
    """The estimate is what is ahead, divided by how fast decisions came lately; unknown at first."""
    progress = Progress(0)
    progress.appended(999)
    assert progress.estimated_wait_s(999) is None
    progress.tidy(0.0)
    progress.decided(100)
    progress.tidy(1.0)
    assert progress.estimated_wait_s(999) == 9.0
    assert progress.estimated_wait_s(50) == 0.0
