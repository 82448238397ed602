"""Alerts about what Veltrix stands on, as its processes see it: engines, disks, certificates."""

from __future__ import annotations

from typing import Final

from veltrix.observability.rules.model import Alert, Group, Severity

_DAY_S: Final = 86_400
_GIB: Final = 2**30


def _lost(name: str, called: str, engine: str, summary: str) -> Alert:
    """Nobody who asks an engine gets an answer: its majority is gone, or the way there."""
    asked = f'veltrix_engine_up{{engine="{called}"}}'
    return Alert(
        name=name,
        severity=Severity.CRITICAL,
        expr=f"max({asked}) == 0",
        hold="20s",
        summary=summary,
        description=f"No process gets an answer from {engine}.",
    )


def _certificate(severity: Severity, days: int) -> Alert:
    return Alert(
        name="VeltrixCertificateExpires",
        severity=severity,
        expr=f"veltrix_certificate_not_after_timestamp_seconds - time() < {days} * {_DAY_S}",
        hold="0s",
        summary=f"A certificate ends within {days} days.",
        description=(
            "The certificate in {{ $labels.setting }} of {{ $labels.instance }} ends in "
            "{{ $value | humanizeDuration }}."
        ),
    )


ENGINES: Final = Group(
    "veltrix-engines",
    "15s",
    [
        _lost(
            "VeltrixKafkaLost",
            "log",
            "Kafka",
            "Kafka does not answer: nothing is taken in, nothing is decided.",
        ),
        _lost(
            "VeltrixPostgresLost",
            "ledger",
            "PostgreSQL",
            "PostgreSQL does not answer: commands are taken in and wait.",
        ),
        _lost(
            "VeltrixEtcdLost",
            "etcd",
            "etcd",
            "etcd does not answer: deciding goes on, but nobody can take over from who dies.",
        ),
        Alert(
            name="VeltrixEngineUnreachable",
            severity=Severity.WARNING,
            expr="veltrix_engine_up == 0 and on (engine) max by (engine) (veltrix_engine_up) == 1",
            hold="1m",
            summary="A process does not reach an engine that others do.",
            description=(
                "{{ $labels.instance }} ({{ $labels.service }}) gets no answer from {{ $labels.engine }}."
            ),
        ),
        Alert(
            name="VeltrixBrokerDown",
            severity=Severity.WARNING,
            expr="max by (broker) (veltrix_kafka_broker_up) == 0",
            hold="1m",
            summary="A broker is gone: with a second one, nothing can be taken in any more.",
            description="Nobody is connected to the broker {{ $labels.broker }}.",
        ),
        Alert(
            name="VeltrixFailovers",
            severity=Severity.WARNING,
            expr="max by (database) (increase(veltrix_postgres_failovers_total[1h])) > 1.5",
            hold="0s",
            summary="The primary of PostgreSQL changes again and again.",
            description=(
                'The primary of the {{ $labels.database }} changed {{ printf "%.0f" $value }} times '
                "within the hour."
            ),
        ),
        Alert(
            name="VeltrixPoolExhausted",
            severity=Severity.WARNING,
            expr="min_over_time(veltrix_postgres_pool_waiting[1m]) > 0",
            hold="1m",
            summary="Calls wait for a connection to PostgreSQL all the time.",
            description="{{ $value }} calls of {{ $labels.instance }} wait for the {{ $labels.database }}.",
        ),
        Alert(
            name="VeltrixConnectsFail",
            severity=Severity.WARNING,
            expr="sum by (instance, why) (rate(veltrix_postgres_connects_failed_total[5m])) > 0.1",
            hold="2m",
            summary="Connections to PostgreSQL cannot be made.",
            description=(
                '{{ $labels.instance }} fails {{ printf "%.1f" $value }} times a second: {{ $labels.why }}.'
            ),
        ),
        Alert(
            name="VeltrixDiskFull",
            severity=Severity.CRITICAL,
            expr=f"veltrix_storage_free_bytes < {_GIB}",
            hold="1m",
            summary="A disk is nearly full: soon nothing is taken in.",
            description=(
                "{{ $value | humanize1024 }}B are left for {{ $labels.directory }} of {{ $labels.instance }}."
            ),
        ),
        Alert(
            name="VeltrixDiskFills",
            severity=Severity.WARNING,
            expr=(
                f"predict_linear(veltrix_storage_free_bytes[6h], {_DAY_S}) < 0\n"
                f"and veltrix_storage_free_bytes < {50 * _GIB}"
            ),
            hold="30m",
            summary="A disk will be full within a day.",
            description="What holds {{ $labels.directory }} of {{ $labels.instance }} fills up.",
        ),
        _certificate(Severity.WARNING, 21),
        _certificate(Severity.CRITICAL, 3),
    ],
)
