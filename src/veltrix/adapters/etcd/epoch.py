"""The epoch, the first part of every term; and which log is in use. Operators change them, processes read
them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from veltrix.adapters.etcd.client import Entry, EtcdClient, changed_at, put, read
from veltrix.adapters.etcd.names import Names
from veltrix.ports.errors import Mismatch, OutcomeUnknown, Rejected, TermsBehind
from veltrix.ports.ledger import Term


@dataclass(frozen=True, slots=True)
class LogGeneration:
    """Which log is in use, and how many there were before it."""

    topic_id: str
    generation: int


def epoch_of(entry: Entry | None) -> int:
    """The epoch that a key says; 1 where none was written yet."""
    if entry is None:
        return 1
    try:
        return int(entry.value)
    except ValueError:
        raise Mismatch(
            f"etcd's key {entry.key} holds {entry.value[:40]!r}, which is no epoch; put a whole number there"
        ) from None


def newest_term(client: EtcdClient) -> Term:
    """A term that none granted so far exceeds: the epoch, and the revision that etcd has reached."""
    entry, revision = client.look(Names(client.prefix).epoch)
    return Term(epoch_of(entry), revision)


def verify_term(client: EtcdClient, term: Term) -> None:
    """Raises `TermsBehind` when etcd cannot have granted a term yet."""
    newest = newest_term(client)
    if term > newest:
        raise TermsBehind(
            f"the ledger knows term {term}, but etcd has only come to {newest}: etcd was restored from an "
            f"older snapshot, or replaced. Run: veltrix cluster epoch raise --to {term.epoch + 1}"
        )


def raise_epoch(client: EtcdClient, to: int | None = None) -> int:
    """Raise the epoch, by one or to a number; returns the new one. Raises `Rejected` when it is no raise."""
    key = Names(client.prefix).epoch
    entry, _ = client.look(key)
    standing = epoch_of(entry)
    wanted = standing + 1 if to is None else to
    if wanted <= standing:
        raise Rejected(f"the epoch is {standing} and can only be raised; name a greater one")
    _write(client, key, entry, str(wanted).encode())
    return wanted


def prepare_epoch(client: EtcdClient) -> bool:
    """Write the first epoch, unless there is one; returns whether it was written. Safe from several
    processes."""
    key = Names(client.prefix).epoch
    return client.look(key)[0] is None and client.txn([changed_at(key, 0)], [put(key, b"1")]).succeeded


def read_log(client: EtcdClient) -> LogGeneration | None:
    """Which log is in use; None when none was recorded."""
    entry, _ = client.look(Names(client.prefix).log)
    return None if entry is None else _log_of(entry)


def prepare_log(client: EtcdClient, topic_id: str) -> LogGeneration:
    """Record the first log as generation 0, or make sure that this one is in use. Raises `Mismatch`."""
    key = Names(client.prefix).log
    standing = read_log(client)
    if standing is None:
        client.txn([changed_at(key, 0)], [put(key, _log_value(LogGeneration(topic_id, 0)))])
        standing = read_log(client)
    if standing is None or standing.topic_id != topic_id:
        raise Mismatch(
            f"the log's topic is {topic_id}, but the cluster uses {standing and standing.topic_id}: the "
            "topic was replaced. Bring the old one back, or declare the new one: veltrix restore"
        )
    return standing


def adopt_log(client: EtcdClient, log: LogGeneration) -> None:
    """Say which generation the log in use is: of one that had predecessors elsewhere. Raises `Mismatch`."""
    standing = prepare_log(client, log.topic_id)
    if standing != log:
        _write(client, Names(client.prefix).log, client.look(Names(client.prefix).log)[0], _log_value(log))


def raise_log(client: EtcdClient, topic_id: str) -> LogGeneration:
    """Declare another log to be in use, under the next generation; the same one again changes nothing."""
    key = Names(client.prefix).log
    entry, _ = client.look(key)
    standing = None if entry is None else _log_of(entry)
    if standing is not None and standing.topic_id == topic_id:
        return standing
    following = LogGeneration(topic_id, 0 if standing is None else standing.generation + 1)
    _write(client, key, entry, _log_value(following))
    return following


def _log_value(log: LogGeneration) -> bytes:
    return json.dumps({"topic_id": log.topic_id, "generation": log.generation}).encode()


def _log_of(entry: Entry) -> LogGeneration:
    try:
        found = json.loads(entry.value)
        return LogGeneration(str(found["topic_id"]), int(found["generation"]))
    except (ValueError, KeyError, TypeError):
        raise Mismatch(
            f'etcd\'s key {entry.key} is damaged; it holds {{"topic_id": "…", "generation": 0}} and so on'
        ) from None


def _write(client: EtcdClient, key: str, entry: Entry | None, value: bytes) -> None:
    """Replace a key that is still as it was read; an unknown outcome is settled by reading it back."""
    condition = changed_at(key, entry.mod_revision if entry is not None else 0)
    try:
        done = client.txn([condition], [put(key, value)], [read(key)])
    except OutcomeUnknown:
        standing, _ = client.look(key)
        if standing is None or standing.value != value:
            raise
        return
    if not done.succeeded:
        raise Rejected(f"{key} was changed by somebody else at the same time; look, and try again")
