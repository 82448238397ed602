"""Appends records to a log and says so after each: traced by test_fsync. Arguments: file, synchronous."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from veltrix.adapters.sqlite import SqliteLog
from veltrix.ports.log import Record


async def main(path: Path, synchronous: str) -> None:
    """Ten appends, ten acknowledgements on standard output."""
    log = await SqliteLog.open(path, synchronous="OFF" if synchronous == "OFF" else "FULL")
    for number in range(10):
        await log.append(0, Record(b"record %d" % number))
        os.write(1, b"ACKNOWLEDGED\n")
    await log.close()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
