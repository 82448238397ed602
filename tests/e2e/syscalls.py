"""Reads a system-call trace (strace -f -y) and says whether acknowledgements came after the disk's answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

STRACE = [
    "strace",
    "-f",
    "-y",
    "-s",
    "64",
    "-e",
    "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg",
]
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


def unsynced_acknowledgements(lines: Iterable[str], file: Path, acknowledgement: str) -> tuple[int, int]:
    """(acknowledgements seen, those that were sent while a write to `file` was not yet synced).

    A write counts from when it is called, a sync only once it has returned 0, so that a sync that is
    under way when the acknowledgement goes out does not count.
    """
    seen = unsynced = 0
    dirty = False
    began: dict[str, str] = {}
    syncing: dict[str, bool] = {}
    for line in lines:
        resumed = _RESUMED.match(line)
        if resumed is not None:
            pid = resumed["pid"]
            if began.pop(pid, "") in ("fsync", "fdatasync") and line.rstrip().endswith("= 0"):
                dirty = dirty and not syncing.pop(pid, False)
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        pid, name, rest = call["pid"], call["name"], call["rest"]
        ours = f"<{file}>" in rest
        if name == "pwrite64" and ours:
            dirty = True
            syncing = dict.fromkeys(syncing, False)  # what is being synced is older than this
        elif name in ("fsync", "fdatasync") and ours:
            if rest.rstrip().endswith("<unfinished ...>"):
                began[pid], syncing[pid] = name, True
            elif rest.rstrip().endswith("= 0"):
                dirty = False
        elif acknowledgement in rest:
            seen += 1
            unsynced += dirty
    return seen, unsynced
