"""`veltrix cluster` on one of each engine, as somebody at a terminal would use it."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.cluster.conftest import Console

ENGINES = ("etcd-1", "kafka-1", "postgres-1")


def survives(pid: int, before_s: float) -> bool:
    """Whether the process still runs: no zombie that nobody reaped, no reused number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() < before_s
    except psutil.NoSuchProcess:
        return False


@pytest.mark.timeout(300)  # on a busy machine brokers take their time
def test_engines_go_up_die_come_back_and_go_down(console: Console):
    """Up, status, pause, kill, restart and down do what they say; a second up goes on with what is there."""
    up = console.ask("up", "--engines")
    assert {one["name"]: one["state"] for one in up["processes"] if one["name"] in ENGINES} == dict.fromkeys(
        ENGINES, "ready"
    )
    pids = {one["name"]: one["pid"] for one in up["processes"]}
    again = console.ask("up", "--engines")
    assert {one["name"]: one["pid"] for one in again["processes"]} == pids

    assert console.ask("pause", "etcd-1") == {"paused": ["etcd-1"]}
    assert console.states(1)["etcd-1"] == "paused"
    console.ask("resume", "etcd-1")
    assert console.ask("kill", "kafka-1", "postgres") == {"killed": ["kafka-1", "postgres-1"]}
    states = console.states(1)
    assert (states["etcd-1"], states["kafka-1"], states["postgres-1"]) == ("ready", "dead", "dead")
    console.ask("restart", "kafka-1", "postgres-1")
    assert all(state == "ready" for name, state in console.states(1).items() if name in ENGINES)

    unknown = console.run("kill", "kafka-7")
    assert unknown.returncode == 2
    assert "there is no kafka-7; there are etcd-1" in unknown.stderr
    uncut = console.run("cut", "host-1")
    assert uncut.returncode == 3
    assert "no test hosts" in uncut.stderr

    before_s = time.time()
    assert console.ask("down")["down"]
    assert set(console.states(1).values()) == {"down"}
    assert not [name for name in ENGINES if survives(pids[name], before_s)]


def test_what_cannot_be_is_said_with_its_remedy(console: Console):
    """A directory without a cluster ends a command with a code and words, not with a traceback."""
    nowhere = console.run("status")
    assert nowhere.returncode == 3
    assert "there is no cluster" in nowhere.stderr
    assert "veltrix cluster up" in nowhere.stderr
