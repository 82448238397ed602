"""Old and new processes on one log: what is newer than the reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from veltrix.domain.outcomes import Refusal
from veltrix.wire import COMMAND_VERSION, FACT_VERSION, WireError, decode_command, decode_fact

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("path", sorted((GOLDEN / "commands").glob("v1/*.json")), ids=lambda path: path.stem)
def test_a_command_of_a_newer_version_is_refused_by_name(path: Path):
    """A reader that is too old says so, whatever else the record holds; it neither guesses nor stops."""
    newer = {
        **json.loads(path.read_text(encoding="utf-8")),
        "v": COMMAND_VERSION + 1,
        "body": ["new", "shape"],
    }
    with pytest.raises(WireError) as raised:
        decode_command(json.dumps(newer).encode())
    assert raised.value.refusal is Refusal.UNKNOWN_VERSION


def test_a_fact_of_a_newer_version_is_none_of_ours():
    """A feed that meets one has a gap there, and the ledger fills it."""
    for path in (GOLDEN / "facts").glob("v1/*.json"):
        written = json.loads(path.read_text(encoding="utf-8"))
        written["type"] = written["type"].replace(f".v{FACT_VERSION}", f".v{FACT_VERSION + 1}")
        with pytest.raises(WireError):
            decode_fact(json.dumps(written).encode())


def test_every_version_that_was_ever_written_has_its_golden_files():
    """The versions that can be read are those that golden files hold: none is left out in between."""
    for kind, newest in (("commands", COMMAND_VERSION), ("facts", FACT_VERSION)):
        held = {path.name for path in (GOLDEN / kind).iterdir()}
        assert held == {f"v{number}" for number in range(1, newest + 1)}
