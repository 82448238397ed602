"""Findings about a real etcd, and about clusters that this machine cannot have."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.conformance.certificates import Authority
from tests.conformance.etcd_cluster import etcd_cluster
from tests.engines import answers_http, directory_for, free_port, listens, running, unavailable
from tests.readiness.fitting import about, codes, configured
from veltrix.adapters.etcd import EtcdClient
from veltrix.adapters.etcd.client import put
from veltrix.adapters.etcd.inspection import Inspection, Member, Server, inspect_etcd
from veltrix.bootstrap.engines import etcd_settings
from veltrix.cluster import etcd, postgres
from veltrix.cluster.tools import EngineMissing
from veltrix.readiness.on_etcd import judge_etcd
from veltrix.readiness.on_patroni import judge_patroni


def near(endpoint, **variables):
    """A configuration that leads to etcd on this machine."""
    plain = {"etcd_ca_file": None, "etcd_username": None, "etcd_password": None}
    return configured(**(plain | {"etcd_endpoints": endpoint} | variables)).config


async def test_one_member_is_found(etcd_server):
    """A member alone is told to be one; its version, clock and lease raise no finding."""
    config = near(etcd_server)
    seen = await inspect_etcd(etcd_settings(config))
    assert about(judge_etcd(config, seen), "etcd_members") == ["members of etcd: 1"]
    assert codes(judge_etcd(config, seen)) == {"etcd_members"}
    (server,) = seen.servers
    assert server.version.startswith("3.")
    assert server.leads
    assert server.clock_ahead_s == 0.0
    assert seen.least_lease_s == 1


async def test_an_endpoint_that_is_silent_is_found_beside_one_that_answers(etcd_server):
    """One wrong endpoint is named, and the others are judged all the same."""
    config = near(f"127.0.0.1:{free_port()},{etcd_server}")
    found = list(judge_etcd(config, await inspect_etcd(etcd_settings(config))))
    assert codes(found) == {"etcd_unreachable", "etcd_members"}


async def test_nothing_is_left_behind(etcd_server):
    """Looking at etcd leaves no key and no lease."""
    config = near(etcd_server)
    await inspect_etcd(etcd_settings(config))
    client = await EtcdClient.open(etcd_settings(config))
    before = client.revision().revision
    await inspect_etcd(etcd_settings(config))
    assert client.revision().revision == before
    await client.close()


@pytest.fixture(scope="module")
def sleepy_etcd(engine_tools):
    """A member whose elections take five seconds."""
    with directory_for("etcd") as directory:
        member = etcd.EtcdMember("etcd", "127.0.0.1", free_port(), free_port(), directory)
        try:
            start = etcd.start_command(engine_tools, member, [member], "veltrix-sleepy")
        except EngineMissing as missing:
            unavailable(missing)
        slow = [each for each in start if "interval" not in each and "timeout" not in each]
        with running(
            [*slow, "--heartbeat-interval=500", "--election-timeout=5000"], directory / "log"
        ) as server:
            server.wait_until(lambda: answers_http(f"http://{member.address}/health"), "etcd")
            yield member.address


async def test_an_election_time_out_that_the_lease_cannot_go_below_is_found(sleepy_etcd):
    """etcd's own least lease, measured, is compared with the configured one."""
    config = near(sleepy_etcd, etcd_call_timeout="1 s")
    found = list(judge_etcd(config, await inspect_etcd(etcd_settings(config))))
    assert about(found, "lease_ttl") == [
        "the shortest lease that etcd grants, against etcd.lease_ttl: 8 s against 2 s"
    ]


async def test_etcd_behind_tls_is_looked_at_too(engine_tools, tmp_path):
    """With certificates on both sides version, clock, members and lease are seen as without; with none of its
    own the examination says that nobody answers."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("etcd")
    client, client_key = authority.issue("client")
    extra = ["--client-cert-auth", f"--trusted-ca-file={authority.file}"]
    extra += [f"--cert-file={certificate}", f"--key-file={key}"]
    try:
        with etcd_cluster(engine_tools, 1, extra) as cluster:
            cluster.processes[0].wait_until(lambda: listens("127.0.0.1", cluster.members[0].port), "etcd")
            given = {"etcd_ca_file": str(authority.file)}
            own = {"etcd_certificate_file": str(client), "etcd_key_file": str(client_key)}
            config = near(cluster.endpoints[0], **given, **own)
            seen = await inspect_etcd(etcd_settings(config))
            stranger = near(cluster.endpoints[0], **given)
            unseen = await inspect_etcd(etcd_settings(stranger))
    except EngineMissing as missing:
        unavailable(missing)
    assert codes(judge_etcd(config, seen)) == {"etcd_members"}
    assert seen.servers[0].clock_ahead_s == 0.0
    assert seen.members[0].client_urls[0].startswith("https://")
    assert codes(judge_etcd(stranger, unseen)) == {"etcd_unreachable"}


def member(number, scheme="https", **more):
    """A member far away."""
    urls = (f"{scheme}://etcd-{number}:2379",)
    return replace(Member(f"etcd-{number}", urls, urls, False), **more)


def cluster_of(*members, **server):
    """A cluster with these members, whose first endpoint is as told."""
    seen = replace(Server("etcd-1:2379", version="3.5.16", clock_ahead_s=0.0), **server)
    return Inspection((seen,), "", members, 1, {})


@pytest.mark.parametrize(
    ("cluster", "code", "shown"),
    [
        (cluster_of(member(1), member(2)), "etcd_members", "2"),
        (cluster_of(*map(member, range(4))), "etcd_members", "4"),
        (cluster_of(member(1), member(2), member(3, learner=True)), "etcd_members", "2"),
        (cluster_of(member(1), member(2), member(3, "http")), "etcd_listener", "http://etcd-3:2379"),
        (cluster_of(*map(member, range(3)), version="3.3.27"), "etcd_version", "3.3.27"),
        (cluster_of(*map(member, range(3)), complaints=("alarm:NOSPACE",)), "etcd_complains", "NOSPACE"),
        (cluster_of(*map(member, range(3)), clock_ahead_s=-7.0), "clock_skew", "7.0 s behind"),
    ],
)
def test_members_are_judged(cluster, code, shown):
    """Three encrypted, new and healthy members have no finding; each flaw has one."""
    config = configured().config
    assert list(judge_etcd(config, cluster_of(*map(member, range(3))))) == []
    found = list(judge_etcd(config, cluster))
    assert codes(found) == {code}
    assert shown in about(found, code)[0]


def patroni_of(version="4.1.5", members=3, **settings):
    """What Patroni keeps in etcd, as the cluster on this machine tells it, with some settings changed."""
    told = postgres._agreed() | settings
    kept = {"/service/veltrix/config": json.dumps(told).encode(), "/service/veltrix/leader": b"pg-1"}
    for number in range(1, members + 1):
        value = {"conn_url": f"postgres://pg-{number}:5432/postgres", "version": version}
        kept[f"/service/veltrix/members/pg-{number}"] = json.dumps(value).encode()
    return Inspection((), "", (), 1, kept)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"synchronous_mode": False}, "asynchronous"),
        ({"synchronous_mode": "off"}, "asynchronous"),
        ({"synchronous_mode_strict": False}, "asynchronous"),
        ({"failsafe_mode": False}, "patroni_failsafe"),
        ({"ttl": 10, "retry_timeout": 5}, "patroni_times"),
        ({"ttl": 60}, "patroni_times"),
        ({"primary_start_timeout": 300}, "patroni_times"),
        ({"version": "3.3.2"}, "patroni_version"),
        ({"members": 2}, "patroni_members"),
        ({"members": 1}, "single_replica"),
    ],
)
def test_patronis_mode_is_judged(changed, code):
    """What the cluster on this machine tells Patroni has no finding; each weaker mode has one."""
    config = configured().config
    assert list(judge_patroni(config, patroni_of())) == []
    assert codes(judge_patroni(config, patroni_of(**changed))) == {code}


def test_a_statement_may_not_outlast_patronis_patience():
    """A statement that waits longer than a failover takes is found."""
    config = configured(postgres_statement_timeout="20 s", notification_lease="2 min").config
    assert "statement_timeout" in codes(judge_patroni(config, patroni_of()))


async def test_patroni_is_found_in_etcd(etcd_server):
    """Patroni's keys are read from etcd itself, and matched with postgres.hosts."""
    config = near(etcd_server, postgres_hosts="pg-1:5432,pg-2:5432")
    client = await EtcdClient.open(etcd_settings(config))
    kept = patroni_of(synchronous_mode=False).patroni or {}
    client.txn([], [put(key, value) for key, value in kept.items()])
    await client.close()
    seen = await inspect_etcd(etcd_settings(config))
    assert codes(judge_patroni(config, seen)) == {"asynchronous"}
    elsewhere = near(etcd_server, postgres_hosts="other-1:5432,other-2:5432")
    assert codes(judge_patroni(elsewhere, seen)) == set()
