"""The AsyncAPI document of the webhooks, made from the shapes that are posted."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.docs import pages
from veltrix.public import MEDIA_TYPE, PING, PUBLIC_KINDS, CloudEvent, Ping
from veltrix.wire import FACT_VERSION

_INTRODUCTION = """\
What Veltrix posts to the endpoints of organizers, as Standard Webhooks 1.0 has it: signed, with an id that
stays the same in every attempt. docs/webhooks.md says how to verify, answer, and catch up.
"""
_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {"type": "string", "pattern": "^ntc_[0-9a-f]{32}$", "description": "Of every attempt."},
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Of this attempt, in s.",
        },
        "webhook-signature": {
            "type": "string",
            "pattern": "^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$",
            "description": "One for each secret in force, separated by spaces.",
        },
        "traceparent": {"type": "string", "description": "W3C trace context of what led to the fact."},
    },
}


def types() -> dict[str, str]:
    """Every type that is posted, with what it means, in the order of the vocabulary."""
    table = pages.section(pages.read(pages.DOCS / "vocabulary.md"), "Facts")
    meanings = {pages.code(row[0]): row[1].partition(";")[0].rstrip(".") + "." for row in pages.rows(table)}
    found = {
        f"veltrix.{kind}.v{FACT_VERSION}": meaning
        for kind, meaning in meanings.items()
        if kind in {each.value for each in PUBLIC_KINDS}
    }
    return found | {PING: "Somebody asked for a test; it is about nothing."}


def document() -> dict[str, Any]:
    """The whole document."""
    (fact, ping), schemas = msgspec.json.schema_components(
        [CloudEvent, Ping], ref_template="#/components/schemas/{name}"
    )
    named = {name.removeprefix("veltrix.").rpartition(".")[0]: name for name in types()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Veltrix webhooks",
            "version": str(FACT_VERSION),
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": MEDIA_TYPE,
        "channels": {
            "endpoint": {
                "address": None,
                "description": "The URL of an endpoint, which the organizer chose.",
                "messages": {short: {"$ref": f"#/components/messages/{short}"} for short in named},
            }
        },
        "operations": {
            "post": {
                "action": "send",
                "channel": {"$ref": "#/channels/endpoint"},
                "summary": "Veltrix posts a fact; 2xx accepts it.",
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            }
        },
        "components": {
            "messages": {
                short: {
                    "name": name,
                    "summary": types()[name],
                    "contentType": MEDIA_TYPE,
                    "headers": {"$ref": "#/components/schemas/Headers"},
                    "payload": {
                        "allOf": [
                            ping if name == PING else fact,
                            {"properties": {"type": {"const": name}}},
                        ]
                    },
                }
                for short, name in named.items()
            },
            "schemas": {"Headers": _HEADERS, **dict(sorted(schemas.items()))},
        },
    }
