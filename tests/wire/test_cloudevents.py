"""Facts are CloudEvents 1.0 in structured JSON mode; the rules are those of its specification."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.examples import FACTS
from veltrix.domain.facts import FactKind
from veltrix.wire import encode_fact, rfc3339

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
INT32 = range(-(2**31), 2**31)


@pytest.mark.parametrize("kind", FactKind)
def test_attributes_keep_the_rules(kind: FactKind):
    """Names are lower-case letters and digits, required ones are there, none is empty or of no known type."""
    event = json.loads(encode_fact(FACTS[kind]))
    assert event["specversion"] == "1.0"
    for name in ("id", "source", "type"):
        assert isinstance(event[name], str)
        assert event[name]
    assert event["datacontenttype"] == "application/json"
    assert event["type"] == f"veltrix.{kind}.v1"
    for name, value in event.items():
        if name == "data":
            continue
        assert re.fullmatch("[a-z0-9]{1,20}", name)
        assert value not in ("", None)
        assert not isinstance(value, dict | list | float)
        assert isinstance(value, str) or value in INT32, f"{name} is no Integer of CloudEvents"
    assert RFC3339.fullmatch(event["time"])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", event["traceparent"])


def test_optional_attributes_are_left_out():
    """What there is nothing to say about is absent: an attribute must not be empty."""
    numbered = replace(FACTS[FactKind.RULES_ADOPTED], trace="")
    event = json.loads(encode_fact(numbered))
    assert "subject" not in event
    assert "traceparent" not in event


@given(places=st.lists(st.tuples(st.integers(0, 4_095), st.integers(1, 2**62)), unique=True, max_size=20))
def test_source_and_id_name_one_fact(places: list[tuple[int, int]]):
    """No two facts of a ledger have the same source and id."""
    example = FACTS[FactKind.EVENT_OPENED]
    events = [
        json.loads(encode_fact(replace(example, partition=partition, seq=seq))) for partition, seq in places
    ]
    assert len({(event["source"], event["id"]) for event in events}) == len(places)
    assert [int(event["sequence"]) for event in events] == [seq for _, seq in places]


@given(ms=st.integers(0, 253_402_300_799_999))
def test_time_is_rfc_3339_to_the_millisecond(ms: int):
    """Every instant from 1970 to 9999 is written in UTC and reads back the same."""
    written = rfc3339(ms)
    assert RFC3339.fullmatch(written)
    assert written.endswith("Z")
    assert round(datetime.fromisoformat(written).timestamp() * 1000) == ms
