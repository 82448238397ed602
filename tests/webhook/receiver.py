"""A receiver of webhooks that verifies what comes, and behaves as it is told to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
GIGABYTE = 1024**3
CLOSING = web.AppKey("closing", asyncio.Event)


async def accept(_: web.Request) -> web.StreamResponse:
    """204."""
    return web.Response(status=204)


def answer(status: int, text: str = "", **headers: str) -> Behaviour:
    """A status with a text; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def behave(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=named)

    return behave


async def hang(request: web.Request) -> web.StreamResponse:
    """Read everything and say nothing, until the receiver is taken down."""
    await request.app[CLOSING].wait()
    return web.Response()


async def reset(request: web.Request) -> web.StreamResponse:
    """Read everything, then reset the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def close_after_body(request: web.Request) -> web.StreamResponse:
    """Read everything, then close the connection in order."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def half_an_answer(request: web.Request) -> web.StreamResponse:
    """Answer 200, begin a body, and break off."""
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b"only this")
    assert request.transport is not None
    request.transport.close()
    return response


def drip(status_line: bool) -> Behaviour:
    """Answer a byte at a time, for ever: from the status line on, or the body of a 200 only."""

    async def behave(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if not status_line:
            transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        else:
            transport.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not transport.is_closing():
            transport.write(b"x")
            await asyncio.sleep(0.02)
        return web.Response()

    return behave


@dataclass
class Receiver:
    """What came: ids in order, whole requests, and how many bytes were taken of a huge answer."""

    behaviour: Behaviour = accept
    url: str = ""
    ids: list[str] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    forged: int = 0
    made_up_time: bool = False
    peers: set[object] = field(default_factory=set)
    streamed_bytes: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request, verify it as the documents say, and behave."""
        body = await request.read()
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, body))
        self.forged += not self.verified(headers, body)
        self.ids.append(headers["webhook-id"])
        self.came.set()
        return await self.behaviour(request)

    def verified(self, headers: dict[str, str], body: bytes) -> bool:
        """Whether the package verifies it; where the sender's time is made up, all but its tolerance."""
        if self.made_up_time:
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            signed = Webhook(SECRET).sign(headers["webhook-id"], at, body.decode())
            return signed in headers["webhook-signature"].split(" ")
        try:
            Webhook(SECRET).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """Answer 200 with a gigabyte, as much of it as is taken."""
        response = web.StreamResponse(headers={"content-length": str(GIGABYTE)})
        await response.prepare(request)
        block = b"x" * 65_536
        try:
            while self.streamed_bytes < GIGABYTE:
                await response.write(block)
                self.streamed_bytes += len(block)
        except OSError:
            pass
        return response

    def facts(self) -> list[dict[str, Any]]:
        """The bodies that came."""
        return [json.loads(body) for _, body in self.requests]


@asynccontextmanager
async def a_receiver(behaviour: Behaviour = accept, *, made_up_time: bool = False) -> AsyncIterator[Receiver]:
    """A receiver that listens on loopback."""
    receiver = Receiver(behaviour, made_up_time=made_up_time)
    app = web.Application()
    app[CLOSING] = asyncio.Event()
    app.router.add_post("/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        app[CLOSING].set()
        await runner.cleanup()


@asynccontextmanager
async def a_closing_port() -> AsyncIterator[str]:
    """A port that takes connections and closes each at once, before it has read anything."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
