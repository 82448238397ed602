"""Faults of the engines and of the mail relay."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Final

from veltrix.simulation.faults.scene import Fault, Scene


class _Down(Fault):
    """An engine has no primary, or no quorum, for a while."""

    server: ClassVar[str]

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        server = scene.cluster.engines.servers[self.server]
        if not server.up:
            return
        scene.say(self.name)
        server.down()
        try:
            await scene.last(random, 2.0)
        finally:
            server.back()


class LedgerFailover(_Down):
    """The ledger's primary is lost; a standby, which has every commit, takes over."""

    name = "ledger_failover"
    server = "ledger"


class CoordinatorQuorumLoss(_Down):
    """The coordinator has no quorum: nothing is granted, and no lease ends."""

    name = "coordinator_quorum"
    server = "coordinator"


class VaultDown(_Down):
    """The vault is away."""

    name = "vault_down"
    server = "vault"


class NoticesDown(_Down):
    """Notification's own store is away."""

    name = "notices_down"
    server = "notices"


class TopicsDown(_Down):
    """Nothing is published, and no reply is carried."""

    name = "topics_down"
    server = "topics"


class LogDown(_Down):
    """The log is away."""

    name = "log_down"
    server = "log"
    share = 0.5


class LogNoQuorum(Fault):
    """The log takes records and acknowledges none, until its replicas are back."""

    name = "log_no_quorum"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        log = scene.cluster.engines.log
        scene.say(self.name)
        try:
            with scene.moved(log.moods, quorum=False):
                await scene.last(random, 2.0)
        finally:
            log.resume()


class LogLeaderChange(Fault):
    """Another broker leads: what was not acknowledged is there or not, its clock is another one."""

    name = "log_leader_change"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        scene.say(self.name)
        scene.cluster.engines.log.change_leader()


class _Mood(Fault):
    """Something about an engine's answers."""

    async def mood(self, scene: Scene, random: Random, target: Any, **levels: Any) -> None:
        """For a while."""
        scene.say(self.name)
        with scene.moved(target, **levels):
            await scene.last(random)


class LogAmbiguous(_Mood):
    """Appends end in an error that leaves open whether they happened."""

    name = "log_ambiguous"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.engines.log.moods, ambiguous=0.2)


class LogDuplicates(_Mood):
    """Records are appended twice, as by a producer that tries again."""

    name = "log_duplicates"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.engines.log.moods, duplicated=0.2)


class LogLag(_Mood):
    """Fetches do not show the newest records yet, and what is acknowledged is seen late."""

    name = "log_lag"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        lag = random.randint(0, 5)
        await self.mood(scene, random, scene.cluster.engines.log.moods, lag=lag, shown_late_s=0.2)


class LedgerResets(_Mood):
    """Connections are reset before a commit, or after it."""

    name = "ledger_resets"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        ledger = scene.cluster.engines.ledger
        await self.mood(scene, random, ledger.moods, reset_before=0.1, reset_after=0.2)


class LedgerConflicts(_Mood):
    """Writes cannot be serialized, and are to be tried again."""

    name = "ledger_conflicts"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.engines.ledger.moods, serialization=0.3)


class LedgerExhausted(_Mood):
    """No connection to the ledger is free."""

    name = "ledger_exhausted"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.engines.ledger.moods, exhausted=0.5)


class SlowCommits(_Mood):
    """Commits happen late, some long after their owner gave up."""

    name = "slow_commits"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.engines.ledger.moods, slow=0.3)


class StaleReplica(_Mood):
    """Reads come from a replica that is behind, as far as the ports let them."""

    name = "stale_replica"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        behind_s = random.choice([0.1, 1.0, 5.0])
        await self.mood(scene, random, scene.cluster.engines.ledger.moods, behind_s=behind_s)


class LateNotice(_Mood):
    """Word of who owns what comes late."""

    name = "late_notice"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.elections.moods, late_s=1.0)


class CompactedWatch(_Mood):
    """Word of who owns what does not come."""

    name = "compacted_watch"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.cluster.elections.moods, compacted=0.7)


class HandOver(Fault):
    """An owner is asked to hand over, as when partitions are spread anew."""

    name = "hand_over"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        resource = f"partition/{random.randrange(scene.cluster.partitions)}"
        if scene.cluster.elections.hand_over(resource):
            scene.say(self.name, resource)


class RelayLater(_Mood):
    """The mail relay asks to come again later (4xx)."""

    name = "relay_4xx"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.mailbox, not_sent=0.4)


class RelayRefuses(_Mood):
    """The mail relay refuses for good (5xx)."""

    name = "relay_5xx"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.mailbox, refused=0.3)


class RelaySilent(_Mood):
    """The mail relay takes messages and does not say so."""

    name = "relay_silent"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.mailbox, unknown=0.3)


class RelaySlow(_Mood):
    """The mail relay takes messages and answers so late that nobody listens any more."""

    name = "relay_slow"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.mailbox, slow_s=random.choice([1.0, 100.0]))


class RelayThrottles(_Mood):
    """The mail relay says when to come again."""

    name = "relay_throttles"

    async def happen(self, scene: Scene, random: Random) -> None:
        """Go wrong."""
        await self.mood(scene, random, scene.mailbox, throttled=0.6)


SERVER_FAULTS: Final = (
    LedgerFailover,
    CoordinatorQuorumLoss,
    VaultDown,
    NoticesDown,
    TopicsDown,
    LogDown,
    LogNoQuorum,
    LogLeaderChange,
    LogAmbiguous,
    LogDuplicates,
    LogLag,
    LedgerResets,
    LedgerConflicts,
    LedgerExhausted,
    SlowCommits,
    StaleReplica,
    LateNotice,
    CompactedWatch,
    HandOver,
    RelayLater,
    RelayRefuses,
    RelaySilent,
    RelaySlow,
    RelayThrottles,
)
