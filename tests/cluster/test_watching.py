"""Prometheus beside a local cluster: started, asked everything under load, sees a fault, is stopped."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.conftest import Console
from tests.e2e.running import EVENT, key_of, person
from tests.engines import answers_http, unavailable
from tests.observability.asking import Prometheus, until
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.cluster.watching import SCRAPE_S, WATCHERS, grafana_command
from veltrix.observability import catalogue, engines

RATE_S = 6 * SCRAPE_S
START_S = 420.0  # three of each take their time on two cores
SHOWN = frozenset().union(*catalogue.GROUPS_OF.values()) | engines.CLUSTER_GROUPS
# Made by the first who is turned away, and by the first notice that waits; here is no certificate.
UNSEEN = {
    "veltrix_certificate_not_after_timestamp_seconds",
    "veltrix_http_turned_away_total",
    "veltrix_notices_waiting",
}


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> str:
    """`small`, or what --cluster-profile says."""
    return str(request.config.getoption("--cluster-profile"))


def key_for(console: Console) -> str:
    """A key that may do everything."""
    scopes = ["--scope", "read", "--scope", "write"]
    where = ["--json", "--config", str(console.directory / "veltrix.toml")]
    command = [sys.executable, "-m", "veltrix", "key", "create", "--organizer", "acme", *scopes, *where]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(json.loads(ran.stdout)["key"])


async def people(url: str, key: str, ended: threading.Event) -> None:
    """Publish an event; eight at a time register for it until it is enough. Faults befall them."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        organizer = {"authorization": f"Bearer {key}"}
        made = (
            (await client.post("/v1/events", json=EVENT, headers=organizer)).raise_for_status().json()["id"]
        )
        (await client.post(f"/v1/events/{made}/open", headers=organizer)).raise_for_status()
        numbers = count()

        async def one_after_the_other() -> None:
            while not ended.is_set():
                number = next(numbers)
                headers = {"Idempotency-Key": key_of(number), "Prefer": "wait=5"}
                with suppress(httpx.HTTPError):
                    await client.post(
                        f"/v1/events/{made}/registrations", json=person(number), headers=headers
                    )

        await asyncio.gather(*(one_after_the_other() for _ in range(8)))


@contextmanager
def load(url: str, key: str) -> Iterator[None]:
    """People come within the block."""
    ended = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(people(url, key, ended)))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def watchers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `status` says of those who watch, by name."""
    return {one["name"]: one for one in document["watchers"]}


@pytest.mark.timeout(900)
def test_prometheus_sees_a_cluster_and_what_befalls_it(console: Console, engine_tools: Tools, profile: str):
    """`up` starts Prometheus on every process; under load each panel's query gives series with the labels it
    names, each rule is evaluated; a service that is killed is pending within a minute; `down` ends it."""
    if engine_tools.prometheus() is None:
        unavailable(EngineMissing("Prometheus", "prometheus in PATH"))
    up = console.ask("up", "--profile", profile, timeout_s=START_S)
    assert set(watchers(up)) == set(WATCHERS)
    assert watchers(up)["prometheus"]["state"] == "ready"
    asked = Prometheus(watchers(up)["prometheus"]["url"])
    services = {one["name"] for one in up["processes"] if one["kind"] not in ("etcd", "kafka", "postgres")}
    with load(up["urls"][0], key_for(console)):
        until(
            lambda: asked.targets() == dict.fromkeys(services, "up") and not asked.all_unanswered(RATE_S),
            lambda: "\n".join([str(asked.targets()), *asked.all_unanswered(RATE_S)]),
            timeout_s=180,
        )
        assert asked.ill_rules() == {}
        assert set(asked.unknown(SHOWN)) <= UNSEEN
        console.ask("kill", "processing")
        until(
            lambda: asked.alert("VeltrixServiceGone") in ("pending", "firing"),
            lambda: str(asked.targets()),
            timeout_s=60,
        )
    console.ask("down")
    assert watchers(console.ask("status", code=1))["prometheus"]["state"] == "down"
    assert not answers_http(f"{asked.url}/-/ready")


def test_grafana_is_started_for_this_machine_alone(tmp_path: Path):
    """Grafana is told its port, its provisioning and that nobody needs to log in; both of its programs' names
    do. It is not opened here: no Debian package has it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "public").mkdir()
    command, environment = grafana_command(tmp_path / "bin" / "grafana", tmp_path / "watching", 3000)
    assert command == [str(tmp_path / "bin" / "grafana"), "server", f"--homepath={tmp_path}"]
    assert environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert environment["GF_PATHS_PROVISIONING"] == str(tmp_path / "watching" / "grafana")
    assert environment["PATH"] == os.environ["PATH"]
    command, _ = grafana_command(tmp_path / "bin" / "grafana-server", tmp_path / "watching", 3000)
    assert command[1:] == [f"--homepath={tmp_path}"]
