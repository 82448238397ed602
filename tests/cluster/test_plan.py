"""What a cluster consists of, and the files that its processes get: all of it before anything is started."""

import tomllib
from pathlib import Path

import pytest

from veltrix.cluster import kafka, postgres, services
from veltrix.cluster.plan import ENGINES, SERVICES, Kind, Plan, Profile, free_ports, make_plan, with_ports
from veltrix.cluster.starting import Starter
from veltrix.cluster.tools import EngineMissing, Tools

HERE = Tools(Path("/nowhere"), system=False)


def small() -> Plan:
    """One of each, with ports as they might be chosen."""
    return with_ports(
        make_plan(Profile.SMALL, 0, identity="0a1b2c"), lambda count: range(20_000, 20_000 + count)
    )


def high() -> Plan:
    """Three of each on test hosts of their own."""
    return make_plan(Profile.HA, 3, "10.77.9", "0a1b2c")


def test_profiles_have_as_many_of_each_as_they_say():
    """`small` has one of each; `ha` three of each engine and two of each service."""
    assert {kind: len(small().of(kind)) for kind in Kind} == dict.fromkeys(Kind, 1)
    plan = with_ports(make_plan(Profile.HA, 0), free_ports)
    assert {kind: len(plan.of(kind)) for kind in ENGINES} == dict.fromkeys(ENGINES, 3)
    assert {kind: len(plan.of(kind)) for kind in SERVICES} == dict.fromkeys(SERVICES, 2)


def test_no_two_processes_of_an_address_have_the_same_port():
    """On the loopback and on each test host every port is given once."""
    for plan in (
        small(),
        high(),
        with_ports(make_plan(Profile.HA, 0), free_ports),
        make_plan(Profile.HA, 2, "10.77.9"),
    ):
        given = [(node.address, port) for node in plan.nodes for port in node.ports.values()]
        assert len(given) == len(set(given))


def test_each_test_host_has_a_third_of_everything():
    """A broker, an etcd member, a PostgreSQL node and one of each service are on each of three hosts."""
    for host in high().hosts:
        assert [node.kind for node in high().named(host.name)] == [*ENGINES, *SERVICES]


def test_a_plan_is_the_same_when_it_is_read_again(tmp_path: Path):
    """A second start finds the ports and hosts of the first."""
    for plan in (small(), high()):
        plan.write(tmp_path / "cluster.json")
        assert Plan.read(tmp_path / "cluster.json") == plan
    (tmp_path / "cluster.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="another version"):
        Plan.read(tmp_path / "cluster.json")


def test_names_mean_a_process_a_kind_a_host_or_all():
    """Faults can name one process, all of a kind, all on a host, or everything; other names are refused."""
    plan = high()
    assert [node.name for node in plan.named("kafka-2")] == ["kafka-2"]
    assert plan.named("processing") == plan.of(Kind.PROCESSING)
    assert {node.host for node in plan.named("host-3")} == {"host-3"}
    assert plan.named("all") == list(plan.nodes)
    for nothing in ("", "kafka-4"):
        with pytest.raises(KeyError):
            plan.named(nothing)
    with pytest.raises(KeyError):
        small().named("")


def test_brokers_lose_nothing_that_a_majority_has(tmp_path: Path):
    """Three brokers want two in-sync replicas and no unclean election; all name the same voters."""
    starter = Starter(high(), tmp_path, HERE)
    nodes = [starter.kafka_node(node) for node in high().of(Kind.KAFKA)]
    written = [kafka.properties(node, nodes) for node in nodes]
    assert {one["min.insync.replicas"] for one in written} == {"2"}
    assert {one["default.replication.factor"] for one in written} == {"3"}
    assert {one["unclean.leader.election.enable"] for one in written} == {"false"}
    assert {one["controller.quorum.voters"] for one in written} == {
        "1@10.77.9.1:9093,2@10.77.9.2:9093,3@10.77.9.3:9093"
    }
    alone = kafka.properties(nodes[0], nodes[:1])
    assert (alone["min.insync.replicas"], alone["default.replication.factor"]) == ("1", "1")


def test_primaries_commit_on_two_nodes_or_not_at_all(tmp_path: Path):
    """Patroni runs in strict quorum mode, and its times fit each other."""
    tools = Tools(tmp_path, system=False)
    (tmp_path / "bin").mkdir()
    for program in ("postgres", "initdb", "pg_ctl"):
        (tmp_path / "bin" / program).touch(mode=0o755)
    node = postgres.PostgresNode("postgres-1", "10.77.9.1", 5432, tmp_path, 8008)
    settings = postgres.patroni_settings(tools, node, high().endpoints(Kind.ETCD), ["10.77.9.254/24"])
    agreed = settings["bootstrap"]["dcs"]
    assert (agreed["synchronous_mode"], agreed["synchronous_mode_strict"]) == ("quorum", True)
    assert agreed["ttl"] >= agreed["loop_wait"] + 2 * agreed["retry_timeout"]
    assert agreed["postgresql"]["parameters"]["synchronous_commit"] == "on"
    assert settings["etcd3"]["hosts"] == ["10.77.9.1:2379", "10.77.9.2:2379", "10.77.9.3:2379"]
    assert "host all all 10.77.9.254/24 trust" in settings["postgresql"]["pg_hba"]


def test_each_service_gets_a_file_with_its_engines_and_its_own_role(tmp_path: Path):
    """Every process finds all engines, listens where the plan says, and has its own service's rights."""
    services.write_all(high(), tmp_path)
    roles = {}
    for node in high().of(*SERVICES):
        written = tomllib.loads((tmp_path / node.name / "veltrix.toml").read_text())
        assert written["kafka"]["bootstrap_servers"] == high().endpoints(Kind.KAFKA)
        assert (written["kafka"]["replication"], written["kafka"]["min_insync"]) == (3, 2)
        assert written["postgres"]["hosts"] == high().endpoints(Kind.POSTGRES)
        assert written["etcd"]["endpoints"] == high().endpoints(Kind.ETCD)
        listens = written["http" if node.kind is Kind.REGISTRATION else "operations"]
        assert f"{listens['host']}:{listens['port']}" == node.endpoint(*node.ports)
        roles[node.kind] = written["postgres"]["user"]
    assert roles == {
        Kind.PROCESSING: "veltrix_processing",
        Kind.TICKER: "veltrix_processing",
        Kind.NOTIFICATION: "veltrix_notification",
        Kind.REGISTRATION: "veltrix_registration",
    }


def test_a_missing_engine_is_named_with_what_to_do():
    """Without engines each program's absence names the engine and how to get it."""
    for find, engine in (
        (HERE.kafka, "Kafka"),
        (HERE.etcd, "etcd"),
        (HERE.patroni, "Patroni"),
        (HERE.postgres_programs, "PostgreSQL"),
    ):
        with pytest.raises(EngineMissing, match="make engines") as raised:
            find()
        assert raised.value.engine == engine


def test_the_newest_of_debians_versions_is_taken(tmp_path: Path, monkeypatch):
    """Among several versions of PostgreSQL the highest number wins, not the last in the alphabet."""
    for version in ("9", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        for program in ("initdb", "pg_ctl"):
            (tmp_path / version / "bin" / program).touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    tools = Tools(Path("/nowhere"), debian=tmp_path)
    assert tools.postgres_programs() == tmp_path / "17" / "bin"
