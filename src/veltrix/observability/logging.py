"""Logs: one event name and fields a line, as JSON for machines or in colours for people.

    log = get_logger("processing")
    log.info("batch_committed", partition=0, offset=41, event=event_id)

The name is snake_case and says what happened; fields say to what. The same thing has the same key
everywhere: `service`, `partition`, `offset`, `command`, `event`, `registration`, `trace_id` …
`event` is what people register for, so the name itself is `message` in the output.

Nothing is imported or set up until `configure`: before it, warnings and errors go to the standard
library's logging. A call below the level costs one comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Final, TextIO

DEBUG: Final = 10
INFO: Final = 20
WARNING: Final = 30
ERROR: Final = 40
LEVELS: Final = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}

Fields = dict[str, Any]
Sink = Callable[[int, Fields], None]

_bound: ContextVar[Mapping[str, Any] | None] = ContextVar("veltrix_log_fields", default=None)


def _to_standard_library(level: int, entry: Fields) -> None:
    """Where lines go before `configure`: tests and embedding programs see them as they see all others."""
    fields = {key: value for key, value in entry.items() if key not in ("message", "service", "exc_info")}
    text = " ".join([entry["message"], *(f"{key}={value!r}" for key, value in fields.items())])
    logging.getLogger(f"veltrix.{entry['service']}").log(level, text, exc_info=entry.get("exc_info"))


class _State:
    """What every logger of the process shares."""

    level: int = WARNING
    written: ClassVar[dict[int, int]] = dict.fromkeys(LEVELS.values(), 0)
    sink: Sink = staticmethod(_to_standard_library)


class Logger:
    """Writes lines of one service, each with the fields that are bound to it."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds these fields to every line."""
        return Logger({**self._fields, **fields})

    def debug(self, message: str, /, **fields: Any) -> None:
        """For whoever looks for a fault: not written by default."""
        if _State.level <= DEBUG:
            self._write(DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """Something changed that an operator may want to know later."""
        if _State.level <= INFO:
            self._write(INFO, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """Something went wrong and was dealt with."""
        if _State.level <= WARNING:
            self._write(WARNING, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """Something needs an operator."""
        if _State.level <= ERROR:
            self._write(ERROR, message, fields)

    def exception(self, message: str, /, **fields: Any) -> None:
        """As `error`, with the exception that is being handled."""
        if _State.level <= ERROR:
            fields.setdefault("exc_info", True)
            self._write(ERROR, message, fields)

    def enabled(self, level: int) -> bool:
        """Whether lines of a level are written: for fields that are costly to compute."""
        return _State.level <= level

    def _write(self, level: int, message: str, fields: Fields) -> None:
        bound = _bound.get()
        entry = {"message": message, **self._fields, **(bound or {}), **fields}
        _State.written[level] += 1
        _State.sink(level, entry)


def get_logger(service: str) -> Logger:
    """The logger of a service; cheap, and fine to call when a module is imported."""
    return Logger({"service": service})


def line_counts() -> dict[str, int]:
    """How many lines of each level this process has written."""
    return {name: _State.written[level] for name, level in LEVELS.items()}


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields (a trace id, say) to every line that this task and what it starts write inside."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**fields: Any) -> None:
    """As `bound`, to the end of this task: for a task of one request alone, which costs less so."""
    _bound.set(fields)


@contextmanager
def captured(level: int = DEBUG) -> Iterator[list[Fields]]:
    """For tests: collects the lines written inside, as fields with `level`, instead of writing them."""
    lines: list[Fields] = []
    before = _State.level, _State.sink

    def collect(of_level: int, entry: Fields) -> None:
        lines.append({"level": logging.getLevelName(of_level).lower(), **entry})

    _State.level, _State.sink = level, collect
    try:
        yield lines
    finally:
        _State.level, _State.sink = before


def wants_json(output_format: str, stream: TextIO) -> bool:
    """Whether lines in this format on this stream are JSON: `auto` looks whether people read it."""
    return output_format == "json" or (output_format == "auto" and not stream.isatty())


def configure(level: str, output_format: str, stream: TextIO, *, colours: bool | None = None) -> None:
    """From now on, write lines of at least `level` to `stream`; `output_format` is auto, json or console.

    `colours` None means: where `stream` is a terminal. The standard library's loggers (uvicorn's and
    asyncio's too) write through the same pipeline.
    """
    from veltrix.observability.pipeline import (
        console_renderer,
        json_renderer,
        pipeline,
        take_over_standard_library,
    )

    as_json = wants_json(output_format, stream)
    render = json_renderer() if as_json else console_renderer(stream.isatty() if colours is None else colours)
    _State.sink = sink = pipeline(render, stream)
    _State.level = LEVELS[level]
    take_over_standard_library(_State.level, sink)


def set_level(level: str) -> None:
    """From now on, write lines of at least this level, where they go already."""
    _State.level = LEVELS[level]
    if _State.sink is not _to_standard_library:
        from veltrix.observability.pipeline import take_over_standard_library

        take_over_standard_library(_State.level, _State.sink)
