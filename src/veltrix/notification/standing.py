"""How targets stand, as this process knows it: what may be claimed for each, and what follows from answers.

What is here was read from the store, and is written back with the version that it was read at; of two
processes that saw something at the same time, the second reads again and adds what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from veltrix.domain import limits
from veltrix.domain.targets import (
    Target,
    TargetState,
    disabled,
    failed,
    succeeded,
    throttled,
    unprobed,
)
from veltrix.ports.channel import Attempt, Sent
from veltrix.ports.deliveries import Deliveries
from veltrix.ports.fulfilment import Fulfilment
from veltrix.ports.notices import WEBHOOK, Notice, Share, Shares
from veltrix.ports.outreach import Endpoint, OnUnknown
from veltrix.ports.system import Clock

_Change = Callable[[Target], Target]
_LATENCIES_MAX: Final = 10_000
_FAST_S: Final = 0.05
_NEW_WEIGHT: Final = 0.3
_BUSY_CODES: Final = frozenset({421, 429, 503})


@dataclass(slots=True)
class Standing:
    """Breakers and shares. Rates of 0 are as fast as it goes; an endpoint's own rate goes before
    `webhook_rate_per_s`. `mail_hold`: a mail whose lease ran out waits for an operator."""

    deliveries: Deliveries
    fulfilment: Fulfilment
    clock: Clock
    mail_rate_per_s: float = 0.0
    webhook_rate_per_s: float = 0.0
    mail_hold: bool = False
    _targets: dict[str, Target] = field(default_factory=dict)
    _changes: dict[str, list[_Change]] = field(default_factory=dict)
    _latency_s: dict[str, float] = field(default_factory=dict)
    _read_s: float = -limits.TARGETS_FRESH_S

    async def refresh(self) -> None:
        """Read how targets stand, if that was a while ago."""
        now_s = self.clock.monotonic_s()
        if now_s - self._read_s < limits.TARGETS_FRESH_S:
            return
        targets = {target.name: target for target in await self.deliveries.targets()}
        for name, changes in self._changes.items():  # seen here, and not written yet
            targets[name] = _changed(targets.get(name, Target(name)), changes)
        self._targets, self._read_s = targets, now_s

    def states(self) -> dict[TargetState, int]:
        """How many targets stand in each state, of those that ever failed."""
        counts = dict.fromkeys(TargetState, 0)
        for target in self._targets.values():
            counts[target.state] += 1
        return counts

    def shares(
        self,
        mail: Mapping[str, int],
        webhooks: int,
        in_hand: Mapping[str, int],
        endpoints: Mapping[str, Endpoint],
    ) -> Shares:
        """What a claim may take: of mails as many as `mail` says, of webhooks `webhooks` in all."""
        named = {
            channel: Share(room, self.mail_rate_per_s, _burst(self.mail_rate_per_s), self.mail_hold)
            for channel, room in mail.items()
        }
        others = Share(
            min(webhooks, limits.WEBHOOKS_PER_ENDPOINT),
            self.webhook_rate_per_s,
            _burst(self.webhook_rate_per_s),
        )
        for name in endpoints.keys() | in_hand.keys() | self._latency_s.keys():
            if name in mail:
                continue
            endpoint = endpoints.get(name)
            rate = (endpoint.rate_per_s if endpoint is not None else 0.0) or self.webhook_rate_per_s
            hold = endpoint is not None and endpoint.on_unknown is OnUnknown.HOLD
            most = min(webhooks, self._allowance(name) - in_hand.get(name, 0))
            share = Share(max(0, most), rate, _burst(rate), hold)
            if share != others:
                named[name] = share
        return Shares(others, named)

    def _allowance(self, name: str) -> int:
        """How many may be under way to an endpoint: as many as it takes in a moment."""
        latency_s = self._latency_s.get(name)
        if latency_s is None:
            return limits.WEBHOOKS_PER_ENDPOINT
        if latency_s >= limits.SLOW_TARGET_S:
            return limits.WEBHOOKS_PER_SLOW_ENDPOINT
        most = limits.WEBHOOKS_PER_ENDPOINT_MAX
        if latency_s > _FAST_S:
            most = round(most * _FAST_S / latency_s)
        return max(limits.WEBHOOKS_PER_ENDPOINT, most)

    def saw(self, notice: Notice, attempt: Attempt, seconds: float) -> None:
        """An attempt ended: what it says of its target, beside what it means for the notice."""
        name, now_ms = notice.target, self.clock.now_ms()
        webhook = notice.channel == WEBHOOK
        if webhook and attempt.code is not None:
            self._measure(name, seconds)
        if attempt.gone:
            self._change(name, lambda target: disabled(target, now_ms, attempt.detail))
        elif attempt.sent in (Sent.ACCEPTED, Sent.REFUSED):
            self._change(name, lambda target: succeeded(target, now_ms))
        elif attempt.own_fault:
            self._change(name, unprobed)
        elif attempt.retry_after_s is not None and attempt.code in _BUSY_CODES:
            until_ms = now_ms + round(min(attempt.retry_after_s, limits.THROTTLED_MAX_S) * 1000)
            self._change(name, lambda target: throttled(unprobed(target), until_ms))
        elif not webhook and attempt.code is not None and attempt.code not in _BUSY_CODES:
            self._change(name, lambda target: succeeded(target, now_ms))  # a no to this mail alone
        else:
            give_up_s = limits.ENDPOINT_GIVE_UP_S if webhook else None
            self._change(name, lambda target: failed(target, now_ms, attempt.detail, give_up_s))

    def unseen(self, notice: Notice) -> None:
        """A claim ended without an attempt; if it was a probe, another one may go."""
        self._change(notice.target, unprobed)

    async def flush(self) -> None:
        """Write what was seen. Raises the ports' errors, and then keeps it for the next time."""
        for name in list(self._changes):
            changes = self._changes[name]
            while True:
                known = self._targets.get(name, Target(name))
                # What is known here has the changes already; the store's has not.
                if await self.fulfilment.change_target(known):
                    self._targets[name] = replace(known, version=known.version + 1)
                    break
                found = await self.deliveries.targets([name])
                self._targets[name] = _changed(found[0] if found else Target(name), changes)
            del self._changes[name]

    def _change(self, name: str, change: _Change) -> None:
        known = self._targets.get(name, Target(name))
        after = change(known)
        if after is known:
            return
        self._targets[name] = after
        self._changes.setdefault(name, []).append(change)

    def _measure(self, name: str, seconds: float) -> None:
        before = self._latency_s.pop(name, seconds)
        if len(self._latency_s) >= _LATENCIES_MAX:
            del self._latency_s[next(iter(self._latency_s))]
        self._latency_s[name] = before + _NEW_WEIGHT * (seconds - before)


def _changed(target: Target, changes: list[_Change]) -> Target:
    for change in changes:
        target = change(target)
    return target


def _burst(rate_per_s: float) -> int:
    """What may go at once: what the rate allows in a second."""
    return max(1, round(rate_per_s))
