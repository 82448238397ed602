"""A way to a server that can be cut, or swallow everything that is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Forwards connections. `cut` ends and refuses them, `mute` keeps them and forwards nothing."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loud = asyncio.Event()
        self._loud.set()
        self._refusing = False
        self.address = ""

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mute(self) -> None:
        """Swallow what is sent, either way."""
        self._loud.clear()

    def heal(self) -> None:
        """Forward again."""
        self._refusing = False
        self._loud.set()

    async def close(self) -> None:
        """End."""
        self.heal()
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        with suppress(asyncio.CancelledError):  # the test is over
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        self._writers -= {writer, back}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._loud.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def relay(target: str) -> AsyncIterator[Relay]:
    """A relay to "host:port"."""
    it = Relay(target)
    await it.start()
    try:
        yield it
    finally:
        await it.close()
