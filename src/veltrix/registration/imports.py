"""Bulk imports: every row goes the way of every registration, and the report says what became of it."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from veltrix.domain.commands import Envelope
from veltrix.domain.registration import Source
from veltrix.observability.logging import get_logger
from veltrix.registration.bodies import RegisterBody
from veltrix.registration.calls import Call, Flow, decode, fault_of, require_type
from veltrix.registration.core import Core, Request
from veltrix.registration.desk import Queued, Settled
from veltrix.registration.directory import Entry
from veltrix.registration.events import owned
from veltrix.registration.headers import LANGUAGES, preferred_locale
from veltrix.registration.intake import Intake
from veltrix.registration.outputs import arrival_text, decision_ref
from veltrix.registration.problems import (
    DecisionRef,
    Explained,
    FaultAt,
    Problem,
    explain,
    invalid_body,
)

_log = get_logger("registration")

ROUTE: Final = "POST /v1/events/{event}/imports"
TYPES: Final = ("application/x-ndjson", "text/csv")
_ALSO_TAKEN: Final = "application/ndjson"
_BODY_TIMEOUT_S: Final = 600.0
_RETRY_MAX_S: Final = 8.0
_RETRY_S: Final = 0.5
_LINE_MAX_CHARS: Final = 64 * 1024

_decoder = msgspec.json.Decoder(RegisterBody)
_encoder = msgspec.json.Encoder()


class RowReport(msgspec.Struct, kw_only=True):
    """What became of a row: accepted, refused (decided), undecided (still in line) or invalid (not sent)."""

    row: int
    result: str
    status: str | UnsetType = UNSET
    registration: str | UnsetType = UNSET
    arrival: str | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    problem: str | UnsetType = UNSET
    explanation: str | UnsetType = UNSET
    errors: list[Explained] | UnsetType = UNSET
    decision: DecisionRef | UnsetType = UNSET
    location: str | UnsetType = UNSET


class Summary(msgspec.Struct):
    """How many rows came to which end."""

    rows: int = 0
    accepted: int = 0
    refused: int = 0
    undecided: int = 0
    invalid: int = 0
    failed: int = 0


class ImportSummary(msgspec.Struct):
    """The last line of a report. Send the import again under this key to go on where rows are missing."""

    summary: Summary
    idempotency_key: str


@dataclass(slots=True)
class _Row:
    number: int
    body: RegisterBody | Problem


class Imports:
    """The handler of imports."""

    def __init__(self, core: Core, intake: Intake) -> None:
        self._core = core
        self._intake = intake
        self._running = 0

    async def run(self, call: Call) -> Flow:
        """Read everything, then register row by row; the report is streamed as decisions come."""
        core, settings = self._core, self._core.settings
        kind = require_type(call.headers.get(b"content-type"), (*TYPES, _ALSO_TAKEN))
        entry = await owned(core, call)
        request = core.request(call, ROUTE)
        if self._running >= settings.imports_at_once:
            core.meters.turned_away("imports_busy")
            raise Problem("imports_busy").retry_after(5)
        self._running += 1
        try:
            raw = await call.body(settings.import_max_bytes, _BODY_TIMEOUT_S)
            try:
                text = raw.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise Problem("malformed_json") from None
            rows = self._rows_of(text, kind)
        except BaseException:
            self._running -= 1
            raise
        return Flow(
            lambda: self._report(call, entry, request, rows), b"application/x-ndjson", closed=self._ended
        )

    def _ended(self) -> None:
        self._running -= 1

    def _rows_of(self, text: str, kind: str) -> list[_Row]:
        rows = list(_csv_rows(text) if kind == "text/csv" else _ndjson_rows(text))
        most = self._core.settings.import_max_rows
        if len(rows) > most:
            raise invalid_body(FaultAt("", "too_many", {"most": most}))
        return rows

    async def _report(
        self, call: Call, entry: Entry, request: Request, rows: list[_Row]
    ) -> AsyncGenerator[bytes, None]:
        """A line for each row in its order, the summary last. At most so many rows are in flight."""
        in_flight = asyncio.Semaphore(self._core.settings.import_in_flight)
        summary = Summary(len(rows))
        tasks: list[asyncio.Task[RowReport]] = []
        following = iter(rows)
        try:
            for row in following:
                await in_flight.acquire()
                task = asyncio.create_task(self._row(call, entry, request, row))
                task.add_done_callback(lambda _: in_flight.release())
                tasks.append(task)
                while tasks and tasks[0].done():
                    yield self._line(tasks.pop(0), summary)
            while tasks:
                await asyncio.wait(tasks[:1])
                yield self._line(tasks.pop(0), summary)
            yield _encoder.encode(ImportSummary(summary, request.key)) + b"\n"
        finally:
            for task in tasks:
                task.cancel()

    @staticmethod
    def _line(task: asyncio.Task[RowReport], summary: Summary) -> bytes:
        report = task.result()
        setattr(summary, report.result, getattr(summary, report.result) + 1)
        return _encoder.encode(report) + b"\n"

    async def _row(self, call: Call, entry: Entry, request: Request, row: _Row) -> RowReport:
        """One row to its end."""
        try:
            if isinstance(row.body, Problem):
                raise row.body
            accepted = call.headers.get(b"accept-language")
            locale = LANGUAGES[0] if accepted is None else preferred_locale(accepted)
            of_row = replace(request, key=f"{request.key}/{row.number}")
            envelope = await self._intake.envelope(of_row, entry, row.body, Source.IMPORT, locale)
            outcome = await self._ask(envelope, entry.partition, call.trace.header)
            return self._outcome(call, row.number, outcome, envelope.id, envelope.fingerprint)
        except Problem as problem:
            return _problem_report(row.number, problem, call.language)
        except Exception:
            _log.exception("import_row_failed", trace_id=call.trace.trace_id, row=row.number)
            return _problem_report(row.number, Problem("internal"), call.language)

    async def _ask(self, envelope: Envelope, partition: int, trace: str) -> Settled | Queued:
        """Where the line is full, wait and try again, as any client would."""
        delay_s = _RETRY_S
        while True:
            if self._core.stopping:
                raise Problem("stopping")
            try:
                return await self._core.desk.ask(
                    envelope, partition, self._core.settings.wait_default_s, trace
                )
            except Problem as problem:
                if problem.status != 503 or delay_s > _RETRY_MAX_S:
                    raise
            await asyncio.sleep(delay_s)
            delay_s *= 2

    def _outcome(
        self, call: Call, number: int, outcome: Settled | Queued, command: str, printed: str
    ) -> RowReport:
        if isinstance(outcome, Queued):
            path = self._core.links.decision_path(command, outcome.partition, outcome.offset, printed)
            return RowReport(row=number, result="undecided", location=path)
        registration = outcome.own.fact.registration if outcome.own is not None else None
        if outcome.decision.refusal is not None or registration is None:
            problem = self._core.refused(call, outcome)
            return RowReport(
                row=number,
                result="refused",
                refusal=problem.code,
                explanation=problem.members.get("explanation", UNSET),
                decision=decision_ref(outcome.decision),
                replayed=outcome.replayed,
            )
        return RowReport(
            row=number,
            result="accepted",
            status=registration.status.value,
            registration=registration.id,
            arrival=arrival_text(registration.arrival),
            decision=decision_ref(outcome.decision),
            replayed=outcome.replayed,
        )


def _problem_report(number: int, problem: Problem, language: str) -> RowReport:
    body = problem.body(language, "")
    invalid = problem.status < 500
    return RowReport(
        row=number,
        result="invalid" if invalid else "failed",
        problem=body.type,
        explanation=body.detail,
        errors=explain(problem.errors, language) if problem.errors else UNSET,
    )


def _ndjson_rows(text: str) -> Iterator[_Row]:
    number = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        number += 1
        try:
            if len(line) > _LINE_MAX_CHARS:
                raise Problem("body_too_large", params={"most_bytes": _LINE_MAX_CHARS})
            yield _Row(number, decode(_decoder, line.encode()))
        except Problem as problem:
            yield _Row(number, problem)


def _csv_rows(text: str) -> Iterator[_Row]:
    """Rows by the names in the first line: name, email, categories (one each seat, separated by spaces),
    and where wanted locale, form_version, answers.KEY and metadata.KEY."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = [name.strip() for name in next(reader, [])]
        faults = [
            FaultAt(f"/{name}", "no_column") for name in ("name", "email", "categories") if name not in head
        ]
        faults += [FaultAt(f"/{name}", "unknown_field") for name in head if not _is_column(name)]
        if faults:
            raise invalid_body(*faults)
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    except csv.Error:
        raise invalid_body(FaultAt("", "no_row")) from None
    for number, line in enumerate(lines, start=1):
        cells = dict(zip(head, line, strict=False))
        try:
            yield _Row(number, _csv_body(cells))
        except Problem as problem:
            yield _Row(number, problem)


def _is_column(name: str) -> bool:
    return name in ("name", "email", "categories", "locale", "form_version") or (
        name.partition(".")[0] in ("answers", "metadata") and len(name.partition(".")[2]) > 0
    )


def _csv_body(cells: dict[str, str]) -> RegisterBody:
    """A row as the body that it stands for, held to the same bounds. Raises `Problem`."""
    value: dict[str, object] = {
        "contact": {"name": _plain(cells.get("name", "")), "email": _plain(cells.get("email", "").strip())},
        "seats": [{"category": key} for key in cells.get("categories", "").replace(";", " ").split()],
    }
    if cells.get("locale", "").strip():
        value["contact"] = {**value["contact"], "locale": cells["locale"].strip()}  # type: ignore[dict-item]  # it was made a dictionary above
    if cells.get("form_version", "").strip():
        version = cells["form_version"].strip()
        value["form_version"] = (
            int(version) if version.isascii() and version.isdigit() and len(version) < 10 else version
        )
    for group in ("answers", "metadata"):
        found = {
            name.partition(".")[2]: _answer(text) if group == "answers" else _plain(text)
            for name, text in cells.items()
            if name.startswith(f"{group}.") and text.strip()
        }
        if found:
            value[group] = found
    try:
        return msgspec.convert(value, RegisterBody)
    except msgspec.ValidationError as error:
        raise invalid_body(fault_of(str(error))) from None


def _plain(text: str) -> str:
    """A cell without the apostrophe that our own exports put before what looks like a formula."""
    return text[1:] if len(text) > 1 and text[0] == "'" and text[1] in "=+-@" else text


def _answer(text: str) -> str | bool:
    """A cell as an answer: true and false are booleans in every spreadsheet."""
    folded = text.strip().lower()
    return folded == "true" if folded in ("true", "false") else _plain(text)
