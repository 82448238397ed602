"""A cluster on the engines that all tests share, with names of its own, prepared and empty."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.engines import PostgresServer
from veltrix.bootstrap.prepare import prepare
from veltrix.config import Config, load

WAIT_S = 60.0


@dataclass
class Cluster:
    """Where it is, and what runs of it."""

    directory: Path
    file: Path
    config: Config
    server: PostgresServer
    running: list[tuple[asyncio.subprocess.Process, asyncio.Task[None]]] = field(default_factory=list)

    @classmethod
    async def make(
        cls, directory: Path, kafka: str, server: PostgresServer, etcd: str, partitions: int = 2
    ) -> Cluster:
        """Prepare one."""
        name = f"t{os.urandom(5).hex()}"
        directory.mkdir()  # noqa: ASYNC240 - once, for a test
        file = directory / "cluster.toml"
        file.write_text(f'''
[data]
directory = "{directory / "data"}"
[log]
partitions = {partitions}
[http]
port = 0
public_url = "http://127.0.0.1:1"
[kafka]
bootstrap_servers = ["{kafka}"]
topic_prefix = "{name}"
replication = 1
min_insync = 1
reply_partitions = 4
[postgres]
hosts = ["{server.host}:{server.port}"]
database = "{name}"
vault_database = "{name}_vault"
pool_max = 3
[etcd]
endpoints = ["{etcd}"]
prefix = "/{name}"
[operations]
port = 0
''')
        cluster = cls(directory, file, load(file).config, server)
        await prepare(cluster.config, {})
        return cluster

    async def sql(self, query: str, *, vault: bool = False) -> list[tuple[object, ...]]:
        """Ask a database as its superuser."""
        postgres = self.config.postgres
        connection = await asyncpg.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.server.superuser,
            database=postgres.vault_database if vault else postgres.database,
        )
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def veltrix(self, *arguments: str) -> tuple[int, str, str]:
        """Run `veltrix ARGUMENTS --config …`; (exit code, standard output, standard error)."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "veltrix", *arguments, "--config", str(self.file),
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), WAIT_S)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def run(self, kind: str) -> str:
        """Start a service; returns where it is reached once it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "veltrix", "run", kind, "--config", str(self.file),
            env=_environment() | {"VELTRIX_LOGGING_FORMAT": "json"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.running.append((process, asyncio.create_task(_read(process, ready))))
        return await asyncio.wait_for(ready, WAIT_S)

    async def stop(self) -> None:
        """Stop what runs, in order."""
        for process, _ in reversed(self.running):
            if process.returncode is None:
                process.terminate()
        for process, reading in self.running:
            await asyncio.wait_for(process.wait(), WAIT_S)
            await reading
        self.running.clear()

    async def drop(self) -> None:
        """Let the server forget it."""
        await self.stop()
        connection = await asyncpg.connect(
            host=self.server.host, port=self.server.port, user=self.server.superuser, database="postgres"
        )
        try:
            for name in (self.config.postgres.database, self.config.postgres.vault_database):
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        finally:
            await connection.close()


@asynccontextmanager
async def clusters(directory: Path, kafka: str, server: PostgresServer, etcd: str) -> AsyncIterator[Cluster]:
    """A cluster for a test."""
    cluster = await Cluster.make(directory, kafka, server, etcd)
    try:
        yield cluster
    finally:
        await cluster.drop()


async def _read(process: asyncio.subprocess.Process, ready: asyncio.Future[str]) -> None:
    """Read what it says to the end, so that it never waits for a reader."""
    assert process.stderr is not None
    said: list[str] = []
    async for raw in process.stderr:
        line = raw.decode(errors="replace")
        said = [*said[-30:], line]
        if '"running"' in line and not ready.done():
            ready.set_result(str(json.loads(line)["watch"]))
    if not ready.done():
        ready.set_exception(AssertionError("the service did not run:\n" + "".join(said)))


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("VELTRIX_")}
