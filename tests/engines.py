"""Real engines for tests: one of each for the whole run, started when a test first asks for it.

Where an engine cannot be had, the tests that need it are skipped, and one loud line at the end names it. With
VELTRIX_REQUIRE_ENGINES=1 they fail instead. `make engines` gets the engines.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from veltrix.cluster import etcd, kafka, postgres
from veltrix.cluster.tools import EngineMissing, Tools, unprivileged

# Taken out of the environment: Veltrix itself refuses variables of its prefix that it does not know.
REQUIRED = os.environ.pop("VELTRIX_REQUIRE_ENGINES", "") not in ("", "0")
START_S = 60.0

_missing: dict[str, str] = {}


class PostgresServer(NamedTuple):
    """Where the server is; its superuser needs no password."""

    host: str
    port: int
    superuser: str


@dataclass
class Running:
    """A process that a test started, with what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Until it answers; fails with the end of its log when it does not."""
        deadline_s = time.monotonic() + START_S
        while not ready():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline_s:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                state = "runs" if ended is None else f"ended with {ended}"
                pytest.fail(f"{what} does not answer; it {state}:\n{tail}", pytrace=False)
            time.sleep(0.05)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], log: Path, end: signal.Signals = signal.SIGKILL) -> Iterator[Running]:
    """A process that ends with the block, and also when pytest itself is killed. Its data is thrown away."""
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*leash, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield Running(process, log)
    finally:
        process.send_signal(end)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def directory_for(engine: str) -> Iterator[Path]:
    """A directory that other users can enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix=f"veltrix-test-{engine}-", dir="/var/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def answers_http(url: str) -> bool:
    """Whether something answers well there."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def unavailable(missing: EngineMissing) -> NoReturn:
    """Skip what needs the engine, and remember to say so; or fail where engines are required."""
    if REQUIRED:
        pytest.fail(f"VELTRIX_REQUIRE_ENGINES: {missing}", pytrace=False)
    _missing[missing.engine] = str(missing)
    pytest.skip(f"{missing.engine} is missing")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One loud line for each engine that was missing."""
    for text in _missing.values():
        terminalreporter.write_line(f"!!! NOT TESTED: {text}", red=True, bold=True)


@pytest.fixture(scope="session")
def engine_tools() -> Tools:
    """Where the engines' programs are."""
    return Tools.here()


@pytest.fixture(scope="session")
def kafka_broker(engine_tools: Tools) -> Iterator[str]:
    """One Kafka broker, as "host:port"."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    with directory_for("kafka") as directory:
        node = kafka.KafkaNode(1, "127.0.0.1", free_port(), free_port(), directory)
        try:
            configuration = kafka.write_properties(node, [node])
            made = kafka.format_command(engine_tools, configuration, "VeltrixTestsAAAAAAAAAA")
            start = kafka.start_command(engine_tools, configuration, heap_mib=256)
        except EngineMissing as missing:
            unavailable(missing)
        subprocess.run(made, check=True, capture_output=True)

        def ready() -> bool:
            if not listens(node.host, node.port):
                return False
            try:
                return bool(AdminClient({"bootstrap.servers": node.address}).list_topics(timeout=2).brokers)
            except KafkaException:
                return False

        with running(start, directory / "log") as broker:
            broker.wait_until(ready, "Kafka")
            yield node.address


@pytest.fixture(scope="session")
def postgres_server(engine_tools: Tools) -> Iterator[PostgresServer]:
    """One PostgreSQL server."""
    with directory_for("postgres") as directory:
        node = postgres.PostgresNode("postgres", "127.0.0.1", free_port(), directory)
        try:
            account = unprivileged()
            account.own(directory)
            make = account.run(postgres.init_command(engine_tools, node))
            # A test's data need not outlive a power cut.
            start = postgres.start_command(
                engine_tools, node, {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            )
            isready = str(engine_tools.postgres("pg_isready"))
        except EngineMissing as missing:
            unavailable(missing)
        subprocess.run([*make, "--no-sync"], check=True, capture_output=True, cwd=directory)

        def ready() -> bool:
            probe = [
                isready,
                "--quiet",
                "--host",
                node.host,
                "--port",
                str(node.port),
                "-U",
                "postgres",
                "-d",
                "postgres",
            ]
            return subprocess.run(probe, check=False).returncode == 0

        with running(account.run(start), directory / "log", signal.SIGQUIT) as server:
            server.wait_until(ready, "PostgreSQL")
            yield PostgresServer(node.host, node.port, postgres.SUPERUSER)


@pytest.fixture(scope="session")
def etcd_server(engine_tools: Tools) -> Iterator[str]:
    """One etcd member, as "host:port"."""
    with directory_for("etcd") as directory:
        member = etcd.EtcdMember("etcd", "127.0.0.1", free_port(), free_port(), directory)
        try:
            start = etcd.start_command(engine_tools, member, [member], "veltrix-tests")
        except EngineMissing as missing:
            unavailable(missing)
        with running(start, directory / "log") as server:
            server.wait_until(lambda: answers_http(f"http://{member.address}/health"), "etcd")
            yield member.address


def listens(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
