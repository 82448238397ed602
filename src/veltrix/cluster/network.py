"""Test hosts: network namespaces behind a switch each, so that a cut between two of them is a real one.

    namespace host-1          this machine
    eth0 ───────────── v1 │ bridge s1 │ u1 ───── d1 │ bridge m │ d2 ───── u2 │ bridge s2 │ …

What is dropped or held up on a port of a host's own switch is lost in silence, as on a network: the sender's
kernel knows nothing of it. Needs root and iproute2.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from veltrix.cluster.plan import Host, Plan

NAMESPACES: Final = Path("/run/netns")
# A bucket so small that no packet fits. Unlike `netem loss 100%` every kernel with traffic control has it.
_DROP: Final = ("tbf", "rate", "8bit", "burst", "1", "limit", "1")


class Way(StrEnum):
    """Which packets of a host are lost."""

    BOTH = "both"
    TO = "to"  # it hears nothing, though what it says is heard
    FROM = "from"  # it is not heard, though it hears


class NetworkError(Exception):
    """Test hosts cannot be made or changed; the text says why."""


def why_not() -> str:
    """Why this machine cannot have test hosts; empty when it can."""
    if os.uname().sysname != "Linux":
        return "network namespaces are Linux's"
    if missing := [tool for tool in ("ip", "tc", "nsenter") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} missing (iproute2, util-linux)"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    probe = f"vxprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"a network namespace could not be made ({made.stderr.strip() or made.returncode})"
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return ""


def free_subnet() -> str:
    """The beginning of addresses that nothing here uses."""
    routes = _run("ip", "-4", "route", "show").stdout
    for number in range(1, 255):
        subnet = f"10.77.{number}"
        if f"{subnet}." not in routes:
            return subnet
    raise NetworkError("every subnet of 10.77.0.0/16 is in use")


@dataclass(frozen=True, slots=True)
class _Devices:
    """The names of a host's devices; at most 15 characters."""

    namespace: str
    switch: str
    port: str  # the switch's, towards the host
    up: str  # the switch's, towards the others
    down: str  # the other end of that, at the switch in the middle


@dataclass(frozen=True, slots=True)
class Network:
    """The test hosts of one cluster."""

    plan: Plan

    @property
    def middle(self) -> str:
        """The switch in the middle, which this machine is on too."""
        return f"vx{self.plan.identity}m"

    def _devices(self, host: Host) -> _Devices:
        start, number = f"vx{self.plan.identity}", host.name.removeprefix("host-")
        return _Devices(
            f"{start}-{host.name}",
            f"{start}s{number}",
            f"{start}v{number}",
            f"{start}u{number}",
            f"{start}d{number}",
        )

    def inside(self, host: str, command: Sequence[str]) -> list[str]:
        """The command, as it runs on a test host; unchanged where there are none."""
        if not host:
            return list(command)
        return ["nsenter", f"--net={NAMESPACES / self._devices(self._host(host)).namespace}", "--", *command]

    def up(self) -> None:
        """Make what is not there yet."""
        if not self.plan.hosts:
            return
        if not _exists(self.middle):
            _run("ip", "link", "add", self.middle, "type", "bridge")
            _run("ip", "address", "add", f"{self.plan.gateway}/24", "dev", self.middle)
        _run("ip", "link", "set", self.middle, "up")
        for host in self.plan.hosts:
            it = self._devices(host)
            if (NAMESPACES / it.namespace).exists() and _exists(it.down):
                continue
            self._remove(host)
            self._make(host, it)

    def _make(self, host: Host, it: _Devices) -> None:
        link, inside = ("ip", "link"), ("ip", "-n", it.namespace)
        _run("ip", "netns", "add", it.namespace)
        _run(*link, "add", it.switch, "type", "bridge")
        _run(*link, "add", it.port, "type", "veth", "peer", "name", "eth0", "netns", it.namespace)
        _run(*link, "add", it.up, "type", "veth", "peer", "name", it.down)
        for port, switch in ((it.port, it.switch), (it.up, it.switch), (it.down, self.middle)):
            _run(*link, "set", port, "master", switch, "up")
        _run(*link, "set", it.switch, "up")
        _run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")

    def down(self) -> None:
        """Remove all of it."""
        for host in self.plan.hosts:
            self._remove(host)
        if self.plan.hosts:
            _run("ip", "link", "del", self.middle, check=False)

    def _remove(self, host: Host) -> None:
        it = self._devices(host)
        for device in (it.down, it.port, it.switch):
            _run("ip", "link", "del", device, check=False)
        _run("ip", "netns", "del", it.namespace, check=False)

    def cut(self, name: str, way: Way = Way.BOTH) -> None:
        """Lose what is sent to a host, from it, or both."""
        it = self._devices(self._host(name))
        self.heal(name)
        if way is Way.BOTH:
            _run("ip", "link", "set", it.up, "down")
        else:
            _run("tc", "qdisc", "replace", "dev", it.port if way is Way.TO else it.up, "root", *_DROP)

    def delay(self, name: str, delay_ms: int) -> list[str]:
        """Hold up everything to and from a host, so long each way.

        Where the kernel cannot, the host's switch is opened, and the command that must now run is returned.
        """
        it = self._devices(self._host(name))
        self.heal(name)
        held = ("netem", "delay", f"{delay_ms}ms", "limit", "100000")
        for device in (it.port, it.up):
            if _run("tc", "qdisc", "replace", "dev", device, "root", *held, check=False).returncode != 0:
                return self._opened(it, delay_ms)
        return []

    def _opened(self, it: _Devices, delay_ms: int) -> list[str]:
        for device in (it.port, it.up):
            _run("tc", "qdisc", "del", "dev", device, "root", check=False)
            # Without its switch a device belongs to this machine, which must not answer for others on it.
            _run("ip", "link", "set", device, "nomaster", "arp", "off")
        return [sys.executable, "-m", "veltrix.cluster.relay", it.port, it.up, str(delay_ms)]

    def heal(self, name: str) -> None:
        """End a cut or a delay of one host."""
        it = self._devices(self._host(name))
        for device in (it.port, it.up):
            _run("tc", "qdisc", "del", "dev", device, "root", check=False)
            _run("ip", "link", "set", device, "master", it.switch, "arp", "on", "up")

    def state(self, name: str) -> str:
        """What befell a host: "cut", "hears nothing", "is not heard", "delayed", or empty."""
        it = self._devices(self._host(name))
        links = _run("ip", "-o", "link", "show", "dev", it.up, check=False).stdout
        if not links:
            return "missing"
        if ",UP" not in links.partition(">")[0]:
            return "cut"
        if f"master {it.switch}" not in links:
            return "delayed"
        for device, meaning in ((it.port, "hears nothing"), (it.up, "is not heard")):
            shown = _run("tc", "qdisc", "show", "dev", device, check=False).stdout
            if "netem" in shown:
                return "delayed"
            if "tbf" in shown:
                return meaning
        return ""

    def _host(self, name: str) -> Host:
        for host in self.plan.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.plan.hosts)
        raise NetworkError(
            f"there is no host {name}; there are {known}" if known else "there are no test hosts"
        )


def _exists(device: str) -> bool:
    return Path("/sys/class/net", device).exists()


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and ran.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {ran.stderr.strip() or ran.returncode}")
    return ran
