"""A whole small cluster, seen: one trace over its processes; `top`, `trace` and `doctor` on real engines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import Console
from tests.e2e.running import EVENT, key_of, person
from tests.observability.collector import collecting

REQUEST = "POST /v1/events/{event}/registrations"
WHERE = {
    REQUEST: "veltrix-registration",
    "append": "veltrix-registration",
    "wait for the decision": "veltrix-registration",
    "process": "veltrix-processing",
    "decide": "veltrix-processing",
    "commit": "veltrix-processing",
    "publish": "veltrix-processing",
    "plan notices": "veltrix-notification",
    "send notice": "veltrix-notification",
}


def veltrix(*arguments: str, code: int = 0) -> Any:
    """What a command prints for programs."""
    command = [sys.executable, "-m", "veltrix", *arguments, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def registered(url: str, key: str) -> tuple[str, str]:
    """Somebody registers for a new event; (registration, trace)."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        organizer = {"authorization": f"Bearer {key}"}
        event = http.post("/v1/events", json=EVENT, headers=organizer).json()["id"]
        assert http.post(f"/v1/events/{event}/open", headers=organizer).status_code == 200
        answer = http.post(
            f"/v1/events/{event}/registrations", json=person(1), headers={"idempotency-key": key_of(1)}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["registration"]["id"], answer.headers["x-trace-id"]


@pytest.mark.timeout(400)  # on a busy machine brokers and processes take their time
def test_a_cluster_is_seen_from_end_to_end(console: Console, monkeypatch: pytest.MonkeyPatch):
    """One registration is one tree of spans over three processes, each step where it belongs; its path is
    read back from the engines; every process is ready in `top`, and one that is killed is gone there; the
    doctor's canary comes through."""
    with collecting() as collector:
        monkeypatch.setenv("VELTRIX_TRACING_ENDPOINT", collector.url)
        monkeypatch.setenv("VELTRIX_TRACING_SAMPLE_RATIO", "1")
        up = console.ask("up")
        assert up["processes"]
        config = str(Path(console.directory) / "veltrix.toml")
        key = veltrix("key", "create", "--organizer", "acme", "--scope", "write", "--config", config)["key"]
        looked = veltrix("doctor", "--config", config)
        assert {look["state"] for look in looked["looks"]} <= {"well", "poor"}
        url = next(look["said"] for look in looked["looks"] if look["name"] == "registration")
        registration, trace_id = registered(url.rpartition(" ")[2], key)
        spans = collector.until(
            lambda spans: {span.name for span in spans if span.trace_id == trace_id} >= WHERE.keys()
        )
    tree = {span.name: span for span in spans if span.trace_id == trace_id}
    assert {name: span.service for name, span in tree.items()} == WHERE
    ids = {span.span_id for span in tree.values()}
    assert {span.name for span in tree.values() if span.parent_id not in ids} == {REQUEST}
    assert tree[REQUEST].parent_id == ""

    path = veltrix("trace", registration, "--config", config)
    steps = [step["step"] for step in path["commands"][0]["steps"]]
    assert path["commands"][0]["trace_id"] == trace_id
    assert steps[:4] == ["asked", "appended", "decided", "published"]

    seen = veltrix("top", "--interval", "0.5", "--directory", str(console.directory))
    assert {row["state"] for row in seen["services"]} == {"ready"}
    assert all(row["owner"].startswith("processing") for row in seen["partitions"])
    assert sum(row["next_offset"] for row in seen["partitions"]) >= 3
    console.ask("kill", "ticker-1")
    seen = veltrix("top", "--interval", "0.5", "--directory", str(console.directory), code=1)
    assert sum(row["state"] == "gone" for row in seen["services"]) == 1
