"""The API against its own description: whatever it allows to be sent is answered as it says."""

from __future__ import annotations

import itertools

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.api.conftest import Server
from tests.registration.house import House

STREAMS = "^watch"  # they do not end; tests/registration/test_live.py and test_live_changes.py listen
EXAMPLES = 12 if settings().derandomize else 100  # the gate is quick, "thorough" is for hunting
UNHURRIED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
ALWAYS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


@schemathesis.serializer("application/x-ndjson", "message/rfc822")
def as_it_is(_, value):
    """Rows are sent as they were made up."""
    return value.encode() if isinstance(value, str) else repr(value).encode()


# The description does not depend on who serves it, so each operation can be a test of its own.
api = schemathesis.openapi.from_dict(House().service.description).exclude(operation_id_regex=STREAMS)
_turns = itertools.count()


def aim(case, server: Server) -> None:
    """Let half of the requests be about what is there: a made-up id only ever shows a 404."""
    turn = next(_turns)
    if turn % 2:
        return
    there = {
        "event": server.event,
        "ref": (server.links + server.registrations)[turn // 2 % 16],
        "token": server.tokens[turn // 2 % 2],
        "endpoint": server.endpoint,
        "secret": server.signing,
        "notice": server.notice,
        "address": "ada@example.org",
    }
    for name in case.path_parameters or {}:
        case.path_parameters[name] = there.get(name, case.path_parameters[name])


@api.parametrize()
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=UNHURRIED,
)
def test_every_operation_answers_as_described(case, server):
    """No 5xx, no undocumented status, header, media type or body, with a key that may do everything."""
    aim(case, server)
    headers = {"Authorization": f"Bearer {server.key}"}
    case.call_and_validate(base_url=server.url, checks=ALWAYS, headers=headers)


def needs_key(context):
    """Whether an operation is for organizers only."""
    return context.operation.definition.raw.get("security") == [{"organizer": []}]


@api.exclude(needs_key).parametrize()
@settings(
    max_examples=EXAMPLES // 2,
    suppress_health_check=UNHURRIED,
)
def test_the_public_is_answered_as_described(case, server):
    """The same for whoever has no key."""
    aim(case, server)
    case.call_and_validate(base_url=server.url, checks=ALWAYS)
