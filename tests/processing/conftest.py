"""What every test of processing shares."""

import pytest

from veltrix.domain import limits


@pytest.fixture(autouse=True)
def _short_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor looks whether it is to stop after each read; here it need not be patient."""
    monkeypatch.setattr(limits, "READ_WAIT_S", 0.01)
