"""Many connections at once: as many as this machine lets one process have, opened without a storm."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from veltrix.load.client import ClientError, Connection, Target, open_connection

FILES_SPARE: Final = 100  # standard streams, libraries, the loop's own, the connection that exports
CONNECTING_AT_ONCE: Final = 128  # below every backlog, also where the system cuts it to 128
_TRANSIENT: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN})
_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
_TRIES: Final = 6

OPEN_FILE_LIMIT: Final = "open-file limit"
LOCAL_PORTS: Final = "local ports"


def raise_file_limit() -> int | None:
    """Raise this process's open-file limit as far as it goes, and return it; None where there is none.

    A hard limit may be "unlimited" and still not be accepted (macOS): then the greatest that is.
    """
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = [hard] if hard != resource.RLIM_INFINITY else []
    for limit in [*wanted, 1_048_576, 65_536, 24_576, 10_240]:
        if soft != resource.RLIM_INFINITY and limit <= soft:
            continue
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (ValueError, OSError):
            continue
        break
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def connections_allowed(wanted: int, file_limit: int | None) -> int:
    """How many of the wanted connections fit the open-file limit."""
    return wanted if file_limit is None else max(1, min(wanted, file_limit - FILES_SPARE))


@dataclass(slots=True)
class Crowd:
    """Open connections to `targets`, whose names are resolved; `stopped_by` says which limit kept it from
    being all that were wanted."""

    connections: list[Connection]
    targets: list[Target]
    stopped_by: str = ""


async def gather_crowd(
    targets: list[Target],
    count: int,
    make: Callable[[], Connection],
    progress: Callable[[int], None] = lambda opened: None,
) -> Crowd:
    """Open `count` connections, a bounded number at a time, spread over the targets.

    Fewer when a limit of this machine is reached; raises `ClientError` when a server cannot be reached.
    """
    resolved = [await _resolve(target) for target in targets]
    crowd = Crowd([], resolved)
    failures: list[ClientError] = []
    left = iter(range(count))

    async def open_some() -> None:
        for number in left:
            if crowd.stopped_by or failures:
                return
            target = resolved[number % len(resolved)]
            try:
                crowd.connections.append(await _open_patiently(target, make))
            except OSError as error:
                crowd.stopped_by = _limit_behind(error)
                if not crowd.stopped_by:
                    failures.append(ClientError(f"{target.base} stopped accepting connections: {error}"))
                return
            progress(len(crowd.connections))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(CONNECTING_AT_ONCE, count)):
            group.create_task(open_some())
    if failures:
        disperse(crowd)
        raise failures[0]
    return crowd


def disperse(crowd: Crowd) -> None:
    """End all of them."""
    for connection in crowd.connections:
        connection.lost = None
        connection.abort()


async def _resolve(target: Target) -> Target:
    """The address behind a name, asked once and not ten thousand times; TLS needs the name itself."""
    if target.scheme == "https":
        return target
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise ClientError(f"no server at {target.base}: {error}") from None
    for *_, address in found:
        candidate = Target(target.scheme, str(address[0]), target.port, target.path)
        try:
            probe = await open_connection(candidate, Connection(lambda *answer: None))
        except OSError:
            continue
        probe.abort()
        return candidate
    raise ClientError(f"no server at {target.base}: nobody accepts connections")


async def _open_patiently(target: Target, make: Callable[[], Connection]) -> Connection:
    """Connect, again after a pause while the server's backlog is full."""
    for attempt in range(_TRIES):
        try:
            return await open_connection(target, make())
        except OSError as error:
            if error.errno not in _TRANSIENT or attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0.05 * 2**attempt)
    raise AssertionError("the last try either returns or raises")


def _limit_behind(error: OSError) -> str:
    """The limit of this machine that the error tells of; empty when it is about the server."""
    if error.errno in _NO_FILES:
        return OPEN_FILE_LIMIT
    return LOCAL_PORTS if error.errno == errno.EADDRNOTAVAIL else ""
