"""Notification's store in PostgreSQL. Any number of planners and dispatchers may use it at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from veltrix.adapters.postgres.deliveries import (
    NOTICE_COLUMNS,
    NOTICE_PARAMETERS,
    PostgresDeliveries,
    notice_row,
)
from veltrix.adapters.postgres.rows import columns
from veltrix.domain import limits
from veltrix.domain.targets import disabled_detail
from veltrix.ports.notices import (
    HELD,
    HELD_UNKNOWN,
    LEASE_LOST,
    Claimed,
    FanOut,
    Notice,
    NoticeStatus,
    Planned,
    Result,
    Share,
    Shares,
)

_JOB: Final = 8
_SHARES: Final = 5


def _call(function: str, parameters: int) -> str:
    return f"notification.{function}({', '.join(f'${number + 1}' for number in range(parameters))})"


_POSITION: Final = "SELECT seq FROM notification.positions WHERE partition = $1"
_RECORD: Final = f"SELECT * FROM {_call('record', 3 + NOTICE_PARAMETERS + _JOB + 2)}"
_CLAIM: Final = f"SELECT attempts, tried_before, fence, {NOTICE_COLUMNS} FROM {_call('claim', 10 + _SHARES)}"
_FINISH: Final = f"SELECT {_call('finish', 12)}"
_ADVANCE: Final = f"SELECT {_call('advance', 4 + NOTICE_PARAMETERS)}"
_HOLD: Final = f"SELECT {_call('hold', 3)}"
_RELEASE: Final = f"SELECT {_call('release', 1)}"
_HELD: Final = "SELECT count(*) FROM notification.notices WHERE status = 'unknown' AND due_ms IS NULL"
_JOBS: Final = """
SELECT partition, seq, organizer, event, kind, after_arrival, trace, expires_ms FROM notification.jobs
ORDER BY place LIMIT $1
"""
_OF_REGISTRATION: Final = f"""
SELECT status, attempts, detail, {NOTICE_COLUMNS} FROM notification.notices
WHERE registration = $1 ORDER BY place
"""
_COUNTS: Final = "SELECT " + ", ".join(
    f"coalesce(sum({status.value}), 0)::bigint AS {status.value}" for status in NoticeStatus
)


class PostgresNotices(PostgresDeliveries):
    """Inbox, notices and jobs. Their tables are made by `migrate`.

    A claim skips what another dispatcher is just claiming, so none waits for the other.
    """

    async def position(self, partition: int) -> int:
        """The last fact that was planned."""
        rows = await self._read(_POSITION, partition)
        return rows[0][0] if rows else 0

    async def record(self, partition: int, after_seq: int, upto_seq: int, planned: Planned) -> list[str]:
        """Move the inbox and record what is planned."""
        values = (
            *(partition, after_seq, upto_seq),
            *columns([notice_row(notice) for notice in planned.notices], NOTICE_PARAMETERS),
            *columns([_job_row(job) for job in planned.jobs], _JOB),
            *columns(planned.erased, 2),
        )
        return [notice for (notice,) in await self._write(_RECORD, values)]

    async def claim(
        self, now_ms: int, limit: int, lease_ms: int, shares: Shares | None = None
    ) -> list[Claimed]:
        """Take due notices, the one due longest first."""
        shares = Shares(Share(limit)) if shares is None else shares
        values = (
            *(now_ms, limit, lease_ms, LEASE_LOST, HELD_UNKNOWN, disabled_detail("")),
            *columns([(name, *_share(each)) for name, each in shares.named.items()], _SHARES),
            *_share(shares.others),
        )
        return [
            Claimed(Notice(*fields), attempts + 1 - before, fence + 1)
            for attempts, before, fence, *fields in await self._write(_CLAIM, values)
        ]

    async def finish(self, results: Sequence[Result]) -> int:
        """Record results whose fence still holds; each does so once."""
        rows = [
            (
                *(each.notice, each.fence, each.status.value, each.next_ms, each.detail, each.at_ms),
                *(str(each.outcome), each.started_ms, each.code, each.excerpt, each.bounced),
            )
            for each in results
        ]
        values = (*columns(rows, 11), limits.ATTEMPTS_KEPT_MAX)
        (recorded,) = (await self._write(_FINISH, values))[0]
        return int(recorded)

    async def jobs(self, limit: int) -> list[FanOut]:
        """Open jobs, oldest first."""
        return [FanOut(*row) for row in await self._read(_JOBS, limit)]

    async def advance(self, job: FanOut, upto_arrival: int | None, notices: Sequence[Notice]) -> None:
        """Record a page of a job and move it on."""
        values = (
            *(job.partition, job.seq, job.after_arrival, upto_arrival),
            *columns([notice_row(notice) for notice in notices], NOTICE_PARAMETERS),
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


def _share(share: Share) -> tuple[int, float, int, bool]:
    return share.most, share.rate_per_s, share.burst, share.hold


def _job_row(job: FanOut) -> tuple[Any, ...]:
    return (
        job.partition,
        job.seq,
        job.organizer,
        job.event,
        job.kind,
        job.after_arrival,
        job.trace,
        job.expires_ms,
    )
