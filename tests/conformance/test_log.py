"""The port `Log`: gapless offsets, durable when acknowledged, read back only what is durable."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.conformance.adapters import HandClock, Subject
from veltrix.domain import limits
from veltrix.ports.errors import LogBehind, Mismatch, Rejected, Unavailable
from veltrix.ports.log import Log, Record


def records(count: int, start: int = 0) -> list[Record]:
    """Records that can be told apart."""
    return [Record(b"record %d" % number, f"trace-{number}", "me") for number in range(start, start + count)]


async def values(log: Log, partition: int = 0, offset: int = 0) -> list[bytes]:
    """All values from an offset on."""
    found = await log.read(partition, offset, 10_000, 0)
    return [record.value for record in found]


async def test_records_come_back_as_they_were_appended(log: Subject[Log], clock: HandClock):
    """Offsets start at 0 and rise by one; value, trace, reply address and append time come back."""
    first = await log.it.append(0, Record(b"\x00one", "trace", "somebody"))
    clock.ms += 5
    second = await log.it.append(0, Record(b""))
    assert (first.partition, first.offset) == (0, 0)
    assert (second.partition, second.offset) == (0, 1)
    if log.entry.own_clock:
        assert abs(first.append_ms - time.time() * 1000) < 60_000
        assert first.append_ms <= second.append_ms
    else:
        assert (first.append_ms, second.append_ms) == (clock.ms - 5, clock.ms)
    one, two = await log.it.read(0, 0, 10, 0)
    assert (one.offset, one.value, one.trace, one.reply_to) == (0, b"\x00one", "trace", "somebody")
    assert (one.append_ms, two.append_ms) == (first.append_ms, second.append_ms)
    assert (two.offset, two.value, two.trace, two.reply_to) == (1, b"", "", "")


async def test_partitions_are_numbered_apart(log: Subject[Log]):
    """Each partition has offsets of its own and shows only its own records."""
    for number in range(3):
        await log.it.append(number % 2, Record(b"%d" % number))
    assert await values(log.it, 0) == [b"0", b"2"]
    assert await values(log.it, 1) == [b"1"]
    assert [await log.it.bounds(partition) for partition in (0, 1)] == [(0, 2), (0, 1)]


async def test_concurrent_appends_get_gapless_offsets(log: Subject[Log]):
    """Many appends at once: each is acknowledged with an offset of its own, and stands there."""
    sent = records(3 * limits.APPEND_BATCH_MAX)
    appended = await asyncio.gather(*(log.it.append(0, record) for record in sent))
    assert sorted(each.offset for each in appended) == list(range(len(sent)))
    by_offset: dict[int, bytes] = {}
    offset = 0
    while page := await log.it.read(0, offset, 500, 0):
        by_offset |= {record.offset: record.value for record in page}
        offset = page[-1].offset + 1
    assert [by_offset[each.offset] for each in appended] == [record.value for record in sent]


async def test_one_after_the_other_is_in_order(log: Subject[Log]):
    """A caller who awaits each append gets rising offsets, whatever others do meanwhile."""

    async def caller(name: int) -> list[int]:
        return [(await log.it.append(0, Record(b"%d" % name))).offset for _ in range(20)]

    for offsets in await asyncio.gather(*map(caller, range(10))):
        assert offsets == sorted(offsets)


async def test_a_page_is_bounded_in_number_and_bytes(log: Subject[Log]):
    """At most so many records and so many bytes, but always one when there is one."""
    large = b"x" * limits.RECORD_MAX_BYTES
    count = limits.READ_BATCH_MAX_BYTES // len(large) + 2
    await asyncio.gather(*(log.it.append(0, Record(large)) for _ in range(count)))
    assert len(await log.it.read(0, 0, 7, 0)) == 7
    page = await log.it.read(0, 0, 10_000, 0)
    assert 1 <= len(page) < count
    assert sum(len(record.value) for record in page) <= limits.READ_BATCH_MAX_BYTES
    await log.it.append(1, Record(b"y" * limits.READ_BATCH_MAX_BYTES))
    assert len(await log.it.read(1, 0, 10, 0)) == 1


async def test_reading_waits_for_the_first_record(log: Subject[Log]):
    """A reader at the end is woken by the next append; without one it gets nothing when the time is over."""
    assert await log.it.read(0, 0, 10, 0.01) == []
    reading = asyncio.create_task(log.it.read(0, 0, 10, 60))
    elsewhere = asyncio.create_task(log.it.read(1, 0, 10, 60))
    await asyncio.sleep(0)
    await log.it.append(0, Record(b"now"))
    assert [record.value for record in await reading] == [b"now"]
    assert not elsewhere.done()
    elsewhere.cancel()


async def test_offsets_outside_the_log_are_a_mismatch(log: Subject[Log]):
    """Below the first and beyond the end: log and reader do not belong together, and it says so."""
    await log.it.append(0, Record(b"only"))
    assert await log.it.read(0, 1, 10, 0) == []
    for offset in (-1, 2, 100):
        with pytest.raises(Mismatch, match="restore") as raised:
            await log.it.read(0, offset, 10, 0)
        assert isinstance(raised.value, LogBehind) is (offset > 0), "what ends too soon may be seen too soon"


async def test_what_can_never_be_appended_is_rejected(log: Subject[Log]):
    """A record that no read could return, and a partition that is not there, leave no trace."""
    with pytest.raises(Rejected, match="too large"):
        await log.it.append(0, Record(b"x" * (limits.READ_BATCH_MAX_BYTES + 1)))
    with pytest.raises(Rejected, match="no text"):
        await log.it.append(0, Record(b"value", "\ud800"))
    for partition in (-1, 2):
        with pytest.raises(Rejected, match="no partition"):
            await log.it.append(partition, Record(b"nowhere"))
    assert [await log.it.bounds(partition) for partition in (0, 1)] == [(0, 0), (0, 0)]


async def test_a_cancelled_append_harms_nobody_else(log: Subject[Log]):
    """Callers give up; the others' appends are acknowledged, and offsets stay gapless."""
    appends = [asyncio.create_task(log.it.append(0, record)) for record in records(50)]
    await asyncio.sleep(0)
    for append in appends[::3]:
        append.cancel()
    done = await asyncio.gather(*appends, return_exceptions=True)
    last = await log.it.append(0, Record(b"last"))
    found = await log.it.read(0, 0, 1_000, 0)
    assert [record.offset for record in found] == list(range(len(found)))
    assert found[-1].offset == last.offset
    for number, result in enumerate(done):
        if not isinstance(result, BaseException):
            assert found[result.offset].value == b"record %d" % number


async def test_a_cancelled_read_harms_nobody_else(log: Subject[Log]):
    """One of two waiting readers gives up; the other is woken."""
    reads = [asyncio.create_task(log.it.read(0, 0, 10, 60)) for _ in range(2)]
    await asyncio.sleep(0)
    reads[0].cancel()
    await log.it.append(0, Record(b"now"))
    assert len(await reads[1]) == 1


async def test_closing_finishes_what_was_appended(lasting_log: Subject[Log]):
    """Appends under way when it is closed are acknowledged and there afterwards; later ones are refused."""
    appends = [asyncio.create_task(lasting_log.it.append(0, record)) for record in records(20)]
    await asyncio.sleep(0)
    await lasting_log.it.close()
    assert len(await asyncio.gather(*appends)) == 20
    with pytest.raises(Unavailable):
        await lasting_log.it.append(0, Record(b"late"))
    assert await values(await lasting_log.reopen()) == [record.value for record in records(20)]


async def test_a_closed_log_says_so(log: Subject[Log]):
    """Closing twice is harmless; whoever reads, waits or appends gets `Unavailable`."""
    waiting = asyncio.create_task(log.it.read(0, 0, 10, 60))
    await asyncio.sleep(0)
    await log.it.close()
    await log.it.close()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await log.it.append(0, Record(b"late"))
    with pytest.raises(Unavailable):
        await log.it.read(0, 0, 10, 0)


async def test_acknowledged_records_survive_a_reopening(lasting_log: Subject[Log]):
    """Everything acknowledged is there again, offsets go on, and the log is still the same log."""
    identity = lasting_log.it.identity
    for record in records(5):
        await lasting_log.it.append(1, record)
    log = await lasting_log.reopen()
    assert log.identity == identity
    assert await log.bounds(1) == (0, 5)
    assert await values(log, 1, 2) == [record.value for record in records(3, 2)]
    assert (await log.append(1, Record(b"next"))).offset == 5


async def test_partitions_can_be_added_but_not_removed(lasting_log: Subject[Log]):
    """More partitions than before are there after reopening; fewer are a mismatch with its remedy."""
    await lasting_log.it.append(1, Record(b"old"))
    log = await lasting_log.reopen(partitions=3)
    assert log.identity.partitions == 3
    assert (await log.append(2, Record(b"new"))).offset == 0
    assert await values(log, 1) == [b"old"]
    with pytest.raises(Mismatch, match="set at least 3"):
        await lasting_log.another()
