"""The HTTP server of a process: what it listens on, how it starts and ends."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from veltrix.observability.looplag import watch_event_loop
from veltrix.observability.metrics import Metrics
from veltrix.ports.errors import Unavailable

# A stampede makes millions of short-lived objects and few cycles: collect rarely, and never what is here
# before the first request.
_GC_THRESHOLD: Final = (50_000, 20, 100)
_KEEP_ALIVE_S: Final = 75
_SHUTDOWN_S: Final = 10
_STARTED_POLL_S: Final = 0.005


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command line decides when to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_on(section: str, host: str, port: int, backlog: int) -> socket.socket:
    """A socket that listens; `section` of the configuration names it. Raises `Unavailable`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise Unavailable(
            f"{section}.host {host!r} with {section}.port {port} cannot be listened on: "
            f"{error.strerror or error}; stop what uses it, or choose another port (0 takes a free one)"
        ) from error


@asynccontextmanager
async def served(
    app: ASGIApp, listener: socket.socket, backlog: int, metrics: Metrics
) -> AsyncIterator[asyncio.Task[None]]:
    """Serve within the block, from its first line on; gives the task that serves.

    Raises `Unavailable` when the server does not start.
    """
    server = _Server(_server_config(app, backlog))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    sampling = asyncio.create_task(watch_event_loop(metrics.loop_lag), name="loop-lag")
    try:
        await _started(server, serving)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)
        yield serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


def uncancel() -> None:
    """The cancellation was heard: what follows is the orderly end."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _server_config(app: ASGIApp, backlog: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        backlog=backlog,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )


async def _started(server: _Server, serving: asyncio.Task[None]) -> None:
    while not server.started:  # uvicorn gives no signal
        if serving.done():
            await serving
            raise Unavailable("the HTTP server ended before it had started")
        await asyncio.sleep(_STARTED_POLL_S)
