"""A Kafka broker of the tests' own: killed, paused, and asked in secret (TLS, SASL)."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conformance.on_kafka import prepared, settings_for
from tests.engines import Running, directory_for, free_port, listens, running, unavailable
from veltrix.adapters.kafka import KafkaLog, KafkaSettings, inspect_topics, prepare_topics
from veltrix.cluster import kafka
from veltrix.cluster.tools import EngineMissing, Tools
from veltrix.ports.errors import OutcomeUnknown, PortError, Unavailable
from veltrix.ports.log import Appended, Record

pytestmark = pytest.mark.timeout(300)  # a broker starts in 4 s, or in 30 where much else goes on


def _issue(directory: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None):
    """A key and a certificate, signed by the issuer or by itself, as NAME.key and NAME.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{name}.pem").write_bytes(pem)
    (directory / f"{name}.key").write_bytes(private)
    (directory / f"{name}.both").write_bytes(private + pem)
    return certificate, key


@dataclass
class Broker:
    """A broker that tests may kill and start again; it listens in clear, with TLS and with SASL."""

    start: list[str]
    log: Path
    directory: Path
    ports: dict[str, int]
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: Running | None = None

    def address(self, listener: str = "CLIENT") -> str:
        """Where a listener is."""
        return f"127.0.0.1:{self.ports[listener]}"

    def launch(self) -> Running:
        """Start it unless it runs. Not from a thread: its leash would end with that thread."""
        if self._running is None:
            self._running = self._stack.enter_context(running(self.start, self.log))
        return self._running

    def begin(self) -> None:
        """Start it unless it runs, and return once it answers."""
        self.launch().wait_until(self.answers, "Kafka")

    def kill(self) -> None:
        """As a power cut would."""
        self._stack.close()
        self._running = None

    def signal(self, which: signal.Signals) -> None:
        """Pause it, or let it go on."""
        assert self._running is not None
        os.kill(self._running.process.pid, which)

    def answers(self) -> bool:
        if not listens("127.0.0.1", self.ports["CLIENT"]):
            return False
        try:
            admin = AdminClient({"bootstrap.servers": self.address(), "log_level": 0})
            return bool(admin.list_topics(timeout=2).brokers)
        except Exception:  # not yet
            return False


_JAAS = "org.apache.kafka.common.security"


def _secured(properties: dict[str, str], directory: Path, ports: dict[str, int]) -> dict[str, str]:
    """The same broker with a TLS listener that wants certificates, and a TLS listener that wants SASL."""
    authority = _issue(directory, "authority", None)
    for name in ("broker", "client"):
        _issue(directory, name, authority)
    listeners = f"TLS://127.0.0.1:{ports['TLS']},SASL://127.0.0.1:{ports['SASL']}"
    protocols = "TLS:SSL,SASL:SASL_SSL"
    added = {
        "listeners": f"{properties['listeners']},{listeners}",
        "advertised.listeners": f"{properties['advertised.listeners']},{listeners}",
        "listener.security.protocol.map": f"{properties['listener.security.protocol.map']},{protocols}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.both"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "authority.pem"),
        "listener.name.tls.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{_JAAS}.plain.PlainLoginModule required user_veltrix="in plain";'
        ),
    }
    return properties | added


@pytest.fixture(scope="module")
def module_broker(engine_tools: Tools) -> Iterator[Broker]:
    """One broker for this module, which they may leave dead."""
    with directory_for("kafka") as directory:
        ports = {name: free_port() for name in ("CLIENT", "TLS", "SASL", "CONTROLLER")}
        node = kafka.KafkaNode(1, "127.0.0.1", ports["CLIENT"], ports["CONTROLLER"], directory)
        path = directory / "server.properties"
        properties = _secured(kafka.properties(node, [node]), directory, ports)
        path.write_text("\n".join(f"{name}={value}" for name, value in properties.items()) + "\n")
        try:
            made = kafka.format_command(engine_tools, path, "VeltrixBrokenTestsAAAA")
            start = kafka.start_command(engine_tools, path, heap_mib=256)
        except EngineMissing as missing:
            unavailable(missing)
        start[1:1] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        subprocess.run(made, check=True, capture_output=True)
        broker = Broker(start, directory / "log", directory, ports)
        yield broker
        broker.kill()


@pytest.fixture
def own_broker(module_broker: Broker) -> Broker:
    """It, running."""
    module_broker.begin()
    return module_broker


async def _all(log: KafkaLog, count: int) -> list[bytes]:
    """So many values from the start; tries again while it cannot be read."""
    found: list[bytes] = []
    while len(found) < count:
        try:
            found += [record.value for record in await log.read(0, len(found), 500, 1)]
        except Unavailable:
            await asyncio.sleep(0)
    return found


async def test_a_killed_broker_loses_nothing_acknowledged(own_broker: Broker, tmp_path: Path):
    """Killed and started again under appends: each acknowledged record stands at its offset, each caller's
    in order, offsets without a gap, and a reader goes on where it was."""
    settings = await prepared(tmp_path, own_broker.address(), delivery_timeout_s=120.0)
    log = await KafkaLog.open(settings)
    reader = await KafkaLog.open(settings, write=False)
    acknowledged: dict[int, bytes] = {}
    stopping, flowing = asyncio.Event(), asyncio.Event()

    async def caller(name: int) -> list[int]:
        offsets: list[int] = []
        while not stopping.is_set():
            value = b"%d/%d" % (name, len(offsets))
            appended = await log.append(0, Record(value))
            assert acknowledged.setdefault(appended.offset, value) is value
            offsets.append(appended.offset)
            if len(acknowledged) % 500 == 0:
                flowing.set()
        return offsets

    seen: list[bytes] = []
    more = asyncio.Event()

    async def follow() -> None:
        while True:
            try:
                found = await reader.read(0, len(seen), 200, 0.1)
            except Unavailable:
                await asyncio.sleep(0)
                continue
            assert [record.offset for record in found] == list(range(len(seen), len(seen) + len(found)))
            seen.extend(record.value for record in found)
            more.set()

    following = asyncio.create_task(follow())
    callers = [asyncio.create_task(caller(name)) for name in range(20)]
    try:
        await flowing.wait()
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.launch().wait_until, own_broker.answers, "Kafka")
        flowing.clear()
        await flowing.wait()
        stopping.set()
        for offsets in await asyncio.gather(*callers):
            assert offsets == sorted(offsets)
        _, end = await log.bounds(0)
        values = await _all(log, end)
        assert {offset: values[offset] for offset in acknowledged} == acknowledged
        assert len(values) == end == len(set(values)), "nothing came twice"
        async with asyncio.timeout(30):
            while len(seen) < end:
                more.clear()
                await more.wait()
        assert seen == values
    finally:
        following.cancel()
        for task in callers:
            task.cancel()
        await asyncio.gather(following, *callers, return_exceptions=True)
        await log.close()
        await reader.close()


async def until_taken(log: KafkaLog, value: bytes) -> Appended:
    """Append it, again where its time was not enough: a producer's first record may need more."""
    while True:
        try:
            return await log.append(0, Record(value))
        except PortError:
            await asyncio.sleep(0)


async def test_a_silent_broker_ends_appends_in_time(own_broker: Broker, tmp_path: Path):
    """Past the delivery time-out: unknown for what was handed over, unavailable for what never left, and
    that is surely not in the log. Reading and asking say unavailable too, and all goes on afterwards."""
    settings = await prepared(tmp_path, own_broker.address(), delivery_timeout_s=1.0)
    log = await KafkaLog.open(settings)
    loop = asyncio.get_running_loop()
    try:
        before = await until_taken(log, b"before")
        assert len(await log.read(0, before.offset, 10, 0)) == 1
        own_broker.signal(signal.SIGSTOP)
        try:
            began_s = loop.time()
            sent = [asyncio.create_task(log.append(0, Record(b"under way")))]
            for _ in range(3):
                await asyncio.sleep(0)  # let it go out
            sent += [asyncio.create_task(log.append(0, Record(b"left"))) for _ in range(5)]
            first, *others = await asyncio.gather(*sent, return_exceptions=True)
            assert isinstance(first, OutcomeUnknown), first
            assert all(isinstance(other, Unavailable) for other in others), others
            assert loop.time() - began_s < 5
            with pytest.raises(Unavailable):
                await log.bounds(1)
        finally:
            own_broker.signal(signal.SIGCONT)
        last = await until_taken(log, b"after")
        values = await _all(log, last.offset + 1)
        assert (values[0], values[-1]) == (b"before", b"after")
        assert b"left" not in values
        assert values.count(b"under way") <= 1
    finally:
        await log.close()


async def test_no_broker_is_unavailable(tmp_path: Path):
    """Nothing listens: opening, asking and making topics end with an error that says so, in bounded time."""
    settings = settings_for(tmp_path, f"127.0.0.1:{free_port()}")
    async with asyncio.timeout(30):
        results = await asyncio.gather(
            KafkaLog.open(settings),
            inspect_topics(settings),
            prepare_topics(settings, partitions=1, replication=1, min_insync=1, reply_partitions=1),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [Unavailable] * 3


@pytest.fixture
async def trusted(own_broker: Broker, tmp_path: Path) -> AsyncIterator[KafkaSettings]:
    """Topics that were made in clear, and a user for SCRAM."""
    admin = AdminClient({"bootstrap.servers": own_broker.address()})
    user = UserScramCredentialUpsertion(
        "veltrix", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"in secret"
    )
    for made in admin.alter_user_scram_credentials([user]).values():
        await asyncio.wrap_future(made)
    yield await prepared(tmp_path, own_broker.address())


async def carries(settings: KafkaSettings) -> bool:
    """Whether a record goes there and back."""
    log = await KafkaLog.open(settings)
    try:
        appended = await log.append(0, Record(b"secret"))
        found = await log.read(0, appended.offset, 1, 5)
        return [record.value for record in found] == [b"secret"]
    finally:
        await log.close()


async def test_tls_and_sasl_protect_the_way(own_broker: Broker, trusted: KafkaSettings):
    """A client certificate, SCRAM over TLS and PLAIN over TLS each carry records."""
    files = own_broker.directory
    common: dict[str, Any] = {"topic_prefix": trusted.topic_prefix, "ca_file": files / "authority.pem"}
    certificate: dict[str, Any] = {"certificate_file": files / "client.pem", "key_file": files / "client.key"}
    assert await carries(KafkaSettings((own_broker.address("TLS"),), "tls", **common, **certificate))
    sasl = (own_broker.address("SASL"),)
    scram = KafkaSettings(sasl, "sasl+tls", "SCRAM-SHA-512", "veltrix", "in secret", **common)
    assert await carries(scram)
    assert await carries(KafkaSettings(sasl, "sasl+tls", "PLAIN", "veltrix", "in plain", **common))


async def test_who_is_not_trusted_is_not_served(own_broker: Broker, trusted: KafkaSettings):
    """A wrong password, no certificate, and an authority that is not ours: unavailable, in bounded time."""
    files = own_broker.directory
    _issue(files, "stranger", None)
    ours: dict[str, Any] = {"topic_prefix": trusted.topic_prefix, "ca_file": files / "authority.pem"}
    strange = ours | {"ca_file": files / "stranger.pem"}
    tls, sasl = (own_broker.address("TLS"),), (own_broker.address("SASL"),)
    wrong = [
        KafkaSettings(tls, "tls", **ours),
        KafkaSettings(sasl, "sasl+tls", "SCRAM-SHA-512", "veltrix", "guessed", **ours),
        KafkaSettings(sasl, "sasl+tls", "PLAIN", "veltrix", "in plain", **strange),
    ]
    async with asyncio.timeout(60):
        results = await asyncio.gather(*(KafkaLog.open(each) for each in wrong), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3, results
