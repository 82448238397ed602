"""The bytes of version 1 are kept as files: what was written once can be read for ever."""

from __future__ import annotations

import json

import pytest

from tests.goldens import GOLDEN, Goldens
from tests.wire.examples import ENVELOPES, FACTS
from veltrix.domain.commands import KINDS
from veltrix.domain.facts import FactKind
from veltrix.wire import decode_command, decode_fact, encode_command, encode_fact


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_of_version_1_reads_as_it_was_meant(goldens: Goldens, kind: str):
    """Each kind of command is written as its golden file says, and the file reads back as the value."""
    goldens.check(f"commands/v1/{kind}.json", encode_command(ENVELOPES[kind]) + b"\n", frozen=True)
    assert decode_command((GOLDEN / f"commands/v1/{kind}.json").read_bytes()) == ENVELOPES[kind]


@pytest.mark.parametrize("kind", FactKind)
def test_a_fact_of_version_1_reads_as_it_was_meant(goldens: Goldens, kind: FactKind):
    """Each kind of fact is written as its golden file says, and the file reads back as the value."""
    goldens.check(f"facts/v1/{kind}.json", encode_fact(FACTS[kind]) + b"\n", frozen=True)
    assert decode_fact((GOLDEN / f"facts/v1/{kind}.json").read_bytes()) == FACTS[kind]


def test_no_golden_file_is_left_over():
    """Each file stands for a kind that there is: a kind is never taken away."""
    assert {path.stem for path in (GOLDEN / "commands/v1").iterdir()} == set(KINDS)
    assert {path.stem for path in (GOLDEN / "facts/v1").iterdir()} == set(FactKind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_ignores_fields_that_it_does_not_know(kind: str):
    """A later writer may add a field to a command without breaking a reader of today."""
    value = json.loads(encode_command(ENVELOPES[kind]))
    value["later"] = 1
    value["body"]["later"] = {"more": [1, 2, 3]}
    assert decode_command(json.dumps(value).encode()) == ENVELOPES[kind]


@pytest.mark.parametrize("kind", FactKind)
def test_a_reader_does_not_mind_order_or_space(kind: FactKind):
    """JSON written by others, in another order and with spaces, is the same fact."""
    value = json.loads(encode_fact(FACTS[kind]))
    other = json.dumps(dict(reversed(value.items())), indent=2).encode()
    assert decode_fact(other) == FACTS[kind]
    command = json.loads(encode_command(ENVELOPES["register"]))
    assert decode_command(json.dumps(dict(reversed(command.items()))).encode()) == ENVELOPES["register"]
