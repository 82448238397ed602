"""One connection, and how the primary is found among the hosts.

asyncpg's own list of hosts shares one time-out, so that one host that hangs starves the rest: here all are
asked at once, each for itself.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from veltrix.adapters.postgres.settings import PostgresSettings
from veltrix.ports.errors import Unavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

Address = tuple[str, int]
TOO_LATE: Final = "did not answer in time"

# The time line rises with each promotion: an old primary that is cut off from its standbys has a lower one.
_WHO: Final = """
SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END
"""


class NotPrimary(Exception):
    """A server that answers, and is a standby or an older primary."""


class QuietConnection(Connection):
    """A connection that never asks the server to cancel: whoever gives up on it drops the socket."""

    __slots__ = ()

    def _cancel_current_command(self, waiter: object, cancel_waiter: object = None) -> None:
        self.terminate()


@dataclass(slots=True, eq=False)
class Link:
    """A connection to the primary. `generation`: of the pool's belief in that primary.

    `warned` is set by a WARNING of the server's: a commit that was not replicated is told in no other way.
    """

    connection: Connection
    address: Address
    timeline: int
    generation: int = 0
    warned: str = ""

    def drop(self) -> None:
        """Close the socket at once and ask the server nothing: above all not to cancel what it does."""
        self.connection.terminate()

    def heard(self, _: object, message: Any) -> None:
        """A message that the server sent beside its answers."""
        if (message.sqlstate or "").startswith(("01", "57")):
            self.warned = str(message.message)


async def connect(settings: PostgresSettings, session: str, address: Address, oldest: int) -> Link:
    """Connect to this server, within `connect_timeout_s`, if it is a primary of at least that time line.

    Raises `NotPrimary`, `TimeoutError`, or what asyncpg raises.
    """
    link: Link | None = None
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            connection = await asyncpg.connect(
                host=address[0],
                port=address[1],
                user=settings.user,
                password=settings.password,
                database=settings.database,
                ssl=settings.ssl_context(),
                timeout=settings.connect_timeout_s * 2,  # ours is the one that counts
                command_timeout=None,
                server_settings=settings.session_settings(session),
                connection_class=QuietConnection,
            )
            link = Link(connection, address, 0)
            row = await connection.fetchrow(_WHO)
            assert row is not None
            link.timeline = row[1]
            if row[0] or link.timeline < oldest:
                raise NotPrimary(f"{address[0]}:{address[1]} is not the primary")
    except BaseException:
        if link is not None:
            link.drop()
        raise
    _bound_tcp(connection, settings)
    connection.add_log_listener(link.heard)
    return link


async def find_primary(
    settings: PostgresSettings, session: str, addresses: Sequence[Address], oldest: int
) -> Link:
    """Ask all hosts at once; the first that is a primary wins. Raises `Unavailable` with what each said."""
    probes = {
        asyncio.create_task(connect(settings, session, address, oldest)): address for address in addresses
    }
    waiting = set(probes)
    said: list[str] = []
    best: Link | None = None
    try:
        while waiting and best is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for probe in done:
                error = probe.exception()
                if error is not None:
                    host, port = probes[probe]
                    said.append(f"{host}:{port}: {_shown(error)}")
                elif best is None or best.timeline < probe.result().timeline:
                    best = probe.result()
    finally:
        for probe in probes:
            probe.cancel()  # without effect on one that is done
        for ended in await asyncio.gather(*probes, return_exceptions=True):
            if isinstance(ended, Link) and ended is not best:
                ended.drop()
    if best is None:
        raise Unavailable(f"no primary among the hosts ({'; '.join(sorted(said))})")
    return best


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started_s = monotonic()

    def seconds(self) -> float:
        """How many by now."""
        return monotonic() - self._started_s


def _shown(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return TOO_LATE
    return str(error) or type(error).__name__


def _bound_tcp(connection: Connection, settings: PostgresSettings) -> None:
    """Let the kernel give up a peer that is gone; asyncpg has no option for it."""
    transport: Any = getattr(connection, "_transport", None)
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        user_timeout_ms = round(settings.statement_timeout_s * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
