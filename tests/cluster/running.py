"""Processes of `veltrix run` over one broker, one PostgreSQL server and one etcd member."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running import EVENT
from tests.engines import PostgresServer

START_TIMEOUT_S = 60.0
PARTITIONS = 4


def environment(directory: Path, **changes: str) -> dict[str, str]:
    """What a process sees: nothing of the developer's own configuration."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VELTRIX_")}
    return kept | {"XDG_CONFIG_HOME": str(directory / "no-config"), "HOME": str(directory)} | changes


class Process:
    """One process, as its log and its probes show it."""

    def __init__(self, cluster: Cluster, kind: str) -> None:
        self.cluster = cluster
        self.kind = kind
        self.tail: deque[str] = deque(maxlen=100)
        self.watch = ""
        self.process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start it; returns at once."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "veltrix", "run", self.kind, "--config", str(self.cluster.file),
            env=environment(self.cluster.directory, VELTRIX_LOGGING_FORMAT="json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self.running: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    async def start(self) -> None:
        """Start it and return once it says that it runs."""
        await self.begin()
        try:
            await asyncio.wait_for(asyncio.shield(self.running), START_TIMEOUT_S)
        except TimeoutError:
            raise AssertionError(f"{self.kind} does not run:\n" + "\n".join(self.tail)) from None

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self.tail.append(line)
            if not self.running.done() and '"message":"running"' in line:
                self.watch = json.loads(line)["watch"]
                self.running.set_result(None)
        if not self.running.done():
            self.running.set_exception(AssertionError(f"{self.kind} ended:\n" + "\n".join(self.tail)))

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), START_TIMEOUT_S)
        assert self._reading is not None
        await self._reading
        return code

    async def ready(self) -> dict[str, Any]:
        """What /readyz says."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.get(f"{self.watch}/readyz")
            return {"code": answer.status_code, **answer.json()["checks"]}


class Cluster:
    """A configuration of topics, databases and keys of its own on the engines of the test run."""

    def __init__(self, directory: Path, kafka: str, postgres: PostgresServer, etcd: str, name: str) -> None:
        self.directory = directory
        self.processes: list[Process] = []
        self.file = directory / "veltrix.toml"
        self.file.write_text(
            f"""
            [log]
            partitions = {PARTITIONS}
            [kafka]
            bootstrap_servers = ["{kafka}"]
            topic_prefix = "{name}"
            replication = 1
            min_insync = 1
            reply_partitions = 4
            [postgres]
            hosts = ["{postgres.host}:{postgres.port}"]
            database = "{name}"
            vault_database = "{name}_vault"
            [etcd]
            endpoints = ["{etcd}"]
            prefix = "/{name}"
            [data]
            directory = "{directory}"
            [http]
            port = 0
            public_url = "http://tickets.example.org"
            [operations]
            port = 0
            start_wait = "60 s"
            """,
            encoding="utf-8",
        )
        self.superuser = postgres.superuser

    async def run(self, *arguments: str, **changes: str) -> tuple[int, str, str]:
        """Run `veltrix ARGUMENTS`; (exit code, standard output, standard error)."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "veltrix", *arguments, "--config", str(self.file),
            env=environment(self.directory, **changes),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def prepare(self) -> dict[str, Any]:
        """`veltrix cluster prepare`."""
        code, out, err = await self.run("cluster", "prepare", "--json", VELTRIX_POSTGRES_USER=self.superuser)
        assert code == 0, err
        done: dict[str, Any] = json.loads(out)
        return done

    async def start(self, *kinds: str) -> list[Process]:
        """Start processes of these kinds, all at once."""
        started = [Process(self, kind) for kind in kinds]
        self.processes += started
        await asyncio.gather(*(process.start() for process in started))
        return started

    async def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.process is not None and process.process.returncode is None:
                await process.end(signal.SIGKILL)

    async def key(self) -> str:
        """A new API key of the organizer `acme`."""
        code, out, err = await self.run("key", "create", "--organizer", "acme", "--json")
        assert code == 0, err
        return str(json.loads(out)["key"])

    def mails(self) -> int:
        """How many mails were spooled."""
        return len(list((self.directory / "spool").rglob("*.eml")))


async def open_event(url: str, key: str, slug: str = "autumn") -> str:
    """Publish and open an event; returns its id."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        client.headers["authorization"] = f"Bearer {key}"
        made = await client.post("/v1/events", json=EVENT | {"slug": slug})
        assert made.status_code == 201, made.text
        event = str(made.json()["id"])
        opened = await client.post(f"/v1/events/{event}/open")
        assert opened.status_code == 200, opened.text
        return event


async def register(url: str, event: str, numbers: Sequence[int], wait_s: int = 20) -> list[httpx.Response]:
    """Register people, all at once; answers in their order."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=40) as client:
        client.headers["prefer"] = f"wait={wait_s}"
        return await asyncio.gather(*(_register(client, event, number) for number in numbers))


async def _register(client: httpx.AsyncClient, event: str, number: int) -> httpx.Response:
    body = {
        "contact": {"name": f"Person {number}", "email": f"person{number}@example.org", "locale": "en"},
        "seats": [{"category": "std"}],
    }
    key = f"{number:032x}"
    return await client.post(f"/v1/events/{event}/registrations", json=body, headers={"idempotency-key": key})
