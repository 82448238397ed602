"""Processes that outlive the command that started them, known by their process id and start time.

A process id alone is no name: the system gives it to another process one day. So the pid file also keeps when
the process started, and only a process of that very start is ever sent a signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_POLL_S: Final = 0.02
_BURIAL_S: Final = 1.0


class Process(NamedTuple):
    """A process of a certain start."""

    pid: int
    started: str

    @property
    def state(self) -> str:
        """`running`, `paused`, or empty when it is gone."""
        seen = _look(self.pid)
        if seen is None or seen.started != self.started:
            return ""
        return "paused" if seen.state in "Tt" else "running"

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; says whether the process was there."""
        if not self.state:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until it has ended; says whether it did."""
        if not _wait(lambda: not self.state, timeout_s):
            return False
        # Until its parent, mostly init, has taken note, its id looks alive to who asks with a signal.
        _wait(lambda: not _id_in_use(self.pid) or find(self.pid) is not None, _BURIAL_S)
        return True


def _wait(done: Callable[[], bool], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True


def _id_in_use(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class _Seen(NamedTuple):
    parent: int
    state: str
    started: str


def _look(pid: int) -> _Seen | None:
    """A process as the system shows it; None when there is none, or only its remains."""
    with suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)  # if it is a child of ours that ended, nobody else buries it
    if not PROC.joinpath("self").exists():
        return _look_with_ps(pid)
    try:
        text = PROC.joinpath(str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    if fields[0] in "ZX":
        return None
    return _Seen(int(fields[1]), fields[0], fields[19])


def _look_with_ps(pid: int) -> _Seen | None:
    shown = subprocess.run(
        ["ps", "-o", "ppid=,stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    fields = shown.stdout.split(maxsplit=2)
    if len(fields) < 3 or fields[1].startswith("Z"):
        return None
    return _Seen(int(fields[0]), fields[1][0], fields[2].strip())


def find(pid: int) -> Process | None:
    """The process that has this id now."""
    seen = _look(pid)
    return Process(pid, seen.started) if seen else None


def family(root: Process) -> list[Process]:
    """A process and all that descend from it, parents first."""
    parents: dict[int, list[Process]] = {}
    for pid in _all_pids():
        seen = _look(pid)
        if seen is not None:
            parents.setdefault(seen.parent, []).append(Process(pid, seen.started))
    found = [root]
    for process in found:
        found += parents.get(process.pid, [])
    return found


def _all_pids() -> Iterator[int]:
    if PROC.joinpath("self").exists():
        yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
        return
    shown = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False)
    yield from (int(word) for word in shown.stdout.split())


@dataclass(frozen=True, slots=True)
class Registry:
    """The pid files and logs of a cluster."""

    directory: Path

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.directory / "logs" / f"{name}.log"

    def find(self, name: str) -> Process | None:
        """The process of this name if it runs."""
        try:
            kept = json.loads(self._pid_file(name).read_text(encoding="utf-8"))
            process = Process(int(kept["pid"]), str(kept["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return process if process.state else None

    def start(
        self, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process that goes on when this one ends. Raises `OSError`."""
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        self._pid_file(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as output:
            child = subprocess.Popen(
                command,
                cwd=directory,
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at this terminal is not meant for it
            )
        child.returncode = 0  # it is meant to outlive this object: no warning, no waiting
        process = find(child.pid) or Process(child.pid, "")
        temporary = self._pid_file(name).with_suffix(".new")
        temporary.write_text(json.dumps(process._asdict()), encoding="utf-8")
        temporary.replace(self._pid_file(name))
        return process

    def forget(self, name: str) -> None:
        """Remove the pid file of a process that is meant to be down."""
        self._pid_file(name).unlink(missing_ok=True)

    def expected(self, name: str) -> bool:
        """Whether it was started and nobody has asked it to stop."""
        return self._pid_file(name).exists()

    def last_words(self, name: str, lines: int = 8) -> str:
        """The end of its log."""
        try:
            with self.log(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8_192))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _pid_file(self, name: str) -> Path:
        return self.directory / "run" / f"{name}.json"


def stop_all(processes: Sequence[Process], number: signal.Signals, patience_s: float) -> None:
    """Ask processes to end, let paused ones hear it, and end by force who takes too long."""
    for process in processes:
        process.send(number)
        process.send(signal.SIGCONT)
    deadline_s = time.monotonic() + patience_s
    for process in processes:
        if not process.wait_gone(max(0.0, deadline_s - time.monotonic())):
            process.send(signal.SIGKILL)
            process.wait_gone(patience_s)
