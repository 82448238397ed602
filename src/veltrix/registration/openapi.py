"""The description of the API (OpenAPI 3.1), made from the table of operations and the shapes themselves."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from veltrix.domain import limits
from veltrix.ports.access import Scope
from veltrix.registration.catalogue import STATUS, problem_words
from veltrix.registration.operations import Operation, Shape
from veltrix.registration.outputs import RegistrationOut
from veltrix.registration.problems import TYPE_PREFIX, ProblemBody
from veltrix.registration.samples import SAMPLES, TEXT_SAMPLES

_PROBLEM: Final = "application/problem+json"
_REFERENCE: Final = "#/components/schemas/{name}"
_TEXT: Final = {"type": "string"}

_INTRODUCTION: Final = """\
Registrations for events, decided one by one in the order in which they came, and never oversold.

Send an `Idempotency-Key` with everything that changes something: repeating it is always safe. A request waits
for its decision as long as `Prefer: wait=N` says; past that it is answered 202, and `Location` is where the
decision will be. What cannot be done is a problem (RFC 9457) with a `type` that never changes and a text in
the reader's language (`Accept-Language`).
"""

_PATH_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "event": {
        "description": "The event's id.",
        "schema": {"type": "string", "pattern": "^evt_[0-9a-f]{32}$"},
    },
    "ref": {
        "description": "A registration's link (`r1…`), or its id (`reg_…`) with an organizer's key.",
        "schema": {"type": "string", "pattern": "^(r1[a-z2-7]{42}|reg_[0-9a-f]{32})$"},
    },
    "endpoint": {
        "description": "The endpoint's id.",
        "schema": {"type": "string", "pattern": "^ep_[0-9a-f]{32}$"},
    },
    "address": {
        "description": "An e-mail address, or what stands for it: `address` as lists have it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 254},
    },
    "kind": {
        "description": "A kind of notice: `confirmed`, `reminder` …; `listTemplates` has them all.",
        "schema": {"type": "string", "pattern": "^[a-z_]{1,64}$"},
    },
    "locale": {
        "description": "A language tag (BCP 47), such as `en` or `de-CH`.",
        "schema": {"type": "string", "pattern": "^[a-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$"},
    },
    "secret": {
        "description": "The id of one of its secrets.",
        "schema": {"type": "string", "pattern": "^sgn_[0-9a-f]{32}$"},
    },
    "notice": {
        "description": "The notice's id: the `webhook-id` of its posts.",
        "schema": {"type": "string", "pattern": "^ntc_[0-9a-f]{32}$"},
    },
    "token": {
        "description": "A receipt: the end of the `Location` of a 202.",
        "schema": {"type": "string", "pattern": "^d1[a-z2-7]{58}\\.[0-9a-f]{16}$"},
    },
}

_KEY_MEANING: Final = (
    "Makes repeating this request safe. Of the public: a UUID, or at least 22 random characters."
)
_HEADER_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "Idempotency-Key": {
        "description": _KEY_MEANING,
        "schema": {
            "type": "string",
            "minLength": 22,
            "maxLength": limits.HEADER_VALUE_MAX_CHARS,
            "pattern": "^[!#-~][!-~]*$",
        },
        "example": "0193f6f2-6c34-7d1f-9d5a-3f6d5f1f0c11",
    },
    "Prefer": {
        "description": f"`wait=N`: wait up to N seconds, at most {limits.WAIT_MAX_S:.0f}; "
        "`respond-async`: do not wait.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "If-Match": {
        "description": "Only if it is still of this version: an `ETag`, as it was given.",
        "schema": {"type": "string", "pattern": '^("[0-9]{1,9}"|\\*)$'},
    },
    "Last-Event-ID": {
        "description": "The `id` of the last event that was seen: what is unchanged is not told again.",
        "schema": {"type": "string"},
    },
    "Accept-Language": {
        "description": "In which language problems are explained: English or German.",
        "schema": {"type": "string"},
        "example": "en",
    },
    "traceparent": {
        "description": "W3C trace context, taken over and passed on.",
        "schema": {"type": "string"},
    },
}

_ANSWER_HEADERS: Final[dict[str, str]] = {
    "X-Trace-Id": "The trace that this request belongs to.",
    "Location": "Where what was made can be read.",
    "Retry-After": "After how many seconds to try again.",
    "ETag": "The version.",
    "Idempotent-Replayed": "`true`: an earlier request under this key was decided; this is its answer.",
    "Preference-Applied": "What was understood of `Prefer`.",
    "WWW-Authenticate": "What is needed.",
    "Content-Language": "The language of the text.",
}


class Description:
    """Builds the description; `operations` in the order in which they are to be read."""

    def __init__(self, operations: Iterable[Operation], version: str, base_url: str) -> None:
        self._operations = [operation for operation in operations if operation.documented]
        self._version = version
        self._base_url = base_url
        shapes = {
            repr(each): each
            for operation in self._operations
            for shape in (*operation.body, *operation.answers.values())
            if shape is not None and shape.type is not None
            for each in (shape.type if isinstance(shape.type, tuple) else (shape.type,))
        }
        types = [*shapes.values(), ProblemBody, RegistrationOut]
        made, self._components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self._schemas = dict(zip(map(repr, types), made, strict=True))

    def build(self) -> dict[str, Any]:
        """The whole description."""
        paths: dict[str, dict[str, Any]] = defaultdict(dict)
        for operation in self._operations:
            paths[operation.path][operation.method.lower()] = self._operation(operation)
        tags = list(dict.fromkeys(operation.tag for operation in self._operations))
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Veltrix",
                "version": self._version,
                "summary": "Registrations for events, fair and never oversold.",
                "description": _INTRODUCTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": self._base_url}],
            "tags": [{"name": tag} for tag in tags],
            "paths": paths,
            "components": {
                "schemas": self._components,
                "securitySchemes": {
                    "organizer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "vk_…",
                        "description": "An organizer's API key, with the scopes "
                        + ", ".join(f"`{scope}`" for scope in Scope),
                    }
                },
            },
        }

    def _operation(self, operation: Operation) -> dict[str, Any]:
        made: dict[str, Any] = {
            "operationId": operation.name,
            "summary": operation.summary,
            "tags": [operation.tag],
            "parameters": [*self._parameters(operation)],
            "responses": self._responses(operation),
        }
        described = [operation.description] if operation.description else []
        if operation.scope is not None:
            described.append(f"Needs a key with the scope `{operation.scope}`.")
            made["security"] = [{"organizer": []}]
        elif operation.key_optional:
            made["security"] = [{}, {"organizer": []}]
        if described:
            made["description"] = "\n\n".join(described)
        if operation.body:
            made["requestBody"] = {
                "required": operation.body_required,
                "content": {shape.media_type: self._sent(shape) for shape in operation.body},
            }
        return made

    def _sent(self, shape: Shape) -> dict[str, Any]:
        if shape.type is None:
            return {"schema": _TEXT, "example": TEXT_SAMPLES[shape.media_type]}
        return {"schema": self._schemas[repr(shape.type)], "example": SAMPLES[shape.type]}

    @staticmethod
    def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
        for name in re.findall(r"{(\w+)}", operation.path):
            yield {"name": name, "in": "path", "required": True, **_PATH_PARAMETERS[name]}
        for param in operation.query:
            yield {
                "name": param.name,
                "in": "query",
                "description": param.meaning,
                "schema": dict(param.schema),
            }
        named = {
            "Idempotency-Key": operation.keyed,
            "Prefer": operation.waits,
            "If-Match": operation.if_match,
            "Last-Event-ID": operation.streams,
            "Accept-Language": not operation.always,
            "traceparent": not operation.always,
        }
        for name, wanted in named.items():
            if wanted:
                made = {"name": name, "in": "header", **_HEADER_PARAMETERS[name]}
                if name == "Idempotency-Key" and operation.scope is not None:
                    made["schema"] = made["schema"] | {"minLength": 1}
                yield made

    def _responses(self, operation: Operation) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        for status, shape in operation.answers.items():
            names = ["X-Trace-Id"]
            names += ["Location"] if status in (201, 202) else []
            names += ["Retry-After"] if status == 202 else []
            names += ["ETag"] if operation.etag and status in (200, 201) else []
            names += ["Idempotent-Replayed"] if operation.keyed and status in (200, 201) else []
            names += ["Preference-Applied"] if operation.waits else []
            made: dict[str, Any] = {
                "description": (shape.meaning if shape is not None else "") or "Nothing more",
                "headers": _headers(names, required=("X-Trace-Id", *(["Location"] * (status in (201, 202))))),
            }
            if shape is not None:
                made["content"] = self._carried(operation, shape)
            responses[str(status)] = made
        by_status: dict[int, list[str]] = defaultdict(list)
        for code in problem_codes(operation):
            by_status[STATUS[code]].append(code)
            if code == "version_conflict":
                by_status[409].append(code)
        for status, codes in sorted(by_status.items()):
            responses.setdefault(str(status), self._problem(status, codes))
        return responses

    def _carried(self, operation: Operation, shape: Shape) -> dict[str, Any]:
        if shape.type is None or shape.media_type in ("text/event-stream", "application/x-ndjson"):
            schema: dict[str, Any] = dict(_TEXT)
            if shape.type is not None:  # each line, or each event's data, is one of these
                schema["contentMediaType"] = "application/json"
                schema["contentSchema"] = self._schemas[repr(shape.type)]
            content: dict[str, Any] = {shape.media_type: {"schema": schema}}
            if operation.name == "exportRegistrations":
                content["text/csv"] = {"schema": _TEXT}
            return content
        if isinstance(shape.type, tuple):
            return {
                shape.media_type: {"schema": {"anyOf": [self._schemas[repr(each)] for each in shape.type]}}
            }
        return {shape.media_type: {"schema": self._schemas[repr(shape.type)]}}

    def _problem(self, status: int, codes: list[str]) -> dict[str, Any]:
        names = ["X-Trace-Id", "Content-Language"]
        names += ["Retry-After"] if status in (429, 503) else []
        names += ["WWW-Authenticate"] if status in (401, 403) else []
        return {
            "description": "\n".join(
                f"- `{code}`: {problem_words(code, 'en').title}" for code in sorted(set(codes))
            ),
            "headers": _headers(names, required=("X-Trace-Id",)),
            "content": {
                _PROBLEM: {
                    "schema": self._schemas[repr(ProblemBody)],
                    "examples": {code: {"value": _sample(code, status)} for code in sorted(set(codes))},
                }
            },
        }


def problem_codes(operation: Operation) -> list[str]:
    """Every problem that an operation may be answered with."""
    codes = [str(code) for code in operation.problems]
    if operation.always:
        return codes
    codes += ["too_many_requests", "internal", "stopping", "unavailable", "invalid_query"]
    if operation.keyed or operation.if_match:
        codes.append("invalid_header")
    if operation.keyed:
        codes += ["key_reused", "outcome_unknown", "overloaded"]
    elif operation.body:
        codes += ["outcome_unknown", "overloaded"]
    if operation.keyed and operation.scope is None:
        codes.append("weak_key")
    if operation.if_match:
        codes.append("precondition_failed")
    if operation.scope is not None:
        codes += ["unauthorized", "forbidden"]
    elif operation.key_optional:
        codes.append("unauthorized")
    if operation.method in ("POST", "PATCH", "PUT"):
        codes += [
            "body_too_large",
            "unsupported_media_type",
            "malformed_json",
            "invalid_body",
            "request_timeout",
        ]
    if operation.streams:
        codes.append("too_many_streams")
    return list(dict.fromkeys(codes))


def _sample(code: str, status: int) -> Mapping[str, Any]:
    words = problem_words(code, "en")
    params = {
        "scope": "write",
        "most": limits.WEBHOOK_SECRETS_MAX
        if code == "too_many_secrets"
        else limits.ENDPOINTS_PER_ORGANIZER_MAX,
        "most_bytes": limits.BODY_MAX_BYTES,
        "types": "application/json",
    }
    return {
        "type": TYPE_PREFIX + code,
        "title": words.title,
        "status": status,
        "detail": words.detail.format_map(params),
    }


def _headers(names: Iterable[str], required: Iterable[str] = ()) -> dict[str, Any]:
    return {
        name: {"description": _ANSWER_HEADERS[name], "required": name in set(required), "schema": _TEXT}
        for name in names
    }
