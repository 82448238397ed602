"""Problems (RFC 9457): what is answered when something cannot be done, with a stable `type` for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from veltrix.registration.catalogue import STATUS, fault_words, problem_words
from veltrix.registration.headers import HeaderFault

TYPE_PREFIX: Final = "urn:veltrix:problem:"
CONTENT_TYPE: Final = b"application/problem+json"


class DecisionRef(msgspec.Struct, frozen=True):
    """Where a decision stands: anyone can check it against the log."""

    partition: int
    offset: int
    log_time: str
    rules_version: int


class FaultAt(NamedTuple):
    """A fault of one field, by catalogue code. `field` is a JSON pointer, `header:…` or `query:…`."""

    field: str
    code: str
    params: Mapping[str, Any] = {}


class Explained(msgspec.Struct, frozen=True):
    """What is wrong with one field, and what to do. `field` is a JSON pointer, `header:…` or `query:…`."""

    field: str
    fault: str
    remedy: str


class ProblemBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A problem, as it is answered."""

    type: str
    title: str
    status: int
    detail: str
    refusal: str | UnsetType = UNSET
    explanation: str | UnsetType = UNSET
    errors: list[Explained] | UnsetType = UNSET
    decision: DecisionRef | UnsetType = UNSET
    location: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    trace_id: str | UnsetType = UNSET


class Problem(Exception):
    """Raised anywhere below an endpoint, answered by it."""

    def __init__(
        self,
        code: str,
        *,
        errors: Iterable[FaultAt] = (),
        params: Mapping[str, Any] | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = STATUS[code] if status is None else status
        self.errors = list(errors)
        self.params = params or {}
        self.headers = list(headers)
        self.members = dict(members or {})

    def retry_after(self, seconds: int) -> Problem:
        """The same, with the time after which it may be tried again."""
        self.headers.append((b"retry-after", b"%d" % seconds))
        return self

    def body(self, language: str, trace_id: str) -> ProblemBody:
        """The problem in the reader's language."""
        words = problem_words(self.code, language)
        made = ProblemBody(
            type=TYPE_PREFIX + self.code,
            title=words.title,
            status=self.status,
            detail=words.detail.format_map(self.params),
            **self.members,
        )
        if self.errors:
            made.errors = explain(self.errors, language)
        if self.status >= 500:
            made.trace_id = trace_id
        return made


def explain(faults: Iterable[FaultAt], language: str) -> list[Explained]:
    """Faults in the reader's language."""
    explained = []
    for fault in faults:
        words = fault_words(fault.code, language)
        explained.append(
            Explained(
                fault.field, words.fault.format_map(fault.params), words.remedy.format_map(fault.params)
            )
        )
    return explained


def invalid_body(*faults: FaultAt) -> Problem:
    """The body does not hold what is needed."""
    return Problem("invalid_body", errors=faults)


def invalid_query(name: str, code: str, **params: Any) -> Problem:
    """A query parameter cannot be used."""
    return Problem("invalid_query", errors=[FaultAt(f"query:{name}", code, params)])


def invalid_header(fault: HeaderFault) -> Problem:
    """A header cannot be used."""
    return Problem("invalid_header", errors=[FaultAt(f"header:{fault.header}", fault.code)])
