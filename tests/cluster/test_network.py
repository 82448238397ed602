"""Test hosts: what is cut is lost, in the direction that was cut, and only there."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from veltrix.cluster.local import LocalCluster
from veltrix.cluster.network import NAMESPACES, Network, NetworkError, Way, free_subnet, why_not
from veltrix.cluster.plan import Profile, make_plan
from veltrix.cluster.tools import Tools

WHY_NOT = why_not()
needs_hosts = pytest.mark.skipif(bool(WHY_NOT), reason=f"no test hosts: {WHY_NOT}")
HEAR = """
import socket
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(("0.0.0.0", 7007))
print("listening", flush=True)
ear.settimeout(1.5)
try:
    print(ear.recv(64).decode())
except TimeoutError:
    print("nothing")
"""
ECHO = """
import socket
door = socket.create_server(("0.0.0.0", 7008))
print("listening", flush=True)
link, _ = door.accept()
got = 0
while chunk := link.recv(65536):
    got += len(chunk)
link.sendall(str(got).encode())
link.close()
"""
SAY = """
import socket, sys, time
mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(5):  # the first may be lost while addresses are looked up
    mouth.sendto(b"hello", (sys.argv[1], 7007))
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Two test hosts."""
    made = Network(make_plan(Profile.HA, 2, free_subnet()))
    made.up()
    yield made
    made.down()


def heard(network: Network, source: str, target: str) -> bool:
    """Whether what one host sends reaches the other."""
    address = next(host.address for host in network.plan.hosts if host.name == target)
    ear = subprocess.Popen(
        network.inside(target, [sys.executable, "-c", HEAR]), stdout=subprocess.PIPE, text=True
    )
    assert ear.stdout is not None
    assert ear.stdout.readline() == "listening\n"
    subprocess.run(network.inside(source, [sys.executable, "-c", SAY, address]), check=True)
    said, _ = ear.communicate(timeout=10)
    return said == "hello\n"


@needs_hosts
@pytest.mark.parametrize(
    ("way", "to", "from_", "state"),
    [
        (Way.BOTH, False, False, "cut"),
        (Way.TO, False, True, "hears nothing"),
        (Way.FROM, True, False, "is not heard"),
    ],
)
def test_a_cut_loses_what_goes_its_way(network: Network, way: Way, to: bool, from_: bool, state: str):
    """Both ways or one way, packets are lost exactly where the cut says, and heal ends it."""
    network.cut("host-1", way)
    assert network.state("host-1") == state
    assert network.state("host-2") == ""
    assert heard(network, "host-2", "host-1") is to
    assert heard(network, "host-1", "host-2") is from_
    network.heal("host-1")
    assert network.state("host-1") == ""
    assert heard(network, "host-2", "host-1")
    assert heard(network, "host-1", "host-2")


@needs_hosts
def test_a_delay_holds_up_every_packet_and_loses_none(tmp_path: Path):
    """What a host is asked comes back two delays later, and is what was sent, however large."""
    plan = make_plan(Profile.HA, 2, free_subnet())
    cluster = LocalCluster(plan, tmp_path, Tools.here())
    cluster.network.up()
    try:
        cluster.delay("host-1", 150)
        assert cluster.network.state("host-1") == "delayed"
        address = plan.hosts[0].address
        inside = cluster.network.inside("host-1", [sys.executable, "-c", ECHO])
        with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as echo:
            assert echo.stdout is not None
            assert echo.stdout.readline() == "listening\n"
            begun_s = time.monotonic()
            with socket.create_connection((address, 7008), timeout=10) as link:
                assert time.monotonic() - begun_s >= 0.3
                link.sendall(bytes(1_000_000))
                link.shutdown(socket.SHUT_WR)
                assert link.recv(64) == b"1000000"
        cluster.heal()
        assert cluster.network.state("host-1") == ""
        assert heard(cluster.network, "host-2", "host-1")
    finally:
        cluster.heal()
        cluster.network.down()


@needs_hosts
def test_nothing_is_left_when_it_is_taken_down():
    """Namespaces and devices go; making it twice makes it once."""
    network = Network(make_plan(Profile.HA, 1, free_subnet()))
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    network.up()
    network.up()
    assert (
        network.plan.identity
        in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    )
    network.down()
    after = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert network.plan.identity not in after
    assert len(after.splitlines()) == len(before.splitlines())
    assert not any(network.plan.identity in entry.name for entry in NAMESPACES.iterdir())


def test_a_host_that_is_not_there_is_named():
    """A wrong name is an error that says which there are."""
    network = Network(make_plan(Profile.HA, 2, "10.77.9"))
    with pytest.raises(NetworkError, match="no host host-7; there are host-1, host-2"):
        network.cut("host-7")
    with pytest.raises(NetworkError, match="no test hosts"):
        Network(make_plan(Profile.SMALL, 0)).heal("host-1")
