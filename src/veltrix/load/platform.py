"""A platform of one's own: `veltrix serve` as it is shipped, as a user would start it, and stopped again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_START_S: Final = 60.0
_STOP_S: Final = 60.0
_POLL_S: Final = 0.02
_LOG_TAIL_LINES: Final = 25


class PlatformError(Exception):
    """It did not start, ended too early, or refused a command; its log says more."""


@dataclass(slots=True)
class LocalPlatform:
    """A running `veltrix serve` on a free port of this machine; `log` is its standard output and error."""

    url: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes]
    started_s: float

    @classmethod
    def start(
        cls,
        directory: Path,
        program: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> LocalPlatform:
        """Start one with data and log in `directory`; raises `PlatformError` when it does not come up.

        `program` is run in place of `veltrix`, and `environment` is added to what it sees.
        """
        directory.mkdir(parents=True, exist_ok=True)
        data, log = directory / "data", directory / "serve.log"
        began_s = time.monotonic()
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command with arguments of our own
                [*(program or _VELTRIX), "serve", "--host", "127.0.0.1", "--port", "0", "--data", str(data)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=shipped_environment(directory) | dict(environment or {}),
                start_new_session=True,  # Ctrl-C is for whoever started it; it is then stopped in order
            )
        platform = cls("", data, log, process, 0.0)
        try:
            platform.url = platform._wait_for_url()
        except BaseException:
            platform.stop()
            raise
        platform.started_s = time.monotonic() - began_s
        return platform

    def new_key(self, organizer: str = "demo") -> str:
        """An API key that may write."""
        made = self.ask("key", "create", "--organizer", organizer, "--scope", "write", "--json")
        return str(json.loads(made.stdout)["key"])

    def ask(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another `veltrix` command on the same data; raises `PlatformError` when it fails."""
        done = subprocess.run(  # noqa: S603 - our own command with arguments of our own
            [*_VELTRIX, *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            cwd=self.data.parent,
            env=shipped_environment(self.data.parent),
            check=False,
        )
        if check and done.returncode:
            raise PlatformError(f"veltrix {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done

    def is_running(self) -> bool:
        """Whether the process still lives."""
        return self.process.poll() is None

    def stop(self) -> int | None:
        """Ask it to stop, and end it when it does not; returns its exit code. Safe to call twice."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])

    def _wait_for_url(self) -> str:
        deadline_s = time.monotonic() + _START_S
        while time.monotonic() < deadline_s:
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
                entry = _parsed(line)
                if entry.get("message") == "serving":
                    return str(entry["local_url"])
            if not self.is_running():
                raise PlatformError(f"veltrix serve ended with exit code {self.process.returncode}")
            time.sleep(_POLL_S)
        raise PlatformError(f"veltrix serve was not ready after {_START_S:g} s")


_VELTRIX: Final = (sys.executable, "-m", "veltrix")


def shipped_environment(directory: Path) -> dict[str, str]:
    """This process's environment without anything that configures Veltrix: the shipped defaults count."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VELTRIX_")}
    return {**kept, "XDG_CONFIG_HOME": str(directory / "no-configuration")}


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
