"""What a load run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Gaps(StrEnum):
    """How the gaps of an open loop's schedule are drawn."""

    EXPONENTIAL = "exponential"
    UNIFORM = "uniform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """What people do besides registering; each value but `party_weights` is a share of all people.

    `party_weights` are the odds of 1, 2, 3 … seats. `again` people come back for a second registration;
    they do so only where the event allows one registration an e-mail, so that it must be refused.
    `impatient` people ask not to be kept waiting (`Prefer: wait=0`): a 202 tells that intake goes on.
    """

    party_weights: tuple[float, ...] = (0.60, 0.25, 0.10, 0.05)
    cancels: float = 0.05
    duplicates: float = 0.03
    retries: float = 0.03
    other_bodies: float = 0.01
    again: float = 0.02
    impatient: float = 0.0

    def __post_init__(self) -> None:
        """A share outside 0 to 1, or no party at all, is the caller's mistake."""
        for name in ("cancels", "duplicates", "retries", "other_bodies", "again", "impatient"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; use a share from 0 to 1")
        if not self.party_weights or min(self.party_weights) < 0.0 or sum(self.party_weights) <= 0.0:
            raise ValueError("party_weights must hold at least one positive weight, and none below 0")


SINGLES_ONLY = Mix(
    party_weights=(1.0,), cancels=0.0, duplicates=0.0, retries=0.0, other_bodies=0.0, again=0.0
)
"""One request a person, one seat a request: for measuring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """A load run.

    `url` is the platform's base URL (an event is then published with `api_key`) or an event's URL
    (`…/v1/events/evt_…`). Without a key the answers are only checked against each other.

    Closed loop: `registrants` people, at most `concurrency` of them at a time (default: all at once).
    Open loop, when `rate_per_s` is set: people come by a schedule drawn beforehand for `duration_s`, over
    `registrants` open connections. `connections` (default: one a person) may be fewer; then they are shared.
    A request sent more than `late_ms` after its intended time is late; above `late_share_max` the run is
    invalid.
    `wait_s` is sent as `Prefer: wait`; None leaves it to the server. `pools` 2 gives the published event a
    second category with a pool of its own inside the total.

    Against a cluster: `also` are further URLs of the same platform, over which connections are spread.
    With `patience_s` a person follows a 202 to its decision, and repeats a request that was not answered
    (connection lost, 503, 429, `timeout_s` over) under the same key at another URL, for so long. `spools`
    are the directories that mails go to, one for each notification process: then it is also checked
    that everybody was told, for which the last mail is waited for `telling_s`.
    """

    url: str
    also: tuple[str, ...] = ()
    patience_s: float = 0.0
    spools: tuple[Path, ...] = ()
    telling_s: float = 60.0
    api_key: str | None = None
    registrants: int = 10_000
    concurrency: int | None = None
    connections: int | None = None
    rate_per_s: float | None = None
    duration_s: float = 10.0
    gaps: Gaps = Gaps.EXPONENTIAL
    seed: int = 1
    run_tag: str | None = None
    capacity: int = 5_000
    waitlist: int | None = 4_000
    one_per_email: bool = True
    title: str = "A load test"
    pools: int = 2
    access_code: str | None = None
    mix: Mix = field(default_factory=Mix)
    timeout_s: float = 30.0
    wait_s: int | None = 20
    late_ms: float = 10.0
    late_share_max: float = 0.01
    tolerate_unanswered: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        """Numbers that make no run are refused by name."""
        for name in ("registrants", "concurrency", "connections", "rate_per_s", "duration_s", "timeout_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; use a number above 0")
        if self.capacity < 0 or (self.waitlist is not None and self.waitlist < 0):
            raise ValueError("capacity and waitlist must not be below 0")
        if self.patience_s < 0:
            raise ValueError(f"patience_s is {self.patience_s}; use 0 or more")
        if self.pools not in (1, 2):
            raise ValueError(f"pools is {self.pools}; use 1 or 2")

    @property
    def open_loop(self) -> bool:
        """Whether people come by a schedule, whatever the answers do."""
        return self.rate_per_s is not None
