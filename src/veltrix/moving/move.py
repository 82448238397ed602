"""An embedded deployment becomes a cluster: everything as it is, under the same ids, offsets and times.

1. Nobody may be using either side: the data directory's lock, an empty target, no living process in etcd.
2. The ledger is marked: it belongs to no log, so that nobody decides while it fills (`Filling.mark`).
3. The log goes record by record to the same partition, offset and append time, and is read back.
4. Keys, ledger, notices and API keys go row by row, and every row is compared.
5. Both sides are audited. Only then the mark goes, and the cluster is whole.

What is interrupted before the last step leaves the mark; the same move run again goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from veltrix.adapters.etcd.client import EtcdClient
from veltrix.adapters.etcd.epoch import LogGeneration, adopt_log
from veltrix.adapters.etcd.names import Names
from veltrix.adapters.generations import renumbered
from veltrix.adapters.kafka import KafkaLog
from veltrix.adapters.kafka.copying import LogCopy
from veltrix.adapters.master_key import read_master_key
from veltrix.adapters.postgres import Postgres, PostgresLedger
from veltrix.adapters.postgres.filling import Filling
from veltrix.adapters.postgres.roles import OWNER
from veltrix.adapters.sqlite import DataDirectoryLock, SqliteLedger, SqliteLog
from veltrix.adapters.sqlite.dump import Dump
from veltrix.audit import Row, audit
from veltrix.bootstrap.engines import kafka_settings, opened_etcd, opened_postgres, postgres_settings
from veltrix.config import Config
from veltrix.domain import limits
from veltrix.domain.decider import RULES
from veltrix.moving.report import MoveReport, Step
from veltrix.ports.errors import Mismatch
from veltrix.ports.ledger import MOVING, Head, LedgerRows
from veltrix.ports.log import Log

_NAME: Final = "veltrix-move"
_FILES: Final = ("log.db", "ledger.db", "notices.db", "vault.db", "access.db", "master.key")


async def move(config: Config, source: Path, step: Step) -> MoveReport:
    """Carry the data directory `source` into the cluster of `config`; `step` is told how far it is.

    Raises `Mismatch` with the remedy where it must not begin, `Unavailable` where it cannot go on: then the
    same move may be run again.
    """
    missing = [name for name in _FILES if not (source / name).is_file()]
    if missing:
        raise Mismatch(f"{source} holds no whole deployment: {', '.join(missing)} is missing; name another")
    async with AsyncExitStack() as stack:
        stack.enter_context(DataDirectoryLock(source))
        moving = await _Move.open(stack, config, source, step)
        return await moving.run()


@dataclass(slots=True)
class _Move:
    """Both sides, open."""

    config: Config
    source: Path
    step: Step
    dump: Dump
    heads: list[Head]
    log: SqliteLog
    ledger: SqliteLedger
    etcd: EtcdClient
    copy: LogCopy
    target: KafkaLog
    platform: Filling
    vault: Filling
    postgres: Postgres
    report: MoveReport

    @classmethod
    async def open(cls, stack: AsyncExitStack, config: Config, source: Path, step: Step) -> _Move:
        """Open both, without changing anything."""
        dump = Dump(source)
        log = await SqliteLog.open(source / "log.db", read_only=True)
        stack.push_async_callback(log.close)
        ledger = await SqliteLedger.open(source / "ledger.db", read_only=True)
        stack.push_async_callback(ledger.close)
        etcd = await opened_etcd(config, stack)
        copy = LogCopy(kafka_settings(config, _NAME))
        target = await KafkaLog.open(
            kafka_settings(config, _NAME),
            generation=log.identity.generation,
            write=False,
            partitions=config.log.partitions,
        )
        stack.push_async_callback(target.close)
        platform = await Filling.open(postgres_settings(config, _NAME, OWNER), vault=False)
        stack.callback(platform.close)
        vault = await Filling.open(postgres_settings(config, _NAME, OWNER, vault=True), vault=True)
        stack.callback(vault.close)
        postgres = await opened_postgres(config, _NAME, OWNER, stack)
        return cls(
            config, source, step, dump, dump.heads(), log, ledger, etcd, copy, target, platform, vault,
            postgres, MoveReport(str(source)),
        )  # fmt: skip

    async def run(self) -> MoveReport:
        """All of it."""
        self._check_source()
        await self._check_target()
        await self._audit("source", renumbered(self.log), self.ledger)
        if not self.report.passed:
            return self.report
        partitions = range(self.log.identity.partitions)
        if not self.report.resumed:
            await self.platform.mark(self._identity, partitions, self.target.identity.partitions)
        await self._copy_log()
        await self._copy_rows()
        if self.report.passed:
            await self._audit(
                "target", renumbered(self.target), _AsMoved(PostgresLedger(self.postgres), self)
            )
        if self.report.passed:
            self.report.master_key = self._copy_master_key()
            adopted = LogGeneration(self.target.identity.topic_id, self.log.identity.generation)
            await self.etcd.run(adopt_log, self.etcd, adopted)
            await self.platform.complete(
                self.heads, self.target.identity.topic_id, self.target.identity.partitions
            )
        return self.report

    @property
    def _identity(self) -> str:
        return self.log.identity.topic_id

    def _check_source(self) -> None:
        """What this version cannot decide it must not carry either."""
        for head in self.heads:
            if head.rules_version not in RULES:
                raise Mismatch(
                    f"partition {head.partition} of {self.source} is under rules version "
                    f"{head.rules_version}, which this version does not know; use the one that made it"
                )
            if head.topic_id != self._identity:
                raise Mismatch(f"log and ledger of {self.source} do not belong together; see veltrix restore")
        if self.log.identity.partitions > self.config.log.partitions:
            raise Mismatch(
                f"{self.source} has {self.log.identity.partitions} partitions, the cluster "
                f"{self.config.log.partitions}; set log.partitions to as many and run veltrix cluster prepare"
            )

    async def _check_target(self) -> None:
        """Empty, or begun by this very move; and nobody at work."""
        living = await self.etcd.run(self.etcd.list, Names(self.etcd.prefix).members)
        if living.entries:
            raise Mismatch(f"{len(living.entries)} process(es) of the cluster are running; stop them first")
        logs = await self.platform.logs()
        commands, facts = await self.copy.ends()
        if logs == [MOVING + self._identity]:
            self.report.resumed = True
        else:
            occupied = [*await self.platform.occupied(), *await self.vault.occupied()]
            occupied += [
                f"{name} in Kafka"
                for name, ends in (("commands", commands), ("facts", facts))
                if any(ends.values())
            ]
            if occupied:
                raise Mismatch(
                    f"the cluster is not empty: {', '.join(occupied)}. A deployment is moved into a cluster "
                    "that was prepared and never used; make a new one"
                )

    async def _audit(self, side: str, log: Log, ledger: LedgerRows) -> None:
        if log.identity.generation:
            self.report.audits[side] = "not possible: this log took the place of another"
            return
        found = await audit(log, ledger, lambda done, total: self.step(f"Auditing the {side}", done, total))
        self.report.audits[side] = "PASS" if found.passed else "FAIL"
        if not found.passed:
            self.report.reason = f"audit of the {side}: {found.reason}"

    async def _copy_log(self) -> None:
        """Append what is missing, then read all of it back."""
        ends, _ = await self.copy.ends()
        bounds = [await self.log.bounds(partition) for partition in range(self.log.identity.partitions)]
        total = sum(end for _, end in bounds)
        await self.copy.begin()
        done = 0
        for partition, (_, end) in enumerate(bounds):
            offset = ends.get(partition, 0)
            if offset > end:
                raise Mismatch(f"partition {partition} of the cluster's log is longer than the source's")
            while offset < end:
                page = await self.log.read(partition, offset, limits.READ_BATCH_MAX, 0)
                await self.copy.append(partition, page)
                offset += len(page)
                self.step("Copying the log", done + offset, total)
            done += end
        await self.copy.end()
        done = 0
        for partition, (_, end) in enumerate(bounds):
            await self._compare_log(partition, end, done, total)
            done += end
        self.report.partitions, self.report.records = len(bounds), total
        decided = {head.partition: head.next_offset for head in self.heads}
        base = self._base
        self.report.undecided = sum(
            end - max(0, decided.get(partition, base) - base) for partition, (_, end) in enumerate(bounds)
        )

    @property
    def _base(self) -> int:
        from veltrix.domain.identifiers import first_offset

        return first_offset(self.log.identity.generation)

    async def _compare_log(self, partition: int, end: int, done: int, total: int) -> None:
        """Offsets, bytes, times and headers, as they are read from the cluster."""
        offset = 0
        while offset < end:
            theirs = await self.target.read(partition, offset, limits.READ_BATCH_MAX, limits.READ_WAIT_S)
            ours = await self.log.read(partition, offset, len(theirs), 0) if theirs else []
            for one, other in zip(ours, theirs, strict=False):
                if one != other:
                    raise Mismatch(
                        f"record {one.offset} of partition {partition} is not the same in the cluster's log. "
                        "Delete the topic, run veltrix cluster prepare and move again"
                    )
            offset += len(ours)
            self.step("Reading the log back", done + offset, total)
        if (await self.target.bounds(partition))[1] != end:
            raise Mismatch(f"partition {partition} of the cluster's log is longer than the source's")

    async def _copy_rows(self) -> None:
        """Fill every table, and compare every row."""
        tables = [(self.vault, name) for name in self.vault.tables]
        tables += [(self.platform, name) for name in self.platform.tables]
        total, done = sum(self.dump.count(name) for _, name in tables), 0
        for filling, name in tables:
            await filling.fill(name, self.dump.rows(name))
            done += self.dump.count(name)
            self.step("Copying rows", done, total)
        for filling, name in tables:
            self.report.rows[name], wrong = await filling.compare(name, self.dump.rows(name))
            self.report.reason = self.report.reason or wrong
            self.step("Comparing rows", sum(self.report.rows.values()), total)

    def _copy_master_key(self) -> str:
        """The key of all links: the same file, or a copy. One that signed nothing yet makes room."""
        key, path = read_master_key(self.source / "master.key"), self.config.secrets.master_key_file
        told = "copied"
        if path.exists():
            if path.samefile(self.source / "master.key") or read_master_key(path) == key:
                return f"{path} is the same"
            path.rename(path.with_name(f"{path.name}.unused"))
            told = "copied, the unused one put beside it"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return f"{path}: {told}; put the same file on every machine"


@dataclass(slots=True)
class _AsMoved:
    """The target's rows as they will be once the mark is gone."""

    ledger: PostgresLedger
    moving: _Move

    async def rows(self) -> AsyncIterator[Row]:
        """Those of the partitions from the source's heads, all others from the target."""
        topic_id = self.moving.target.identity.topic_id
        for head in self.moving.heads:
            yield (
                "partitions",
                (
                    *(head.partition, topic_id, head.next_offset, head.log_time_ms, head.rules_version),
                    *(head.next_seq, head.last_hash),
                ),
            )
        async for row in self.ledger.rows():
            if row[0] != "partitions":
                yield row

    async def quarantined(self, partition: int) -> dict[int, str]:
        """Offset and reason of every quarantined record."""
        return await self.ledger.quarantined(partition)
