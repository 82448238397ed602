"""The table of operations: what an endpoint does, and all that its description says about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from veltrix.ports.access import Scope
from veltrix.registration.calls import Handler


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter, for the description."""

    name: str
    meaning: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    `scope` is what an API key must have; without one anybody may ask, and with `key_optional` an
    organizer's key changes who asks. `body` maps media types to the shape of the request's body.
    `answers` maps each status to the shape of its body (None: no JSON), `problems` names the codes
    beside those that every operation may answer. `private` pages are no part of the description.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    tag: str = ""
    scope: Scope | None = None
    key_optional: bool = False
    keyed: bool = False
    waits: bool = False
    body: dict[str, Any] = field(default_factory=dict)
    body_required: bool = True
    query: tuple[Param, ...] = ()
    answers: dict[int, Any] = field(default_factory=dict)
    answer_types: dict[int, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    description: str = ""
    etag: bool = False
    if_match: bool = False
    documented: bool = True
    always: bool = False
    """Answered also while the process stops, and never limited: probes and metrics."""
