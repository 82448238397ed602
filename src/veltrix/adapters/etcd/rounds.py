"""What a process does about what it owns and wants: looked at as a whole, round after round.

A round looks at the keys as they are known, and asks etcd for what is missing: a membership that says what
this process waits for, keys of ours to be deleted, resources that are free and wanted. It comes after every
change, so that it need not know which change it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from veltrix.adapters.etcd.client import Entry, EtcdClient, Txn, created_at, delete, put, read
from veltrix.adapters.etcd.epoch import epoch_of
from veltrix.adapters.etcd.names import PARTITION, Names
from veltrix.adapters.etcd.spread import Member, parse, show, spread
from veltrix.adapters.etcd.view import View
from veltrix.ports.coordinator import Grant
from veltrix.ports.errors import PortError
from veltrix.ports.ledger import Term

_log = logging.getLogger(__name__)

_IDLE_S: Final = 5.0
_RETRY_S: Final = 0.1
_HAND_OVER_MAX_S: Final = 5.0
"""After so long what should be handed over is taken away: its owner hangs, and the fence holds."""
_JOIN_S: Final = 5.0


@dataclass(eq=False, slots=True)
class Claim:
    """Somebody waits for any one of these resources."""

    resources: tuple[str, ...]
    future: asyncio.Future[Grant]


@dataclass(slots=True)
class _Owned:
    """A grant, where its key stands, and since when it is being handed over (0: it is not)."""

    grant: Grant
    entry: Entry
    leaving_s: float = 0.0


@dataclass(slots=True)
class _Work:
    """What one round asks of etcd."""

    membership: bytes | None = None
    delete: list[Entry] = field(default_factory=list)
    take: list[str] = field(default_factory=list)


class Rounds:
    """The state that the threads share, and the thread that acts on it. `lock` guards all of it."""

    def __init__(self, client: EtcdClient, group: str, member: str, loop: asyncio.AbstractEventLoop) -> None:
        self.lock = threading.Condition()
        self.view = View()
        self.lease = 0
        self.listed = False
        self._client = client
        self._names = Names(client.prefix)
        self._group, self._member = group, member
        self._membership_key = f"{self._names.members}{group}/{member}"
        self._loop = loop
        self._claims: list[Claim] = []
        self._owned: dict[str, _Owned] = {}
        self._released: dict[str, list[asyncio.Future[None]]] = {}
        self._woken = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="etcd-rounds", daemon=True)

    # -- from the event loop ---------------------------------------------------------------------
    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def claim(self, claim: Claim) -> None:
        """Somebody waits, at the end of the line."""
        with self.lock:
            self._claims.append(claim)
            self.wake()

    def unclaim(self, claim: Claim) -> None:
        """They wait no more."""
        with self.lock:
            if claim in self._claims:
                self._claims.remove(claim)
                self.wake()

    def release(self, grant: Grant) -> asyncio.Future[None] | None:
        """Give a grant back; the future says when etcd knows. None when it is no longer held."""
        with self.lock:
            owned = self._owned.get(grant.resource)
            if owned is None or owned.grant is not grant:
                return None
            del self._owned[grant.resource]
            known: asyncio.Future[None] = self._loop.create_future()
            self._released.setdefault(owned.entry.key, []).append(known)
            self.wake()
            return known

    def stop(self) -> tuple[list[Claim], list[Grant]]:
        """Begin nothing more; returns who still waits, and what is still owned."""
        with self.lock:
            self._closing = True
            claims, self._claims = self._claims, []
            grants = [owned.grant for owned in self._owned.values()]
            self._owned.clear()
            self.wake()
        return claims, grants

    def finish(self) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    # -- from the other threads ------------------------------------------------------------------
    def wake(self) -> None:
        """Something changed. To be called with the lock."""
        self._woken = True
        self.lock.notify_all()

    def lease_begun(self, lease: int) -> None:
        """From now on keys hang on this lease."""
        with self.lock:
            self.lease = lease
            self.wake()

    def lease_ended(self, lease: int) -> None:
        """etcd says that the lease is gone: so are its keys, and every grant."""
        with self.lock:
            self.lease = 0
            self.view.lease_ended(lease)
            self.wake()

    # -- the rounds ------------------------------------------------------------------------------
    def _run(self) -> None:
        wait_s = _IDLE_S
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self._woken, wait_s)
                if self._closing:
                    return
                self._woken = False
                work = self._work()
                wait_s = 1.0 if any(owned.leaving_s for owned in self._owned.values()) else _IDLE_S
            try:
                self._do(work)
            except PortError as error:
                _log.info("etcd could not be asked: %s", error)
                wait_s = self._again()
            except Exception:  # a defect must not end the only thread that wins and gives back
                _log.exception("a round failed")
                wait_s = self._again()

    def _again(self) -> float:
        time.sleep(_RETRY_S)
        with self.lock:
            self.wake()
        return _IDLE_S

    def _work(self) -> _Work:
        """What is to be done, by what is known now."""
        self._lose()
        work = _Work()
        if not self.lease or not self.listed:
            return work
        membership = self._membership()
        standing = self.view.get(self._membership_key)
        if standing is None or standing.value != membership or standing.lease != self.lease:
            work.membership = membership
        mine = self._member.encode()
        for resource, entry in self.view.below(self._names.owners):
            if entry.value == mine and resource not in self._owned:
                work.delete.append(entry)
        self._forget_released()
        work.take = self._plan()
        return work

    def _lose(self) -> None:
        """Grants whose key is gone or another's are lost; those that were not handed over are taken away."""
        now_s = time.monotonic()
        for resource, owned in list(self._owned.items()):
            standing = self.view.get(owned.entry.key)
            gone = standing is None or standing.create_revision != owned.entry.create_revision
            if gone or (owned.leaving_s and now_s - owned.leaving_s > _HAND_OVER_MAX_S):
                del self._owned[resource]
                self._tell(owned.grant.lost.set)

    def _membership(self) -> bytes:
        wants = {
            int(resource.removeprefix(PARTITION))
            for resource in [*self._owned, *(one for claim in self._claims for one in claim.resources)]
            if resource.startswith(PARTITION)
        }
        return json.dumps({"wants": show(wants)}).encode()

    def _forget_released(self) -> None:
        """Tell who released that etcd knows: our key is no longer there."""
        for key in list(self._released):
            entry = self.view.get(key)
            if entry is None or entry.value != self._member.encode():
                for known in self._released.pop(key):
                    self._tell(_settle, known)

    def _plan(self) -> list[str]:
        """What to take, first come, first served; and what to hand over is told to its owner."""
        partitions = self._partitions()
        taking: list[str] = []
        for claim in self._claims:
            for resource in claim.resources:
                if resource in taking or self.view.get(self._names.owners + resource) is not None:
                    continue
                if resource.startswith(PARTITION) and resource not in partitions:
                    continue
                taking.append(resource)
                break
        return taking

    def _partitions(self) -> set[str]:
        """The partitions that are mine to take; those that are another's to have are handed over."""
        members = {
            name: Member(entry.create_revision, _wants(entry.value))
            for name, entry in self.view.below(f"{self._names.members}{self._group}/")
        }
        owners = {
            int(number): entry.value.decode()
            for number, entry in self.view.below(self._names.owners + PARTITION)
            if number.isdecimal()
        }
        leaving = [int(name.removeprefix(PARTITION)) for name, one in self._owned.items() if one.leaving_s]
        plan = spread(self._member, members, owners, leaving)
        for number in plan.give:
            owned = self._owned.get(f"{PARTITION}{number}")
            if owned is not None:
                owned.leaving_s = time.monotonic()
                self._tell(owned.grant.lost.set)
        if plan.give:
            _log.info("handing over partitions %s", show(plan.give))
        return {f"{PARTITION}{number}" for number in plan.take}

    def _do(self, work: _Work) -> None:
        """Ask etcd. What succeeded counts, whatever else failed; then the first error is raised."""
        if work.membership is not None:
            self._announce(work.membership)
        results: list[Any] = []
        if work.delete:
            results += self._client.together(self._delete, [(entry,) for entry in work.delete])
        if work.take:
            results += self._client.together(self._take, [(resource,) for resource in work.take])
        for result in results:
            if isinstance(result, PortError):
                raise result

    def _announce(self, membership: bytes) -> None:
        lease, key = self.lease, self._membership_key
        done = self._client.txn([], [put(key, membership, lease), read(key)])
        self._see(key, done)

    def _delete(self, entry: Entry) -> None:
        """Delete a key of ours, unless it is another one by now."""
        done = self._client.txn(
            [created_at(entry.key, entry.create_revision)], [delete(entry.key)], [read(entry.key)]
        )
        with self.lock:
            if done.succeeded:
                self.view.gone(entry.key, done.revision)
            self.wake()
        if not done.succeeded:
            self._see(entry.key, done)

    def _take(self, resource: str) -> None:
        """Campaign once. Whoever has it otherwise is then known."""
        key, lease = self._names.owners + resource, self.lease
        done = self._client.txn(
            [created_at(key, 0)],
            [put(key, self._member.encode(), lease), read(key), read(self._names.epoch)],
            [read(key)],
        )
        if not done.succeeded:
            self._see(key, done)
            return
        entry, epoch = done.reads
        assert entry is not None, "it was put in the same transaction"
        term = Term(epoch_of(epoch), entry.create_revision)
        with self.lock:
            self.view.stands(entry)
            self.wake()
            claim = next((claim for claim in self._claims if resource in claim.resources), None)
            if claim is None or self._closing:
                return  # nobody waits any more: the next round deletes it
            self._claims.remove(claim)
            grant = Grant(resource, term, self._member)
            self._owned[resource] = _Owned(grant, entry)
        self._tell(self._deliver, claim, grant)

    def _see(self, key: str, done: Txn) -> None:
        """What a transaction read of its key."""
        [entry] = done.reads
        with self.lock:
            if entry is None:
                self.view.gone(key, done.revision)
            else:
                self.view.stands(entry)
            self.wake()

    def _deliver(self, claim: Claim, grant: Grant) -> None:
        """On the event loop: hand the grant to who waits, or give it back."""
        if claim.future.done():
            self.release(grant)
        else:
            claim.future.set_result(grant)

    def _tell(self, what: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the event loop is closed, and nobody is left to be told
            _log.debug("nobody is left to be told")


def _settle(known: asyncio.Future[None]) -> None:
    if not known.done():
        known.set_result(None)


def _wants(value: bytes) -> frozenset[int]:
    try:
        wants = json.loads(value)["wants"]
    except (ValueError, KeyError, TypeError):
        return frozenset()  # another version's way of saying it: it gets nothing from this one
    return parse(wants) if isinstance(wants, str) else frozenset()


def resources_of(names: Iterable[str]) -> tuple[str, ...]:
    """Resources to claim. Raises `ValueError` for a partition without a number."""
    resources = tuple(names)
    for resource in resources:
        if resource.startswith(PARTITION) and not resource.removeprefix(PARTITION).isdecimal():
            raise ValueError(f"{resource!r} is no partition")
    return resources
