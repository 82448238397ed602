"""What is written reads back as the same value, and the same value is always the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from random import Random
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.asking import Asker, any_intent, any_spec
from tests.domain.room import Room
from veltrix.domain.commands import KINDS, CreateEvent, Envelope, OpenEvent
from veltrix.domain.decider import NEWEST_RULES
from veltrix.domain.event import EventSpec, Text
from veltrix.domain.facts import Fact, FactKind, NumberedFact
from veltrix.domain.identifiers import command_id
from veltrix.domain.state import PartitionState
from veltrix.wire import (
    NUMBER_MAX,
    decode_command,
    decode_fact,
    decode_spec,
    encode_command,
    encode_fact,
    encode_spec,
)

numbers = st.integers(-NUMBER_MAX, NUMBER_MAX)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: numbers,
    str: texts,
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    NoneType: st.none(),
}


@cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type as annotations write it: any value, sensible or not."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(texts, values_of(arguments[1]), max_size=2)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    assert is_dataclass(hint), f"no values of {hint} are known"
    assert isinstance(hint, type)
    return st.builds(hint, **{name: values_of(inner) for name, inner in get_type_hints(hint).items()})


identities = st.integers().map(lambda seed: command_id([str(seed)]))


@settings(max_examples=settings().max_examples * 4)
@given(kind=st.sampled_from(list(KINDS)), data=st.data())
def test_commands_come_back(kind: str, data: st.DataObject):
    """Any envelope reads back as itself and is written as the same bytes again."""
    hints = get_type_hints(Envelope) | {"body": KINDS[kind]}
    drawn = {name: data.draw(values_of(hint), name) for name, hint in hints.items() if name != "id"}
    envelope = Envelope(id=data.draw(identities), **drawn)
    raw = encode_command(envelope)
    assert decode_command(raw) == envelope
    assert encode_command(decode_command(raw)) == raw


@given(kind=st.sampled_from(FactKind), data=st.data())
def test_facts_come_back(kind: FactKind, data: st.DataObject):
    """Any fact reads back as itself and is written as the same bytes again."""
    hints = {name: hint for name, hint in get_type_hints(Fact).items() if name != "kind"}
    fact = Fact(kind, **{name: data.draw(values_of(hint), name) for name, hint in hints.items()})
    place = data.draw(st.tuples(st.integers(0, 4_095), st.integers(1, 2**62), st.integers(0, 2**62)))
    log_time_ms = data.draw(st.integers(0, 253_402_300_799_999))
    numbered = NumberedFact(*place, data.draw(identities), log_time_ms, data.draw(texts), fact)
    raw = encode_fact(numbered)
    assert decode_fact(raw) == numbered
    assert encode_fact(decode_fact(raw)) == raw


@given(values_of(EventSpec))
def test_specifications_come_back(spec: EventSpec):
    """Any specification reads back as itself."""
    assert decode_spec(encode_spec(spec)) == spec
    assert decode_spec(encode_spec(spec).decode()) == spec


def test_the_order_of_a_map_does_not_show():
    """Bytes are canonical: two equal values with maps in another order are the same bytes."""
    one, other = Text("en", {"en": "a", "de": "b"}), Text("en", {"de": "b", "en": "a"})
    assert one == other
    spec = any_spec(Random(1), "conf")
    written = [encode_spec(EventSpec(**{**_fields(spec), "title": title})) for title in (one, other)]
    assert written[0] == written[1]


def _fields(spec: EventSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in get_type_hints(EventSpec)}


@given(st.randoms(use_true_random=True))
def test_what_is_decided_comes_back(random: Random):
    """Commands and facts of a random evening read back as themselves."""
    room = Room(PartitionState(0, rules_version=NEWEST_RULES))
    created = room.judge(room.envelope(CreateEvent(any_spec(random, "conf"), "key_hash")))
    asker = Asker(room, [created.decision.event])
    judgements = [created, room.ask(OpenEvent(), created.decision.event)]
    for _ in range(20):
        envelope = asker.envelope(any_intent(random))
        if envelope is not None:
            judgements.append(room.judge(envelope))
    for envelope, _ in room.log:
        assert decode_command(encode_command(envelope)) == envelope
    for judgement in judgements:
        decision = judgement.decision
        for seq, fact in enumerate(judgement.facts, decision.first_seq):
            numbered = NumberedFact(0, seq, decision.offset, decision.command, decision.log_time_ms, "", fact)
            assert decode_fact(encode_fact(numbered)) == numbered
