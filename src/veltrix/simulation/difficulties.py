"""`buggify` and `sometimes` during a run: which sites are difficult, how often, and what was reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator
from contextlib import contextmanager
from random import Random
from typing import Final

from veltrix.ports import simulated
from veltrix.simulation.loop import LIFE

SHARES: Final = (0.01, 0.05, 0.25)


class Difficulties:
    """A random half of the sites, each with a share of its own, unless `calm`; no other than `only`."""

    def __init__(self, random: Random, only: Collection[str] | None = None) -> None:
        self.shares = {site: random.choice(SHARES) for site in simulated.SITES if random.random() < 0.5}
        if only is not None:
            self.shares = {site: share for site, share in self.shares.items() if site in only}
        self._streams = {site: Random(random.getrandbits(64)) for site in simulated.SITES}  # noqa: S311 - seeded
        self.reached: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.calm = True

    def difficult(self, site: str) -> bool:
        """Whether the present host is to be difficult here; nobody else is asked."""
        share = self.shares.get(site)
        if share is None:
            assert site in simulated.SITES, f"site {site!r} is not in the table"
            return False
        if self.calm or LIFE.get(None) is None or self._streams[site].random() >= share:
            return False
        self.reached[site] += 1
        return True

    def happened(self, mark: str) -> None:
        """A mark was passed."""
        assert mark in simulated.MARKS, f"mark {mark!r} is not in the table"
        self.marks[mark] += 1

    @contextmanager
    def installed(self) -> Generator[None]:
        """For the time of a run."""
        simulated.install(self.difficult, self.happened)
        try:
            yield
        finally:
            simulated.install(None, None)
