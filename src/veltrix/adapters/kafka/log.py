"""The log in Kafka: the topic of commands, written and read with explicit partitions."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from veltrix.adapters.kafka.appending import Appender
from veltrix.adapters.kafka.reading import Reader
from veltrix.adapters.kafka.settings import KafkaSettings
from veltrix.adapters.kafka.topics import Admin
from veltrix.ports.errors import Mismatch, PortError, Rejected, Unavailable
from veltrix.ports.log import Appended, LogIdentity, LogRecord, Record

_log = logging.getLogger(__name__)

_CHECK_S: Final = 5.0
"""How often the topic is compared with what it was, and idle or stuck partitions are looked after."""
_UNSEEN_MAX: Final = 3


class KafkaLog:
    """One topic on one cluster, both fixed by their ids; `open` makes one.

    Its append times are the brokers' clocks (LogAppendTime). What was acknowledged is on every in-sync
    replica, at least the topic's `min.insync.replicas`.
    """

    def __init__(
        self, settings: KafkaSettings, admin: Admin, cluster_id: str, identity: LogIdentity, *, write: bool
    ) -> None:
        self._topic = settings.commands
        self._admin = admin
        self._cluster_id = cluster_id
        self._identity = identity
        self._appender = Appender(settings, self._topic, identity.partitions) if write else None
        self._reader: Reader | None = None
        self._settings = settings
        self._closed = False
        self._failed: Mismatch | None = None
        self._grown = False
        self._unseen = 0
        self._suspected = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(), name="kafka-log-watch")

    @classmethod
    async def open(
        cls,
        settings: KafkaSettings,
        *,
        generation: int = 0,
        write: bool = True,
        partitions: int | None = None,
        topic_id: str | None = None,
    ) -> KafkaLog:
        """Open the log; `partitions` and `topic_id`, where given, are what the topic must have.

        Raises `Mismatch` when there is no such topic or it has another shape, `Unavailable` when the
        brokers cannot be asked.
        """
        admin = Admin(settings)
        cluster_id, _ = await admin.cluster()
        topic = await admin.shape(settings.commands)
        if not topic.exists:
            raise Mismatch(f"there is no topic {settings.commands}; make it with `veltrix cluster prepare`")
        if partitions is not None and topic.partitions != partitions:
            raise Mismatch(
                f"{settings.commands} has {topic.partitions} partitions, {partitions} were expected; set "
                f"log.partitions to {topic.partitions}, or add partitions with `veltrix cluster prepare`"
            )
        if topic_id is not None and topic.topic_id != topic_id:
            raise Mismatch(
                f"{settings.commands} has the id {topic.topic_id}, {topic_id} was expected: the topic was "
                "made anew. Restore log and ledger from the same time, or see `veltrix restore`"
            )
        identity = LogIdentity(topic.topic_id, topic.partitions, generation)
        return cls(settings, admin, cluster_id, identity, write=write)

    @property
    def identity(self) -> LogIdentity:
        """Which log this is: the topic's id, which Kafka never gives twice."""
        return self._identity

    @property
    def waiting(self) -> tuple[int, int]:
        """(records, bytes) that were handed over and are not acknowledged yet."""
        return (0, 0) if self._appender is None else self._appender.waiting

    async def append(self, partition: int, record: Record) -> Appended:
        """Append one record and return once every in-sync replica has it."""
        if self._appender is None or self._closed:
            raise Unavailable("the log is closed, or open for reading only")
        appended = await self._appender.append(partition, record)
        if self._reader is not None:
            self._reader.appended(partition, appended.offset)
        return appended

    async def read(self, partition: int, offset: int, max_records: int, wait_s: float) -> list[LogRecord]:
        """Records below the high watermark from `offset` on; waits for the first."""
        return await self._reading(partition).read(partition, offset, max_records, wait_s)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """(first, next) offsets; of a partition that this process reads just now as of its last fetch."""
        return await self._reading(partition).bounds(partition)

    async def close(self) -> None:
        """Send what was appended, then close; who waits for records gets `Unavailable`."""
        self._closed = True
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        if self._reader is not None:
            self._reader.end(Unavailable("the log is closed"))
        if self._appender is not None:
            await self._appender.close()
        if self._reader is not None:
            await self._reader.close()

    def _reading(self, partition: int) -> Reader:
        if self._closed:
            raise Unavailable("the log is closed")
        if self._failed is not None:
            raise Mismatch(*self._failed.args)
        if not 0 <= partition < self._identity.partitions:
            raise Rejected(f"there is no partition {partition}; the log has {self._identity.partitions}")
        if self._reader is None:
            self._reader = Reader(self._settings, self._admin, self._topic, self._identity.partitions)
            self._reader.suspect = self._suspected.set
        return self._reader

    async def _watch(self) -> None:
        """Now and then, and when reading looks odd: is this still the same log? Does reading go on?"""
        while self._failed is None:
            try:
                async with asyncio.timeout(_CHECK_S):
                    await self._suspected.wait()
            except TimeoutError:
                pass
            self._suspected.clear()
            try:
                await self._check_identity()
                if self._reader is not None:
                    self._reader.forget_idle()
                    await self._reader.check_progress()
            except PortError as error:
                _log.debug("the log could not be looked at: %s", error)
            except Exception:  # a defect here must not end the watch
                _log.exception("the log could not be looked at")

    async def _check_identity(self) -> None:
        """Stop reading and appending for good when this is another log than the one that was opened."""
        cluster_id, _ = await self._admin.cluster()
        topic = await self._admin.shape(self._topic)
        was = self._identity
        found: str | None = None
        if cluster_id != self._cluster_id:
            found = f"the brokers belong to the cluster {cluster_id} now, not to {self._cluster_id}"
        elif not topic.exists:
            self._unseen += 1  # a broker that is just starting may not know it yet
            if self._unseen < _UNSEEN_MAX:
                return
            found = f"the topic {self._topic} is gone"
        elif topic.topic_id != was.topic_id:
            found = f"{self._topic} has the id {topic.topic_id} now, not {was.topic_id}: it was made anew"
        elif topic.partitions < was.partitions:
            found = f"{self._topic} has {topic.partitions} partitions now, not {was.partitions}"
        elif topic.partitions > was.partitions and not self._grown:
            self._grown = True
            _log.warning(
                "%s has %d partitions now; restart to use more than %d",
                self._topic,
                topic.partitions,
                was.partitions,
            )
        if found is None:
            self._unseen = 0
            return
        self._failed = Mismatch(f"{found}. Stop, restore log and ledger from the same time, and start again.")
        _log.error("%s", self._failed)
        if self._appender is not None:
            self._appender.refuse(str(self._failed))
        if self._reader is not None:
            self._reader.end(self._failed)
