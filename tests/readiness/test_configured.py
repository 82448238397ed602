"""What the configuration alone gives away."""

from dataclasses import replace

import pytest

from tests.readiness.fitting import about, codes, configured
from veltrix.adapters.kafka.settings import KafkaSettings, durable_producer
from veltrix.readiness.configured import judge_configuration, judge_open_files

FAR = "192.0.2.7"


def test_the_flawless_configuration_has_no_finding():
    """What the other tests change is without a finding before."""
    assert list(judge_configuration(configured().config)) == []


@pytest.mark.parametrize(
    ("variables", "code", "shown"),
    [
        ({"http_host": FAR, "http_public_url": None}, "http_in_clear", FAR),
        ({"http_public_url": "http://tickets.example.org"}, "public_url", "http://tickets.example.org"),
        ({"http_public_url": None}, "public_url", "not set"),
        ({"http_trusted_proxies": None}, "trusted_proxies", "none"),
        ({"operations_host": FAR}, "operations_open", FAR),
        ({"notification_channel": "spool"}, "nobody_told", "spool"),
        ({"smtp_security": "none"}, "smtp_in_clear", "none"),
        ({"notification_lease": "40 s"}, "notice_lease", "40 s against 30 s + 10 s"),
        (
            {"kafka_security": "sasl"},
            "kafka_in_clear",
            "kafka-1:9092, kafka-2:9092",
        ),
        (
            {"kafka_security": "tls", "kafka_username": None, "kafka_password": None},
            "kafka_nobody",
            "neither is set",
        ),
        ({"postgres_tls": "disable"}, "postgres_in_clear", "disable to pg-1:5432"),
        ({"postgres_tls": "require"}, "postgres_in_clear", "require to pg-1:5432"),
        (
            {"etcd_ca_file": None, "etcd_username": None, "etcd_password": None},
            "etcd_in_clear",
            "etcd-1:2379",
        ),
        ({"etcd_username": None, "etcd_password": None}, "etcd_nobody", "neither is set"),
        ({"kafka_bootstrap_servers": "kafka-1:9092"}, "one_address", "kafka-1:9092"),
        ({"postgres_hosts": "pg-1:5432"}, "one_address", "pg-1:5432"),
        ({"postgres_vault_hosts": "vault-1:5432"}, "one_address", "vault-1:5432"),
        ({"etcd_endpoints": "etcd-1:2379"}, "one_address", "etcd-1:2379"),
        ({"postgres_vault_hosts": None}, "vault_beside_ledger", "the ledger's servers"),
        ({"kafka_replication": "2"}, "replication", "2"),
        ({"kafka_min_insync": "1"}, "min_insync", "1"),
        ({"kafka_min_insync": "3"}, "min_insync", "3 of 3"),
        ({"kafka_delivery_timeout": "3 s"}, "delivery_timeout", "3 s"),
        ({"kafka_delivery_timeout": "45 s"}, "outlives_clients", "45 s, 10 s"),
        ({"http_wait_default": "60 s"}, "outlives_clients", "10 s, 60 s"),
        ({"postgres_statement_timeout": "30 s", "notification_lease": "2 min"}, "statement_timeout", "30 s"),
        ({"etcd_call_timeout": "1500 ms"}, "call_timeout", "1.5 s against 2 s"),
        ({"etcd_lease_ttl": "20 s"}, "lease_ttl", "20 s"),
    ],
)
def test_each_flaw_is_found_with_its_value(variables, code, shown):
    """One flaw gives its finding, which shows the present value, and why, and what to do."""
    found = list(judge_configuration(configured(**variables).config))
    assert code in codes(found)
    assert any(shown in each for each in about(found, code)), about(found, code)
    assert all(finding.why and finding.remedy for finding in found)
    assert "pw" not in str(found).replace("pwd", "")


def test_a_single_machine_is_said_to_be_one():
    """Without engines there is one copy of everything, and nothing else about engines is said."""
    engines = {"kafka_bootstrap_servers": None, "postgres_hosts": None, "etcd_endpoints": None}
    found = list(judge_configuration(configured(**engines).config))
    assert codes(found) == {"single_machine"}


def test_what_stays_on_this_machine_may_be_in_clear():
    """On the loopback nobody is asked for TLS or a login."""
    found = judge_configuration(
        configured(
            kafka_bootstrap_servers="127.0.0.1:9092,localhost:9093",
            kafka_security="plaintext",
            kafka_username=None,
            kafka_password=None,
            postgres_hosts="127.0.0.1:5432,127.0.0.1:5433",
            postgres_vault_hosts="[::1]:5434,127.0.0.1:5435",
            postgres_tls="disable",
            etcd_endpoints="127.0.0.1:2379,127.0.0.1:2380",
            etcd_ca_file=None,
            etcd_username=None,
            etcd_password=None,
        ).config
    )
    assert codes(found) == set()


def test_open_files_are_counted_against_held_requests():
    """A limit below the requests held open, with some to spare, is a finding; none, or a high one, is not."""
    config = configured().config
    assert codes(judge_open_files(config, 1_024)) == {"open_files"}
    assert codes(judge_open_files(config, 65_536)) == set()
    assert codes(judge_open_files(config, -1)) == set()


def test_no_setting_weakens_an_acknowledgement():
    """Whatever is configured, commands are acknowledged by all in-sync replicas, once."""
    settings = KafkaSettings(("kafka-1:9092",), delivery_timeout_s=1.0)
    for each in (settings, replace(settings, security="tls", client_id="other", topic_prefix="x")):
        producer = durable_producer(each)
        assert producer["acks"] == "all"
        assert producer["enable.idempotence"] is True
