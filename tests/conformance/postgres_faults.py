"""What goes wrong between a process and PostgreSQL, on purpose."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import asyncpg

from tests.engines import PostgresServer
from veltrix.adapters.postgres.roles import PROCESSING

DEADLINE_S = 20.0


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again and again until the answer is true; returns it."""
    async with asyncio.timeout(DEADLINE_S):
        while not (answer := await holds()):  # noqa: ASYNC110 - what it asks for happens in the server
            await asyncio.sleep(0.01)
    return answer


@asynccontextmanager
async def superuser(server: PostgresServer, database: str = "veltrix") -> AsyncIterator[Any]:
    """A connection that may do everything."""
    connection = await asyncpg.connect(
        host=server.host, port=server.port, user=server.superuser, database=database
    )
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def without_standby(server: PostgresServer) -> AsyncIterator[Any]:
    """Commits of processing wait for a standby that does not exist, as behind a cut; yields a superuser."""
    async with superuser(server) as connection:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await connection.execute("SELECT pg_reload_conf()")
        try:
            await until(lambda: _waits(server))
            yield connection
        finally:
            await with_standby(connection)


async def with_standby(connection: Any) -> None:
    """Let commits go on."""
    await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await connection.execute("SELECT pg_reload_conf()")
    await until(lambda: _no_waits(connection))


async def _waits(server: PostgresServer) -> bool:
    async with superuser(server) as connection:
        await connection.execute("SET synchronous_commit = on")
        try:
            await connection.execute("SELECT pg_logical_emit_message(true, 'test', '')", timeout=0.1)
        except TimeoutError:
            return True
    return False


async def _no_waits(connection: Any) -> bool:
    return not await waiting_commits(connection)


async def waiting_commits(connection: Any) -> list[int]:
    """Processing's server processes whose COMMIT waits for a standby."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = $1", PROCESSING
    )
    return [pid for (pid,) in rows]


class Proxy:
    """Stands between a process and the server; `lose_answers` or `lose_questions` breaks what is sent."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.lose_answers = False
        self.lose_questions = False
        self.lost = asyncio.Event()

    async def __aenter__(self) -> Proxy:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(self._server.host, self._server.port)
        try:
            asking = asyncio.create_task(self._questions(reader, back))
            answering = asyncio.create_task(self._answers(there, writer))
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
        finally:
            self._tasks.discard(task)
            for each in (writer, back):
                each.transport.abort()

    async def _questions(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.lose_questions:
                self.lost.set()
                return
            back.write(data)

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65_536):
            if self.lose_answers:
                self.lost.set()
                return
            writer.write(data)


@asynccontextmanager
async def hung_host() -> AsyncIterator[str]:
    """A host that accepts connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> str:
    """A host where nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
