"""Two releases of Veltrix in one process: each host knows the rules that its release knows.

The newest rules belong to release 2; release 1 has all others. The names through which the services ask for
the rules are replaced for the time of a run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import veltrix.processing.processor
from veltrix.domain import decider
from veltrix.simulation.loop import LIFE

NEWEST = max(decider.RULES)


class _Known(Mapping[int, Any]):
    """The rules as the present host knows them."""

    def __init__(self, rules: Mapping[int, Any], old: set[str]) -> None:
        self._rules = rules
        self._old = old

    def __getitem__(self, version: int) -> Any:
        if version == NEWEST and len(self._rules) > 1:
            life = LIFE.get(None)
            if life is not None and life.host in self._old:
                raise KeyError(version)
        return self._rules[version]

    def __iter__(self) -> Iterator[int]:
        return (version for version in self._rules if version in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def releases(old: set[str]) -> Generator[None]:
    """For the time of a run: hosts named in `old` do not know the newest rules."""
    known: Any = _Known(decider.RULES, old)
    modules: tuple[Any, ...] = (decider, veltrix.processing.processor)
    rules = decider.RULES
    try:
        for module in modules:
            module.RULES = known
        yield
    finally:
        for module in modules:
            module.RULES = rules
