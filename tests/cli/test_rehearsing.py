"""`veltrix cluster rehearse` as its users call it."""

from __future__ import annotations

from tests.cli.console import veltrix


def test_an_unknown_fault_is_refused_before_a_cluster_is_started(tmp_path):
    """What is misspelt is named, with what there is, and nothing was made for it."""
    done = veltrix(tmp_path, "cluster", "rehearse", "--fault", "nope", "-d", str(tmp_path / "cluster"))
    assert done.returncode == 2
    assert "there is no fault nope" in " ".join(done.stderr.split())
    assert not (tmp_path / "cluster").exists()
