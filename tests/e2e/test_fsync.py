"""kill -9 does not test fsync: the kernel keeps what was written. A system-call trace does."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.running import Platform, key_of, person
from tests.e2e.syscalls import STRACE, unsynced_acknowledgements

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None,
    reason="strace is not installed: fsync before acknowledgement is NOT TESTED",
)


async def _appends(directory: Path, synchronous: str) -> tuple[int, int]:
    trace, file = directory / "trace", directory / "log.db"
    script = Path(__file__).with_name("append_and_say.py")
    process = await asyncio.create_subprocess_exec(
        *STRACE, "-o", str(trace), sys.executable, "-P", str(script), str(file), synchronous,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return unsynced_acknowledgements(
        trace.read_text(errors="replace").splitlines(), file.with_name("log.db-wal"), "ACKNOWLEDGED"
    )


async def test_fsync_returns_before_an_append_is_acknowledged(tmp_path: Path) -> None:
    """With the shipped setting no acknowledgement leaves while a write to the log is unsynced."""
    assert await _appends(tmp_path, "FULL") == (10, 0)


async def test_the_check_notices_a_log_that_does_not_sync(tmp_path: Path) -> None:
    """With synchronous=OFF the same check fails: every acknowledgement came too early."""
    assert await _appends(tmp_path, "OFF") == (10, 10)


async def test_fsync_returns_before_a_client_is_answered(tmp_path: Path) -> None:
    """In the whole process: 202 leaves the socket only after the log was synced."""
    trace = tmp_path / "trace"
    platform = Platform(tmp_path / "data", prefix=[*STRACE, "-o", str(trace)])
    await platform.start()
    try:
        key = await platform.key()
        event = await platform.open_event(key)
        async with platform.public() as http:
            for number in range(5):
                answer = await http.post(
                    f"/v1/events/{event}/registrations",
                    json=person(number),
                    headers={"idempotency-key": key_of(number), "prefer": "respond-async"},
                )
                assert answer.status_code == 202
    finally:
        await platform.stop()
    lines = trace.read_text(errors="replace").splitlines()
    wal = tmp_path / "data" / "log.db-wal"
    assert unsynced_acknowledgements(lines, wal, "HTTP/1.1 202") == (5, 0)
