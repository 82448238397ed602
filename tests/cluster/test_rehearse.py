"""Three faults on real processes of a small cluster with two processing processes, under load, in short."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import unavailable
from veltrix.cluster.local import LocalCluster
from veltrix.cluster.plan import Kind, Profile
from veltrix.cluster.rehearse import Rehearsal, new_key, rehearse
from veltrix.cluster.rehearse_faults import BY_NAME
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.load.command import run_on_fast_loop

SHORT = Rehearsal(rate_per_s=12.0, events=3, warm_s=3.0, after_s=4.0, hold_share=0.4)


@pytest.fixture(scope="module")
def cluster(engine_tools: Tools) -> Iterator[LocalCluster]:
    """A running cluster: one of each engine, two that decide."""
    directory = Path(tempfile.mkdtemp(prefix="veltrix-test-rehearse-", dir="/var/tmp"))
    try:
        it, _ = LocalCluster.create(directory, engine_tools, Profile.SMALL, processing=2)
        it.up()
    except EngineMissing as missing:
        shutil.rmtree(directory, ignore_errors=True)
        unavailable(missing)
    yield it
    it.down()
    it.remove()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def key(cluster: LocalCluster) -> str:
    """An API key that may write."""
    return new_key(cluster)


@pytest.mark.timeout(400)  # on a busy machine engines take their time
@pytest.mark.parametrize("name", ["processing-kill", "processing-pause", "everything-kill"])
def test_every_promise_is_kept(cluster: LocalCluster, key: str, name: str):
    """Whatever dies: nothing acknowledged is lost, doubled, out of order or oversold, everybody is answered
    and told once, the ledger is what the log leads to, and who was pushed aside stood still."""
    fault = BY_NAME[name]
    result = run_on_fast_loop(rehearse(cluster, fault, SHORT, key))
    assert result.kept, result
    assert result.commands > 50
    assert len(result.victims) == (len(cluster.plan.nodes) if name == "everything-kill" else 1)
    if name == "processing-pause":
        assert any("took partitions under higher terms" in text for text in result.evidence), result
    if name != "everything-kill":
        assert all(victim.startswith(Kind.PROCESSING) for victim in result.victims)
