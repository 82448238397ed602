"""A real `veltrix serve` process on a directory, to be used, killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

START_TIMEOUT_S = 30.0
EVENT = {
    "slug": "autumn",
    "title": {"default": "en", "values": {"en": "Autumn evening", "de": "Herbstabend"}},
    "time_zone": "Europe/Berlin",
    "starts_at": "2031-10-04T19:00",
    "ends_at": "2031-10-04T22:00",
    "pools": [{"key": "main", "capacity": 100}],
    "categories": [
        {
            "key": "std",
            "title": "Standard",
            "pools": ["main"],
            "price": {"amount_minor": 2500, "currency": "EUR"},
        }
    ],
    "waitlist": {"size": 1000, "mode": "strict", "promote_after_close": False},
}


class Platform:
    """One data directory; at most one process on it at a time."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        self.directory = directory
        self.prefix = prefix
        self.url = ""
        self.tail: deque[str] = deque(maxlen=200)
        self.process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    def environment(self) -> dict[str, str]:
        """What the process sees: nothing of the developer's own configuration."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("VELTRIX_")}
        return kept | {
            "VELTRIX_DATA_DIRECTORY": str(self.directory),
            "VELTRIX_LOGGING_FORMAT": "json",
            "XDG_CONFIG_HOME": str(self.directory / "no-config"),
        }

    async def start(self) -> None:
        """Start and return once it says that it serves; raises with its last words when it does not."""
        self.process = await asyncio.create_subprocess_exec(
            *self.prefix, sys.executable, "-m", "veltrix", "serve", "--port", "0",
            env=self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        serving: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(serving))
        self.url = await asyncio.wait_for(serving, START_TIMEOUT_S)

    async def _read(self, serving: asyncio.Future[str]) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.tail.append(line)
            if not serving.done() and '"serving"' in line:
                serving.set_result(json.loads(line)["url"])
        if not serving.done():
            serving.set_exception(AssertionError("veltrix did not serve:\n" + "\n".join(self.tail)))

    async def _gone(self) -> int:
        assert self.process is not None
        code = await asyncio.wait_for(self.process.wait(), START_TIMEOUT_S)
        if self._reader is not None:
            await self._reader
        return code

    def _signal(self, number: signal.Signals) -> None:
        """To the platform itself, which is a child where it was started through another program."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)
        (process.children()[0] if self.prefix else process).send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self._signal(signal.SIGKILL)
        await self._gone()

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
        return await self._gone()

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run `veltrix ARGUMENTS` on the same directory; (exit code, standard output)."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "veltrix", *arguments,
            env=self.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode() or err.decode()

    async def key(self) -> str:
        """A new API key that may do everything, of the organizer `acme`."""
        scopes = ("--scope", "read", "--scope", "write", "--scope", "check-in")
        code, out = await self.run("key", "create", "--organizer", "acme", *scopes, "--json")
        assert code == 0, out
        key = json.loads(out)["key"]
        assert isinstance(key, str)
        return key

    def mails(self) -> list[Path]:
        """The spooled mails."""
        return list((self.directory / "spool").rglob("*.eml"))

    def organizer(self, key: str) -> httpx.AsyncClient:
        """A client with that key."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
            verify=False,
        )

    def public(self) -> httpx.AsyncClient:
        """A client of nobody in particular."""
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        return httpx.AsyncClient(base_url=self.url, timeout=30, limits=limits, trust_env=False, verify=False)

    async def open_event(self, key: str, **changes: Any) -> str:
        """Create and open an event; returns its id."""
        async with self.organizer(key) as client:
            made = await client.post("/v1/events", json=EVENT | changes)
            assert made.status_code == 201, made.text
            event = made.json()["id"]
            opened = await client.post(f"/v1/events/{event}/open")
            assert opened.status_code == 200, opened.text
        assert isinstance(event, str)
        return event

    async def export(self, key: str, event: str) -> list[dict[str, Any]]:
        """Every registration of an event, by arrival."""
        async with self.organizer(key) as client:
            answer = await client.get(
                f"/v1/events/{event}/export", params={"by": "registration", "format": "ndjson"}
            )
            assert answer.status_code == 200, answer.text
            return [json.loads(line) for line in answer.text.splitlines() if line]


def person(number: int, seats: int = 1) -> dict[str, Any]:
    """The body of a registration."""
    return {
        "contact": {"name": f"Person {number}", "email": f"person{number}@example.org", "locale": "en"},
        "seats": [{"category": "std"}] * seats,
    }


def key_of(number: int) -> str:
    """An Idempotency-Key of 128 bits."""
    return f"{number:032x}"


async def until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds; it is about another process or a directory, which send no signals."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {START_TIMEOUT_S} s in vain for {what}") from None
