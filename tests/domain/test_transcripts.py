"""Whole evenings as transcripts that people can read: tests/golden/transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.domain.transcripts import played
from tests.goldens import GOLDEN, Goldens

TRANSCRIPTS = sorted((GOLDEN / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_evening_goes_as_it_is_told(goldens: Goldens, path: Path):
    """Every command of the transcript leads to what stands below it."""
    goldens.check(f"transcripts/{path.name}", played(path).encode())


def test_there_are_transcripts():
    """None was lost."""
    assert len(TRANSCRIPTS) >= 8
