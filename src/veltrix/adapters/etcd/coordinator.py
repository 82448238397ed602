"""Who owns what, by etcd: one lease a process, one key an owned resource, partitions spread evenly.

**Terms.** An owner's key is created in a transaction, if it is not there, on the process's lease. The term is
(epoch, revision of that creation): etcd's revision rises with every change, so no two creations share one,
and the epoch, read in the same transaction, is raised by an operator when etcd itself had to go back in time.

**When a grant is lost.** A lease protects nothing by itself: a process may be paused between looking at its
watch and writing. The ledger's fence does that, and it makes the rest a question of being useful:

- The key is gone, or is another's: etcd has said so (the watch, a listing, a failed campaign). `lost` is set.
- The lease has ended: etcd has said so, to the renewal. Every key of it is deleted: `lost` is set on every
  grant, and a new lease is begun. What is wanted is won anew, under a new term, by a new grant; a grant never
  comes back.
- etcd is silent past the lease's local deadline: `lost` is NOT set. There are two cases, and from here they
  look alike. Either etcd has no quorum: then leases do not end (ending one is itself a decision of the
  quorum), nobody can take over, and to stop would stop deciding for nothing. Or this process is cut off: then
  another one takes over with a greater term, its take-over in the ledger fences this one at its next write,
  and `Fenced` says more, and more surely, than any clock here could. Whoever is fenced releases the grant and
  waits for the next one; the key, should it still be ours, is deleted as soon as etcd answers. `unsure` tells
  that it is so, for the metrics.
- etcd is back: if the lease is alive, so are the keys (after an election leases start their time anew), a
  listing confirms them, and nothing happened. If it is gone, see above.

So the deadline decides one thing only: whether this process says that it is sure. It is computed from when
the renewal was sent, and the renewal is done by a thread of its own (`leasing`).

**Never blindly again.** A campaign whose outcome is unknown is followed by another round: the transaction's
other branch reads the key back, and a key that is ours without a grant (it came through after all, or its
release is outstanding) is deleted, never adopted: each grant has a term of its own.

**Threads.** The lease, the watch and the rounds have a thread each; callers live on one event loop. What they
share is guarded by one lock, which is never held while etcd is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from veltrix.adapters.etcd.client import EtcdClient, Listing
from veltrix.adapters.etcd.epoch import verify_term
from veltrix.adapters.etcd.following import Change, Follower
from veltrix.adapters.etcd.leasing import Lease
from veltrix.adapters.etcd.names import Names
from veltrix.adapters.etcd.rounds import Claim, Rounds, resources_of
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import PortError, Unavailable
from veltrix.ports.ledger import Term

_log = logging.getLogger(__name__)

_OPEN_MAX_S: Final = 10.0


class EtcdCoordinator:
    """A member of a group. `open` makes one; it belongs to the event loop that it is opened on."""

    def __init__(self, client: EtcdClient, group: str, member: str) -> None:
        self._client = client
        self._member = member
        self._loop = asyncio.get_running_loop()
        self._rounds = Rounds(client, group, member, self._loop)
        self._lease = Lease(client, self._begun, self._rounds.lease_ended)
        self._follower = Follower(client, Names(client.prefix).coordination, self._listed, self._changed)
        self._joined = asyncio.Event()
        self._closed = False

    @classmethod
    async def open(cls, client: EtcdClient, *, group: str, member: str | None = None) -> EtcdCoordinator:
        """Join the group: begin a lease, and follow what the others do. Closing does not close `client`.

        Raises `Unavailable` when etcd gives no lease in time, `Mismatch` when it refuses.
        """
        coordinator = cls(
            client, group, member or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        )
        coordinator._rounds.start()
        coordinator._lease.start()
        coordinator._follower.start()
        try:
            async with asyncio.timeout(_OPEN_MAX_S):
                await coordinator._joined.wait()
        except TimeoutError:
            why = coordinator._lease.error or "see that it has a leader"
            raise Unavailable(f"etcd gave no lease within {_OPEN_MAX_S:.0f} s: {why}") from None
        finally:
            if not coordinator._joined.is_set():
                await coordinator.close()
        return coordinator

    @property
    def member(self) -> str:
        """The name of this process in etcd."""
        return self._member

    @property
    def unsure(self) -> bool:
        """Whether etcd has been silent for so long that the lease may have ended: others may own what is
        owned here, unless they cannot reach a quorum either."""
        return time.monotonic() > self._lease.deadline_s

    @property
    def margin_s(self) -> float:
        """For how long the lease surely lasts still; below 0 etcd has been silent past its end."""
        return self._lease.deadline_s - time.monotonic()

    @property
    def leases_lost(self) -> int:
        """How many leases etcd said had ended."""
        return self._lease.lost

    async def acquire(self, resource: str) -> Grant:
        """Own the resource. A partition comes when it is this member's to have, anything else when it is
        free."""
        return await self.acquire_any([resource])

    async def acquire_any(self, resources: Sequence[str]) -> Grant:
        """Own one of the resources: the first one that is free, or the first one that becomes so."""
        if self._closed:
            raise Unavailable("the coordinator is closed")
        claim = Claim(resources_of(resources), self._loop.create_future())
        self._rounds.claim(claim)
        try:
            return await claim.future
        except asyncio.CancelledError:
            future = claim.future
            if future.done() and not future.cancelled() and future.exception() is None:
                await self.release(future.result())  # it was granted in the instant of the cancellation
            future.cancel()
            raise
        finally:
            self._rounds.unclaim(claim)

    async def release(self, grant: Grant) -> None:
        """Give it up. Returns when etcd knows, or has not answered for a while; then it is told once it
        does."""
        grant.lost.set()
        known = self._rounds.release(grant)
        if known is None:
            return
        _, late = await asyncio.wait([known], timeout=self._client.settings.call_timeout_s)
        if late:
            _log.info("etcd has not answered yet; %s is given back once it does", grant.resource)

    async def verify(self, term: Term) -> None:
        """Raises `TermsBehind` when etcd cannot have granted this term: it went back in time."""
        await self._client.run(verify_term, self._client, term)

    async def close(self) -> None:
        """Give everything up at once, by revoking the lease; leave the group."""
        if self._closed:
            return
        self._closed = True
        claims, grants = self._rounds.stop()
        for claim in claims:
            if not claim.future.done():
                claim.future.set_exception(Unavailable("the coordinator was closed"))
        for grant in grants:
            grant.lost.set()
        await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        self._rounds.finish()
        try:
            self._lease.close()
        except PortError as error:
            _log.info("the lease could not be revoked and ends by itself: %s", error)
        self._follower.close()

    # -- from the threads of the lease and of the watch ------------------------------------------
    def _begun(self, lease: int) -> None:
        self._rounds.lease_begun(lease)
        self._maybe_joined()

    def _listed(self, listing: Listing) -> None:
        with self._rounds.lock:
            self._rounds.view.listed(listing)
            self._rounds.listed = True
            self._rounds.wake()
        self._maybe_joined()

    def _changed(self, changes: Sequence[Change]) -> None:
        with self._rounds.lock:
            for change in changes:
                self._rounds.view.changed(change)
            self._rounds.wake()

    def _maybe_joined(self) -> None:
        with self._rounds.lock:
            joined = self._rounds.listed and self._rounds.lease
        if joined:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._joined.set)
