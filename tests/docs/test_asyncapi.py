"""docs/asyncapi.yaml describes what is posted, all of it, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.docs import pages
from tests.docs.asyncapi import document, types
from tests.wire.examples import FACTS
from veltrix.public import PING, PUBLIC_KINDS, encode_ping, encode_public_fact

FILE = pages.DOCS / "asyncapi.yaml"
BASE = "https://tickets.example"


def described() -> dict[str, Any]:
    """The document as a program reads it."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def payload(name: str) -> jsonschema_rs.Validator:
    """What validates the payload of a message."""
    found = described()
    schema = found["components"]["messages"][name]["payload"]
    return jsonschema_rs.validator_for({**schema, "components": found["components"]})


def test_the_document_is_what_the_shapes_say(request):
    """The file is the document that is made from the code; `pytest --regenerate` writes it anew."""
    if request.config.getoption("--regenerate"):
        text = yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=110)
        FILE.write_text(text, encoding="utf-8")
    assert described() == document(), "pytest --regenerate tests/docs/test_asyncapi.py"


def test_every_kind_is_a_message():
    """Each kind of fact that an endpoint can ask for has a message with a meaning, and so has the ping."""
    messages = described()["components"]["messages"]
    assert set(messages) == {kind.value for kind in PUBLIC_KINDS} | {"endpoint.ping"}
    assert {message["name"] for message in messages.values()} == set(types())
    assert all(len(message["summary"].split()) >= 2 for message in messages.values())


@pytest.mark.parametrize("kind", sorted(PUBLIC_KINDS))
def test_what_is_posted_is_valid(kind):
    """A fact of each kind, as it is posted, fits the schema of its message and of no other."""
    posted = json.loads(encode_public_fact(FACTS[kind], BASE))
    payload(kind).validate(posted)
    other = "event.created" if kind != "event.created" else "event.ended"
    assert not payload(other).is_valid(posted)
    assert not payload(kind).is_valid({**posted, "sequence": 7})


def test_a_ping_is_valid():
    """A ping fits the schema of its message."""
    posted = json.loads(encode_ping("ntc_1", "acme", "ep_1", 0, BASE))
    assert posted["type"] == PING
    payload("endpoint.ping").validate(posted)


def test_every_reference_leads_somewhere():
    """Each $ref of the document names a part of it."""
    found = described()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                at: Any = found
                for part in value["$ref"].removeprefix("#/").split("/"):
                    at = at[part]
            for inner in value.values():
                follow(inner)
        elif isinstance(value, list):
            for inner in value:
                follow(inner)

    follow(found)
