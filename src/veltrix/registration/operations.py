"""The table of operations: what an endpoint does, and all that its description says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from veltrix.ports.access import Scope
from veltrix.registration.calls import Answer, Call, Handler
from veltrix.registration.problems import Problem


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter, for the description."""

    name: str
    meaning: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A body, for the description: its media type, and its type as msgspec knows it.

    A tuple stands for one of several types, None for a text.
    """

    type: Any
    media_type: str = "application/json"
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    `scope` is what an API key must have; without one anybody may ask, and with `key_optional` an
    organizer's key changes who asks. `answers` maps each status of success to what it carries;
    `problems` are the codes beside those that follow from the rest. `keyed` ones honour an
    Idempotency-Key, `waits` ones Prefer. `always` ones are answered while the process stops, too,
    and never limited: probes and metrics.
    """

    method: str
    path: str
    name: str
    handler: Handler
    summary: str
    tag: str = ""
    description: str = ""
    scope: Scope | None = None
    key_optional: bool = False
    keyed: bool = False
    waits: bool = False
    etag: bool = False
    if_match: bool = False
    streams: bool = False
    body: tuple[Shape, ...] = ()
    body_required: bool = True
    query: tuple[Param, ...] = ()
    answers: Mapping[int, Shape | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    documented: bool = True
    always: bool = False
    explain: Callable[[Problem, Call], Answer] | None = None
    """How a page says what went wrong; elsewhere a problem is JSON."""
