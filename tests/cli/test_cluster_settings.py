"""`veltrix cluster settings` and `veltrix cluster epoch`, on a real etcd."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def cluster(here: Run, etcd_server: str, tmp_path: Path) -> Run:
    """A command of `veltrix cluster`, configured for the run's etcd below keys of the test's own."""
    file = tmp_path / "veltrix.toml"
    prefix = sha256(str(tmp_path).encode()).hexdigest()[:16]
    file.write_text(
        f'[etcd]\nendpoints = ["{etcd_server}"]\nprefix = "/tests/{prefix}"\n'
        '[kafka]\nbootstrap_servers = ["127.0.0.1:1"]\n[postgres]\nhosts = ["127.0.0.1:1"]\n'
        "[http]\nrate_burst = 60000\n"
    )
    return lambda *arguments: here("cluster", *arguments, VELTRIX_CONFIG=str(file))


def test_a_setting_is_set_seen_and_rolled_back(cluster: Run):
    """Each change is a version; `get` says where a value is from, `history` who changed what, and a rollback
    makes old values stand again, as a new version."""
    assert "Version 0" in cluster("settings", "get").stdout
    done = cluster("settings", "set", "http.rate_burst=70000", "http.wait_default=5 s", "--note", "a sale")
    assert done.stdout == "Version 1 stands: http.rate_burst=70000, http.wait_default=5 s.\n"
    assert cluster("settings", "set", "http.rate_burst=").returncode == 0
    shown = json.loads(cluster("settings", "get", "--json").stdout)
    rows = {row["key"]: (row["value"], row["source"]) for row in shown["settings"]}
    assert shown["version"] == 2
    assert rows["http.rate_burst"] == (60_000, "configuration")
    assert rows["http.wait_default"] == ("5 s", "cluster")
    assert "Version 3 stands: http.rate_burst=70000" in cluster("settings", "rollback", "1").stdout
    assert "as each process is configured" in cluster("settings", "rollback", "0").stdout
    history = json.loads(cluster("settings", "history", "--json").stdout)
    assert [each["version"] for each in history] == [4, 3, 2, 1]
    assert [each["note"] for each in history[1:]] == ["rolled back to version 1", "", "a sale"]
    assert "a sale" in cluster("settings", "history").stdout


def test_what_is_wrong_is_told_with_key_fault_and_remedy_and_changes_nothing(cluster: Run):
    """All that is wrong at once; what another one changed in between; a version that is not kept."""
    done = cluster("settings", "set", "http.rate_brust=1", "http.port=8081", "processing.batch_max=100")
    assert done.returncode == 2
    assert "Nothing was changed" in done.stderr
    assert "did you mean http.rate_burst?" in done.stderr
    assert "http.port cannot change while processes run" in done.stderr
    assert cluster("settings", "set", "http.rate_per_address=60001").returncode == 2, "beyond the burst"
    assert cluster("settings", "set", "logging.level=debug", "--version", "7").returncode == 1
    gone = cluster("settings", "rollback", "17")
    assert (gone.returncode, "version 17 is not in the history" in gone.stderr) == (1, True)
    assert json.loads(cluster("settings", "history", "--json").stdout) == []
    assert cluster("settings", "history").stdout == "Nothing was ever set.\n"
    assert cluster("settings", "get", "http.port").returncode == 2


def test_the_epoch_only_rises(cluster: Run):
    """It begins at 1, is raised by one or to a number, and never lowered."""
    assert json.loads(cluster("epoch", "show", "--json").stdout)["epoch"] == 1
    assert json.loads(cluster("epoch", "raise", "--json").stdout) == {"epoch": 2}
    assert "The epoch is 7 now" in cluster("epoch", "raise", "--to", "7").stdout
    refused = cluster("epoch", "raise", "--to", "7")
    assert (refused.returncode, "can only be raised" in refused.stderr) == (3, True)
    assert cluster("epoch", "show").stdout.startswith("Epoch 7; etcd is at revision ")


def test_without_etcd_it_says_what_to_do(here: Run, tmp_path: Path):
    """A platform that is no cluster has no cluster settings; an etcd that is away is named."""
    done = here("cluster", "settings", "get")
    assert done.returncode == 2
    assert "[etcd] endpoints" in done.stderr
    file = tmp_path / "veltrix.toml"
    file.write_text(
        '[etcd]\nendpoints = ["127.0.0.1:1"]\n'
        '[kafka]\nbootstrap_servers = ["127.0.0.1:1"]\n[postgres]\nhosts = ["127.0.0.1:1"]\n'
    )
    done = here("cluster", "epoch", "show", VELTRIX_CONFIG=str(file))
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr
    assert "etcd.endpoints" in done.stderr
