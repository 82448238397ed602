"""What happens to a line between a logger and the stream: time, masking, exceptions, rendering."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from veltrix.observability.logging import Fields, Sink
from veltrix.observability.masking import mask_fields, mask_text

FIRST_KEYS: Final = ("time", "level", "service", "message")
# uvicorn tells each request to this logger; registration tells what matters of them itself.
SILENCED: Final = ("uvicorn.access",)

Renderer = Callable[[Fields], str]


def pipeline(render: Renderer, stream: TextIO) -> Sink:
    """The way of a line to `stream`; never raises, for a log must not stop what it tells about."""

    def sink(level: int, entry: Fields) -> None:
        try:
            line = render(finished(level, entry))
        except Exception as error:
            line = f'{{"level":"error","message":"log_line_failed","error":"{type(error).__name__}"}}'
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except (OSError, ValueError):
            return  # nobody listens any more (closed pipe, full disk); there is nowhere left to say it

    return sink


def finished(level: int, entry: Fields) -> Fields:
    """The entry as it is rendered: time and level added, exceptions as text, everything masked."""
    exception = entry.pop("exc_info", None)
    head: Fields = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": logging.getLevelName(level).lower(),
        "service": entry.pop("service", ""),
        "message": mask_text(str(entry.pop("message", ""))),
    }
    rest = mask_fields(entry)
    for key in FIRST_KEYS:
        rest.pop(key, None)
    if text := exception_text(exception):
        rest["exception"] = mask_text(text)
    return head | rest


def exception_text(exception: Any) -> str:
    """The traceback of what `exc_info` gave: an exception, its triple, or True for the one handled now."""
    if isinstance(exception, BaseException):
        return "".join(traceback.format_exception(exception)).rstrip()
    if isinstance(exception, tuple):
        return "".join(traceback.format_exception(*exception)).rstrip() if exception[1] else ""
    if exception:
        text = traceback.format_exc().rstrip()
        return "" if text == "NoneType: None" else text
    return ""


def json_renderer() -> Renderer:
    """One JSON object a line."""
    encode = msgspec.json.Encoder(enc_hook=str).encode

    def render(entry: Fields) -> str:
        return encode(entry).decode()

    return render


def console_renderer(colours: bool) -> Renderer:
    """For people: time, level and message first, then the fields."""
    import structlog

    console = structlog.dev.ConsoleRenderer(colors=colours, event_key="message", timestamp_key="time")

    def render(entry: Fields) -> str:
        entry["time"] = entry["time"][11:-1]
        entry["logger"] = entry.pop("service")
        return str(console(None, "", entry))

    return render


class _Handler(logging.Handler):
    """Hands what the standard library's loggers say to the pipeline."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """One record as a line; its logger is the service."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        entry: Fields = {"service": record.name, "message": message}
        if record.exc_info:
            entry["exc_info"] = record.exc_info
        self._sink(record.levelno, entry)


def take_over_standard_library(level: int, sink: Sink) -> None:
    """Route every standard logger through `sink`; libraries' own INFO only for whoever looks for a fault."""
    root = logging.getLogger()
    root.handlers = [_Handler(sink)]
    root.setLevel(max(level, logging.WARNING) if level > logging.DEBUG else logging.INFO)
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = name not in SILENCED
    for name in SILENCED:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(logging.NullHandler())
    logging.captureWarnings(True)
