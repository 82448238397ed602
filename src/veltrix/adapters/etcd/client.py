"""A thin client of etcd's API version 3: synchronous, and safe to use from several threads.

Synchronous, because what matters here must not wait for a busy event loop: leases are kept alive and watches
followed by threads of their own. Coroutines call it through `run`.

Each try of a call has a deadline, and carries `hasleader`, so that a member that is cut off from its leader
says so instead of answering. Whoever does not answer is left for the next endpoint, which is kept while it
answers. Reads and what may be repeated harmlessly are tried at every endpoint. A transaction is not: once it
was sent and no clear answer came it raises `OutcomeUnknown`, and whoever sent it reads back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import Message

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.calling import Caller
from veltrix.adapters.etcd.settings import EtcdSettings
from veltrix.adapters.etcd.transport import (
    LEASE_GRANT,
    LEASE_KEEP_ALIVE,
    LEASE_REVOKE,
    MEMBER_LIST,
    RANGE,
    TXN,
    WATCH,
    LeaseGone,
    Stream,
)
from veltrix.ports.errors import PortError, Unavailable

T = TypeVar("T")

_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value, as of a revision. `lease` is 0 for what stays."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int

    @classmethod
    def of(cls, kv: rpc.KeyValue) -> Entry:
        """From etcd's own message."""
        return cls(kv.key.decode(), kv.value, kv.create_revision, kv.mod_revision, kv.lease)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a read found, and at which revision of which cluster."""

    entries: tuple[Entry, ...]
    revision: int
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Txn:
    """How a transaction went: `reads` has an entry for each read of the branch taken, None for no such
    key."""

    succeeded: bool
    revision: int
    reads: tuple[Entry | None, ...]


def after(prefix: str) -> bytes:
    """The end of the range of all keys that begin with `prefix`."""
    encoded = prefix.encode()
    return encoded[:-1] + bytes([encoded[-1] + 1])


def created_at(key: str, revision: int) -> rpc.Compare:
    """Holds when the key was created at this revision; 0: when it is not there."""
    return rpc.Compare(target=rpc.Compare.CREATE, key=key.encode(), create_revision=revision)


def changed_at(key: str, revision: int) -> rpc.Compare:
    """Holds when the key was last changed at this revision; 0: when it is not there."""
    return rpc.Compare(target=rpc.Compare.MOD, key=key.encode(), mod_revision=revision)


def put(key: str, value: bytes, lease: int = 0) -> rpc.RequestOp:
    """Write a key, on a lease or for good."""
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value, lease=lease))


def delete(key: str) -> rpc.RequestOp:
    """Delete a key."""
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key.encode()))


def read(key: str) -> rpc.RequestOp:
    """Read a key."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))


class EtcdClient:
    """See the module. `open` makes one; one a process is enough."""

    def __init__(self, settings: EtcdSettings) -> None:
        self.settings = settings
        self.prefix = settings.prefix.rstrip("/")
        self._caller = Caller(settings)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="etcd-call")
        self._closed = False

    @classmethod
    async def open(cls, settings: EtcdSettings) -> EtcdClient:
        """Connect, and make sure that etcd answers. Raises `Unavailable` or `Mismatch`, with the remedy."""
        client = cls(settings)
        try:
            await client.run(client.revision)
        except BaseException:
            await client.close()
            raise
        return client

    async def close(self) -> None:
        """Close; whoever waits for an answer gets an error. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._caller.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Call a function that blocks, off the event loop. A cancellation leaves it running to its end."""
        if self._closed:
            raise Unavailable("the client of etcd is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    def together(
        self, call: Callable[..., T], arguments: Sequence[tuple[object, ...]]
    ) -> list[T | PortError]:
        """Call a function several times at once; errors of the ports stand among the results."""

        def one(given: tuple[object, ...]) -> T | PortError:
            try:
                return call(*given)
            except PortError as error:
                return error

        if len(arguments) == 1:
            return [one(arguments[0])]
        try:
            return list(self._pool.map(one, arguments))
        except RuntimeError:  # the pool is shut down
            return [Unavailable("the client of etcd is closed") for _ in arguments]

    def look(self, key: str) -> tuple[Entry | None, int]:
        """A key, linearizable, and the revision that the store has reached."""
        found = self._range(rpc.RangeRequest(key=key.encode()))
        return (found.entries[0] if found.entries else None), found.revision

    def list(self, prefix: str) -> Listing:
        """All keys that begin with `prefix`, linearizable, by name."""
        return self._range(rpc.RangeRequest(key=prefix.encode(), range_end=after(prefix)))

    def revision(self) -> Listing:
        """The revision that the store has reached, linearizable; without entries."""
        return self._range(rpc.RangeRequest(key=f"{self.prefix}/".encode(), count_only=True))

    def txn(
        self,
        conditions: Sequence[rpc.Compare],
        then: Sequence[rpc.RequestOp],
        otherwise: Sequence[rpc.RequestOp] = (),
    ) -> Txn:
        """Do `then` if all conditions hold, else `otherwise`. Raises `OutcomeUnknown`: read back."""
        answer = self._caller.once(TXN, rpc.TxnRequest(compare=conditions, success=then, failure=otherwise))
        reads = [
            Entry.of(response.response_range.kvs[0]) if response.response_range.kvs else None
            for response in answer.responses
            if response.WhichOneof("response") == "response_range"
        ]
        return Txn(answer.succeeded, answer.header.revision, tuple(reads))

    def lease_grant(self, lease: int, ttl_s: int) -> int:
        """Begin a lease under a number of the caller's; returns how long etcd lets it last, in seconds.

        Raises `OutcomeUnknown`: take another number, that lease ends by itself.
        """
        return self._caller.once(LEASE_GRANT, rpc.LeaseGrantRequest(ID=lease, TTL=ttl_s)).TTL

    def lease_keep_alive(self, lease: int, timeout_s: float) -> int:
        """Renew it; returns how many seconds it lasts from now on. Raises `LeaseGone`."""
        request = rpc.LeaseKeepAliveRequest(ID=lease)
        ttl_s = self._caller.anywhere(LEASE_KEEP_ALIVE, request, timeout_s).TTL
        if ttl_s <= 0:
            raise LeaseGone("the lease has ended")
        return ttl_s

    def lease_revoke(self, lease: int) -> None:
        """End it and delete its keys; nothing happens when it has ended. May be repeated."""
        try:
            self._caller.anywhere(LEASE_REVOKE, rpc.LeaseRevokeRequest(ID=lease))
        except LeaseGone:
            return

    def members(self) -> Sequence[rpc.Member]:
        """The members of the cluster, as etcd itself describes them."""
        return self._caller.anywhere(MEMBER_LIST, rpc.MemberListRequest()).members

    def watch(self, requests: Iterator[Message]) -> Stream[rpc.WatchResponse]:
        """Begin to watch at the endpoint at hand; see `following`, which knows what to do when it breaks."""
        return self._caller.stream(WATCH, requests)

    def broke(self, stream: Stream[rpc.WatchResponse], *, login: bool) -> None:
        """A watch has ended: try elsewhere, with a new login if that was the reason."""
        self._caller.leave(stream.endpoint)
        if login:
            self._caller.forget_login()

    def _range(self, request: rpc.RangeRequest) -> Listing:
        answer = self._caller.anywhere(RANGE, request)
        return Listing(
            tuple(Entry.of(kv) for kv in answer.kvs), answer.header.revision, answer.header.cluster_id
        )
