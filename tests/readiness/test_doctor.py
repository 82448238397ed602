"""What the doctor makes of what it sees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from veltrix.bootstrap.observing import not_after_s
from veltrix.readiness import canary
from veltrix.readiness.canary import Door, Refused, told
from veltrix.readiness.checkup import State, of_findings
from veltrix.readiness.doctor import EXPIRES_SOON_S, judge_expiry
from veltrix.readiness.findings import advice, danger, unknown


@pytest.mark.parametrize(
    ("left_s", "state"),
    [(-10.0, State.ILL), (10.0, State.POOR), (EXPIRES_SOON_S - 1, State.POOR), (EXPIRES_SOON_S, State.WELL)],
)
def test_certificates_are_judged_by_the_time_that_is_left(left_s, state):
    """Expired is ill, soon is poor, both with what to do."""
    look = judge_expiry("kafka.ca_file", 1_000_000.0 + left_s, now_s=1_000_000.0)
    assert look.state is state
    assert bool(look.remedy) == (state is not State.WELL)


def certificate(ends: datetime) -> bytes:
    """A certificate of nobody, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=10))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_the_first_certificate_of_a_file_to_end_counts(tmp_path: Path):
    """A file of several is as good as the one that ends first; what is no certificate is an error."""
    soon, late = datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
    file = tmp_path / "ca.pem"
    file.write_bytes(certificate(late) + certificate(soon))
    assert not_after_s(file) == soon.timestamp()
    file.write_bytes(b"no certificate")
    with pytest.raises(ValueError, match=r".+"):
        not_after_s(file)


def test_what_only_matters_in_production_is_poor():
    """One broker works; brokers that do not answer, or keep no records, do not. Each is told once."""
    found = [
        danger("kafka_brokers", "brokers", 1, "why", "run three"),
        danger("kafka_unreachable", "Kafka", "silent", "why", "start it"),
        unknown("kafka_unreachable", "Kafka's topics", "silent", "why", "start it"),
        advice("clock_skew", "the clock", "1.2 s", "why", "NTP"),
        danger("clock_skew", "the other clock", "9 s", "why", "NTP"),
    ]
    looks = of_findings([*found, *found])
    assert [look.state for look in looks] == [State.POOR, State.ILL, State.ILL, State.POOR, State.ILL]


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([("email", "accepted", "")], State.WELL),
        ([("email", "accepted", ""), ("webhook", "accepted", "")], State.WELL),
        ([("email", "dead", "gave up after 8 attempts")], State.ILL),
        ([("email", "refused", "550 no such user")], State.ILL),
        ([("email", "pending", "421 try later")], State.ILL),
        ([], State.ILL),
    ],
)
async def test_the_canarys_notice_is_waited_for_and_judged(statuses, state):
    """Accepted by every channel is well; refused, given up, still pending and never planned are ill, each
    with what is known of it."""

    async def read(registration: str) -> list[tuple[str, str, str]]:
        assert registration == "reg_1"
        return list(statuses)

    look = await told("reg_1", read, within_s=0.01)
    assert look.state is state
    for channel, status, why in statuses if state is State.ILL else ():
        assert channel in look.said and status in look.said and why in look.said


async def test_a_notice_that_comes_a_little_later_is_well(monkeypatch: pytest.MonkeyPatch):
    """It is asked again until it is accepted."""
    monkeypatch.setattr(canary, "_POLL_S", 0.0)
    answers = iter([[], [("email", "attempting", "")], [("email", "accepted", "")]])

    async def read(registration: str) -> list[tuple[str, str, str]]:
        return next(answers)

    assert (await told("reg_1", read, within_s=10)).state is State.WELL


async def test_a_door_that_nobody_opens_is_a_refusal():
    """A port without a server is told as such, not raised as an error of the network."""
    with pytest.raises(Refused, match="does not answer"):
        await asyncio.to_thread(Door("http://127.0.0.1:1", "key").ask, "GET", "/readyz")
