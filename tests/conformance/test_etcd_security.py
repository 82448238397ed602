"""etcd behind TLS, with users."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.certificates import Authority
from tests.conformance.etcd_cluster import EtcdCluster, etcd_cluster
from tests.engines import unavailable
from veltrix.adapters.etcd import EtcdClient, EtcdCoordinator, EtcdSettings
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.ports.errors import Mismatch, PortError, Unavailable

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def secured(engine_tools: Tools, certificates: Path) -> Iterator[EtcdCluster]:
    """A member that wants certificates from its clients."""
    authority = Authority(certificates)
    certificate, key = authority.issue("etcd")
    own = ["--client-cert-auth", f"--trusted-ca-file={authority.file}"]
    extra = [*own, f"--cert-file={certificate}", f"--key-file={key}"]
    try:
        with etcd_cluster(engine_tools, 1, extra) as cluster:
            client, client_key = authority.issue("client")
            cluster.ctl_extra = [f"--cacert={authority.file}", f"--cert={client}", f"--key={client_key}"]
            cluster.processes[0].wait_until(
                lambda: "etcd" in cluster.ctl("member", "list", check=False), "etcd behind TLS"
            )
            yield cluster
    except EngineMissing as missing:
        unavailable(missing)


@pytest.fixture
def settings(secured: EtcdCluster, certificates: Path) -> EtcdSettings:
    """How a client gets in."""
    return EtcdSettings(
        secured.endpoints,
        ca_file=certificates / "authority.pem",
        certificate_file=certificates / "client.pem",
        key_file=certificates / "client.key",
    )


async def test_both_sides_are_asked_for_certificates(settings: EtcdSettings, tmp_path: Path):
    """With the right ones everything works; without TLS, without a certificate of its own, or under another
    authority nothing is said, and the error names what to look at."""
    client = await EtcdClient.open(settings)
    coordinator = await EtcdCoordinator.open(client, group="processing")
    assert (await coordinator.acquire("partition/0")).owner == coordinator.member
    await coordinator.close()
    await client.close()
    stranger = Authority(tmp_path, "stranger").file
    for wrong in (
        EtcdSettings(settings.endpoints),
        replace(settings, certificate_file=None, key_file=None),
        replace(settings, ca_file=stranger),
    ):
        with pytest.raises(Unavailable, match=r"etcd\.endpoints"):
            await EtcdClient.open(wrong)
    with pytest.raises(Mismatch, match="cannot be read"):
        await EtcdClient.open(replace(settings, ca_file=tmp_path / "nothing.pem"))
    with pytest.raises(Mismatch, match="only one is given"):
        await EtcdClient.open(replace(settings, key_file=None))


async def test_users_log_in_and_stay_in(secured: EtcdCluster, settings: EtcdSettings):
    """A user of the role for our keys owns and is told; a wrong password, no user, or a user without the role
    are refused with the remedy; a login that etcd forgets (its restart) is made anew without a loss."""
    for command in (
        "user add root:r00t",
        "user grant-role root root",
        "role add veltrix",
        "role grant-permission veltrix readwrite --prefix=true /veltrix/",
        "user add veltrix:secret",
        "user grant-role veltrix veltrix",
        "user add nobody:secret",
        "auth enable",
    ):
        await asyncio.to_thread(secured.ctl, *command.split())
    secured.ctl_extra = [*secured.ctl_extra, "--user=root:r00t"]
    known = replace(settings, username="veltrix", password="secret")
    assert "secret" not in repr(known)
    with pytest.raises(Mismatch, match=r"etcd\.username and etcd\.password"):
        await EtcdClient.open(replace(known, password="wrong"))
    with pytest.raises(Mismatch, match="role for the keys below"):
        await EtcdClient.open(replace(known, username="nobody"))
    with pytest.raises(PortError):
        await EtcdClient.open(settings)
    client = await EtcdClient.open(known)
    coordinator = await EtcdCoordinator.open(client, group="processing")
    grant = await coordinator.acquire("partition/0")
    secured.kill(0)
    secured.start(0)
    ticker = await asyncio.wait_for(coordinator.acquire("ticker"), PATIENCE_S)
    assert ticker.term > grant.term
    assert not grant.lost.is_set()
    other = await EtcdCoordinator.open(client, group="processing")
    waiting = asyncio.create_task(other.acquire("ticker"))
    await coordinator.release(ticker)
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).term > ticker.term
    await other.close()
    await coordinator.close()
    await client.close()
