"""The servers that are measured: started here, watched from outside, stopped at the end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.ceiling import EVENT
from veltrix.load.client import Asker, Target
from veltrix.load.mailbox import notice_counts
from veltrix.load.platform import LocalPlatform

ROOT = Path(__file__).parents[1]
_NOTICES_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Server:
    """A running server. `key` is empty for the ceiling, whose `url` is that of its one event."""

    name: str
    url: str
    pid: int
    key: str | None = None

    @property
    def process(self) -> psutil.Process:
        """For its CPU time and memory."""
        return psutil.Process(self.pid)

    def cpu_s(self) -> float:
        """CPU time that it has used, in and out of the kernel."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_bytes(self) -> int:
        """Its resident memory."""
        return int(self.process.memory_info().rss)

    def asker(self) -> Asker:
        """Somebody who can ask it things."""
        return Asker(Target.of(self.url), self.key)


@contextmanager
def ceiling() -> Iterator[Server]:
    """The handler that only parses and answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ceiling"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield Server("ceiling", f"{url}/v1/events/{EVENT}", process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def veltrix(directory: Path | None = None) -> Iterator[Server]:
    """`veltrix serve` with its shipped defaults, on a fresh data directory where the others would be too."""
    with TemporaryDirectory(prefix="veltrix-bench-", dir=directory) as fresh:
        platform = LocalPlatform.start(Path(fresh))
        try:
            yield Server("veltrix", platform.url, platform.process.pid, platform.new_key("bench"))
        finally:
            platform.stop()


async def until_told(server: Server) -> int:
    """Wait until no notice is open; returns how many have gone out."""
    asker = server.asker()
    try:
        async with asyncio.timeout(_NOTICES_TIMEOUT_S):
            before = -1
            while True:
                counts = await notice_counts(asker)
                still = sum(counts.get(status, 0) for status in ("pending", "attempting", "unknown"))
                if not still and counts.get("accepted", 0) == before:
                    return before
                before = counts.get("accepted", 0)
                await asyncio.sleep(0.3)
    finally:
        await asker.close()
