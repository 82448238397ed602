"""Notification's store in PostgreSQL. Any number of planners and dispatchers may use it at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from veltrix.adapters.postgres.rows import columns
from veltrix.adapters.postgres.server import Postgres
from veltrix.ports.errors import Unavailable
from veltrix.ports.notices import HELD, Claimed, FanOut, Notice, NoticeStatus, Planned, Result

_COLUMNS: Final = (
    "id, organizer, event, partition, seq, kind, registration, recipient, channel, key_id, created_ms, trace"
)
_NOTICE: Final = 12
_JOB: Final = 7


def _call(function: str, parameters: int) -> str:
    return f"notification.{function}({', '.join(f'${number + 1}' for number in range(parameters))})"


_POSITION: Final = "SELECT seq FROM notification.positions WHERE partition = $1"
_RECORD: Final = f"SELECT * FROM {_call('record', 3 + _NOTICE + _JOB + 2)}"
_CLAIM: Final = f"SELECT attempts, fence, {_COLUMNS} FROM {_call('claim', 3)}"
_FINISH: Final = f"SELECT {_call('finish', 6)}"
_ADVANCE: Final = f"SELECT {_call('advance', 4 + _NOTICE)}"
_HOLD: Final = f"SELECT {_call('hold', 3)}"
_RELEASE: Final = f"SELECT {_call('release', 1)}"
_HELD: Final = "SELECT count(*) FROM notification.notices WHERE status = 'unknown' AND due_ms IS NULL"
_JOBS: Final = """
SELECT partition, seq, organizer, event, kind, after_arrival, trace FROM notification.jobs
ORDER BY place LIMIT $1
"""
_OF_REGISTRATION: Final = f"""
SELECT status, attempts, detail, {_COLUMNS} FROM notification.notices WHERE registration = $1 ORDER BY place
"""
_COUNTS: Final = "SELECT " + ", ".join(
    f"coalesce(sum({status.value}), 0)::bigint AS {status.value}" for status in NoticeStatus
)


class PostgresNotices:
    """Inbox, notices and jobs. Their tables are made by `migrate`.

    A claim skips what another dispatcher is just claiming, so none waits for the other.
    """

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._closed = False

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        rows = await self._read(_POSITION, partition)
        return rows[0][0] if rows else 0

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        values = (
            *(partition, after_seq, upto_seq),
            *columns([_notice_row(notice) for notice in planned.notices], _NOTICE),
            *columns([_job_row(job) for job in planned.jobs], _JOB),
            *columns(planned.erased, 2),
        )
        return [notice for (notice,) in await self._write(_RECORD, values)]

    async def claim(self, now_ms: int, limit: int, lease_ms: int) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        return [
            Claimed(Notice(*fields), attempts + 1, fence + 1)
            for attempts, fence, *fields in await self._write(_CLAIM, (now_ms, limit, lease_ms))
        ]

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        rows = [
            (each.notice, each.fence, each.status.value, each.next_ms, each.detail, each.at_ms)
            for each in results
        ]
        (recorded,) = (await self._write(_FINISH, columns(rows, 6)))[0]
        return int(recorded)

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs, oldest first."""
        return [FanOut(*row) for row in await self._read(_JOBS, limit)]

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job and move it on."""
        values = (
            *(job.partition, job.seq, job.after_arrival, upto_arrival),
            *columns([_notice_row(notice) for notice in notices], _NOTICE),
        )
        await self._write(_ADVANCE, values)

    async def of_registration(self, registration: str) -> list[tuple[Notice, NoticeStatus, int, str]]:
        """What is known of a registration's notices."""
        return [
            (Notice(*fields), NoticeStatus(status), attempts, detail)
            for status, attempts, detail, *fields in await self._read(_OF_REGISTRATION, registration)
        ]

    async def hold(self, partition: int, upto_seq: int) -> int:
        """Hold the notices of facts up to this one."""
        return int((await self._write(_HOLD, (partition, upto_seq, HELD)))[0][0])

    async def release(self, *, send: bool) -> int:
        """Let go what is held."""
        return int((await self._write(_RELEASE, (send,)))[0][0])

    async def held(self) -> int:
        """How many are held."""
        return int((await self._read(_HELD))[0][0])

    async def counts(self) -> dict[NoticeStatus, int]:
        """How many stand in each status, as tallied."""
        (row,) = await self._read(f"{_COUNTS} FROM notification.tallies")
        return {status: int(row[status.value]) for status in NoticeStatus}

    async def close(self) -> None:
        """Take no more work. The connections are the `Postgres`'."""
        self._closed = True

    async def _read(self, query: str, *values: object) -> list[Any]:
        self._check_open()
        return await self._postgres.read(lambda connection: connection.fetch(query, *values))

    async def _write(self, query: str, values: Iterable[Any]) -> list[Any]:
        self._check_open()
        return await self._postgres.write(lambda connection: connection.fetch(query, *values))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store of notices is closed")


def _notice_row(notice: Notice) -> tuple[Any, ...]:
    return (
        notice.id,
        notice.organizer,
        notice.event,
        notice.partition,
        notice.seq,
        notice.kind,
        notice.registration,
        notice.recipient,
        notice.channel,
        notice.key_id,
        notice.created_ms,
        notice.trace,
    )


def _job_row(job: FanOut) -> tuple[Any, ...]:
    return job.partition, job.seq, job.organizer, job.event, job.kind, job.after_arrival, job.trace
