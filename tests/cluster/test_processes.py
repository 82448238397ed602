"""Processes that outlive the command that started them."""

import json
import signal
import sys
from pathlib import Path

from veltrix.cluster.processes import Process, Registry, family, find, stop_all

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def test_a_process_is_found_again_paused_and_ended(tmp_path: Path):
    """What was started is found by its name, by another object too; signals reach it, and its end is seen."""
    started = Registry(tmp_path).start("sleeper", SLEEP, tmp_path)
    registry = Registry(tmp_path)
    assert registry.find("sleeper") == started
    assert started.state == "running"
    assert started.send(signal.SIGSTOP)
    while started.state == "running":
        pass  # the signal is on its way
    assert started.state == "paused"
    stop_all([started], signal.SIGTERM, 5.0)  # hears it although it was paused
    assert started.state == ""
    assert registry.find("sleeper") is None
    assert registry.expected("sleeper")  # nobody said that it is meant to be down
    registry.forget("sleeper")
    assert not registry.expected("sleeper")


def test_a_process_that_has_the_id_by_now_is_left_alone(tmp_path: Path):
    """A pid file whose process is gone, while another got its id, is no reason to send a signal."""
    registry = Registry(tmp_path)
    stranger = registry.start("stranger", SLEEP, tmp_path)
    try:
        stale = Process(stranger.pid, "1")
        (tmp_path / "run" / "gone.json").write_text(json.dumps(stale._asdict()))
        assert registry.find("gone") is None
        assert not stale.send(signal.SIGKILL)
        assert stranger.state == "running"
    finally:
        stop_all([stranger], signal.SIGKILL, 5.0)


def test_a_damaged_pid_file_names_nobody(tmp_path: Path):
    """What cannot be read is as good as absent."""
    registry = Registry(tmp_path)
    (tmp_path / "run").mkdir()
    for text in ("", "[]", '{"pid": "x"}', '{"pid": 1}'):
        (tmp_path / "run" / "odd.json").write_text(text)
        assert registry.find("odd") is None


def test_a_family_is_a_process_and_all_below_it(tmp_path: Path):
    """Children's children belong to it; they are what a killed node must take with it."""
    child = f"import subprocess, sys, time; subprocess.Popen({SLEEP!r}); time.sleep(600)"
    registry = Registry(tmp_path)
    root = registry.start("root", [sys.executable, "-c", child], tmp_path)
    while b"up" not in registry.log("root").read_bytes():
        assert root.state == "running"
    members = family(root)
    stop_all(members, signal.SIGKILL, 5.0)
    assert len(members) == 2
    assert members[0] == root
    assert not any(find(member.pid) for member in members)


def test_the_last_words_of_a_log_are_its_end(tmp_path: Path):
    """Of a long log the last lines are shown, and of none nothing."""
    registry = Registry(tmp_path)
    assert registry.last_words("nobody") == ""
    registry.log("loud").parent.mkdir()
    registry.log("loud").write_text("\n".join(f"line {number}" for number in range(5_000)))
    assert registry.last_words("loud", 2) == "line 4998\nline 4999"
