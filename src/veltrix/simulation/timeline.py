"""What happened last, by host: faults, what services logged, and what clients asked and heard."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from veltrix.observability.logging import set_level
from veltrix.simulation.exchanges import Exchange
from veltrix.simulation.loop import LIFE, SimulatedLoop

KEPT_MAX: Final = 5_000
_STOPPED: Final = "partition_stopped"
_BEHIND: Final = "the log holds"
"""A new leader of the log shows less at first than the ledger has decided; it has to pass by itself."""
Line = tuple[float, str, str]
"""When (virtual seconds), which host, what."""


class _Listener(logging.Handler):
    """Whatever a service logs as an error is a complaint; the rest is kept for the timeline."""

    def __init__(self, loop: SimulatedLoop, errors: list[str], kept: deque[Line] | None) -> None:
        super().__init__(logging.ERROR if kept is None else logging.DEBUG)
        self._loop = loop
        self._errors = errors
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, with its exception's last line."""
        said = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            said += f": {type(error).__name__}: {error}"
        if record.levelno >= logging.ERROR and not (said.startswith(_STOPPED) and _BEHIND in said):
            self._errors.append(said)
        if self._kept is not None:
            host = LIFE.get(self._loop.outside).host
            self._kept.append((self._loop.time(), host, said))


class Timeline:
    """Brings together what is told of a run."""

    def __init__(self, loop: SimulatedLoop, story: Sequence[str], exchanges: Sequence[Exchange]) -> None:
        self._loop = loop
        self._story = story
        self._exchanges = exchanges
        self._logged: deque[Line] = deque(maxlen=KEPT_MAX)

    @contextmanager
    def listening(self, errors: list[str], *, tracing: bool) -> Iterator[None]:
        """Errors in the logs of the services are complaints; anything less is what faults look like."""
        logger = logging.getLogger("veltrix")
        handler = _Listener(self._loop, errors, self._logged if tracing else None)
        propagate, logger.propagate = logger.propagate, False
        level = logger.level
        logger.setLevel(handler.level)
        set_level("info" if tracing else "warning")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            set_level("warning")
            logger.setLevel(level)
            logger.propagate = propagate

    def lines(self) -> list[str]:
        """Everything that is kept, by time; each line with its host."""
        told = [*self._logged, *self._faults(), *self._asked()]
        return [
            f"{at_s:9.3f}  {host:<15} {what}" for at_s, host, what in sorted(told, key=lambda line: line[0])
        ]

    def _faults(self) -> Iterator[Line]:
        for line in self._story:
            at_s, _, what = line.strip().partition(" ")
            yield float(at_s), "nemesis", f"*** {' '.join(what.split())}"

    def _asked(self) -> Iterator[Line]:
        for exchange in self._exchanges:
            what = f"{exchange.method} {exchange.path} {exchange.key}"
            yield exchange.sent_s, exchange.client, f"asks {exchange.host}: {what}"
            if exchange.heard_s is not None:
                yield exchange.heard_s, exchange.client, f"hears {exchange.status}{_gist(exchange)}"


def _gist(exchange: Exchange) -> str:
    """The decision or the problem in an answer, in few words."""
    answer = exchange.answer if isinstance(exchange.answer, dict) else {}
    words = f" for {exchange.key}"
    if answer.get("type"):
        words += f": {str(answer['type']).rpartition(':')[2]}"
    if isinstance(answer.get("registration"), dict):
        words += f": {answer['registration'].get('id')} {answer['registration'].get('status')}"
    if isinstance(answer.get("decision"), dict):
        words += f" at {answer['decision'].get('partition')}/{answer['decision'].get('offset')}"
    return words
