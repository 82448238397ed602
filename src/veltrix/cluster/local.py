"""A cluster on this machine: start, stop, look, and let faults befall it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from veltrix.cluster import probes
from veltrix.cluster.network import Network, NetworkError, Way, free_subnet, why_not
from veltrix.cluster.plan import (
    ENGINES,
    SERVICES,
    Kind,
    Node,
    Plan,
    Profile,
    free_ports,
    make_plan,
    with_ports,
)
from veltrix.cluster.postgres import forget_postmaster, postmaster_pid
from veltrix.cluster.processes import Process, Registry, family, find, stop_all
from veltrix.cluster.starting import Starter, run_first
from veltrix.cluster.tools import Tools

PLAN_FILE: Final = "cluster.json"
READY_S: Final = 180.0
STOP_S: Final = 20.0
_POLL_S: Final = 0.2

T = TypeVar("T")
Tell = Callable[[str, int, int], None]


class ClusterError(Exception):
    """The cluster cannot do what it was asked; the text says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Status:
    """A node as `veltrix cluster status` shows it.

    `state` is "ready", "starting" (it runs and does not do its work yet, or no more), "unreachable" (its host
    is cut off), "paused", "dead" (it ended and nobody asked it to) or "down".
    """

    node: Node
    pid: int | None
    state: str
    role: str
    leads: bool
    network: str


def _relay(host: str) -> str:
    return f"delay-{host}"


def _end(processes: Sequence[Process]) -> None:
    for process in processes:
        process.send(signal.SIGKILL)
    for process in processes:
        process.wait_gone(STOP_S)


def _silent(_: str, __: int, ___: int) -> None:
    """Tells nobody how far it is."""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """The processes of a plan, below a directory."""

    plan: Plan
    directory: Path
    tools: Tools

    @classmethod
    def create(
        cls, directory: Path, tools: Tools, profile: Profile, hosts: int = 0, processing: int = 0
    ) -> tuple[LocalCluster, str]:
        """A new cluster, and why it has no test hosts where some were asked for. Nothing is started yet."""
        why = why_not() if hosts else ""
        if hosts and not why:
            plan = make_plan(profile, hosts, free_subnet(), processing=processing)
        else:
            plan = with_ports(make_plan(profile, 0, processing=processing), free_ports)
        cluster = cls(plan, directory, tools)
        cluster.starter.check()
        directory.mkdir(parents=True, exist_ok=True)
        plan.write(directory / PLAN_FILE)
        return cluster, why

    @classmethod
    def open(cls, directory: Path, tools: Tools) -> LocalCluster:
        """The cluster that was made here."""
        try:
            return cls(Plan.read(directory / PLAN_FILE), directory, tools)
        except FileNotFoundError:
            raise ClusterError(
                f"there is no cluster in {directory}", "veltrix cluster up makes one"
            ) from None
        except ValueError as error:
            raise ClusterError(str(error), "veltrix cluster up --directory with another one") from error

    @property
    def starter(self) -> Starter:
        """How each process is started."""
        return Starter(self.plan, self.directory, self.tools)

    @property
    def registry(self) -> Registry:
        """The pid files and logs."""
        return Registry(self.directory)

    @property
    def network(self) -> Network:
        """The test hosts."""
        return Network(self.plan)

    # Starting

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second command from starting or stopping the same cluster at the same time."""
        with (self.directory / "lock").open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except OSError:
                raise ClusterError(
                    f"another command is starting or stopping the cluster in {self.directory}",
                    "wait until it is done",
                ) from None
            yield

    def up(self, tell: Tell = _silent, *, engines_only: bool = False) -> None:
        """Start what does not run, and wait until all of it does its work. What runs is left alone."""
        self.starter.check()
        with self.alone():
            self._network_up()
            self.starter.write_configuration()
            engines = self.plan.of(*ENGINES)
            self.start(engines)
            self.wait_ready(engines, tell)
            if engines_only:
                return
            self._prepare(tell)
            services = self.plan.of(*SERVICES)
            self.start(services)
            self.wait_ready(services, tell)

    def _network_up(self) -> None:
        try:
            self.network.up()
        except NetworkError as error:
            raise ClusterError(
                f"the test hosts cannot be made: {error}", "veltrix cluster up --hosts 0"
            ) from error

    def _prepare(self, tell: Tell) -> None:
        tell("preparing topics, roles and schemas", 0, 1)
        log = self.registry.log("prepare")
        with log.open("ab") as output:
            ran = subprocess.run(
                self.starter.prepare_command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if ran.returncode != 0:
            words = self.registry.last_words("prepare")
            raise ClusterError(f"preparing failed:\n{words}", f"see {log}, and repeat veltrix cluster up")

    def start(self, nodes: Sequence[Node]) -> None:
        """Start those that do not run, side by side; they get ready by themselves."""
        waiting = [node for node in nodes if self.registry.find(node.name) is None]
        if not waiting:
            return
        with ThreadPoolExecutor(len(waiting)) as pool:
            list(pool.map(self._start, waiting))

    def _start(self, node: Node) -> None:
        launch = self.starter.launch(node)
        if node.kind is Kind.POSTGRES and self.postmaster(node) is None:
            forget_postmaster(self.starter.postgres_node(node))
        try:
            run_first(launch, self.registry.log(node.name))
            inside = self.network.inside(node.host, launch.command)
            self.registry.start(node.name, inside, launch.directory, launch.environment or None)
        except (OSError, subprocess.CalledProcessError) as error:
            told = f"{node.name} cannot be started: {error}\n{self.registry.last_words(node.name)}"
            raise ClusterError(told, f"see {self.registry.log(node.name)}") from error

    def wait_ready(self, nodes: Sequence[Node], tell: Tell = _silent, timeout_s: float = READY_S) -> None:
        """Wait until all of them do their work."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            ready = self._ready(nodes)
            late = [node for node in nodes if node.name not in ready]
            waiting = ", ".join(node.name for node in late)
            tell(f"waiting for {waiting}" if late else "ready", len(ready), len(nodes))
            if not late:
                return
            ended = [node for node in late if self.registry.find(node.name) is None]
            if ended or time.monotonic() > deadline_s:
                node = (ended or late)[0]
                what = "ended" if ended else f"is not ready after {timeout_s:.0f} s"
                words = self.registry.last_words(node.name)
                raise ClusterError(f"{node.name} {what}:\n{words}", f"see {self.registry.log(node.name)}")
            time.sleep(_POLL_S)

    def _ready(self, nodes: Sequence[Node]) -> set[str]:
        """The names of those that do their work. Standbys do theirs only if one of them is synchronous."""
        seen = probes.see(self.starter, nodes)
        ready = {name for name, answer in seen.items() if answer.ready}
        databases = self.plan.of(Kind.POSTGRES)
        if self.plan.under_patroni and {node.name for node in databases} <= ready:
            roles = [seen[node.name].role for node in databases]
            if "primary" not in roles or "synchronous standby" not in roles:
                ready -= {node.name for node in databases}
        return ready

    # Looking

    def status(self, nodes: Sequence[Node] | None = None) -> list[Status]:
        """How all of it is, asked just now."""
        nodes = self.plan.nodes if nodes is None else nodes
        running = {node.name: self.registry.find(node.name) for node in nodes}
        seen = probes.see(self.starter, [node for node in nodes if running[node.name]])
        networks = {host.name: self.network.state(host.name) for host in self.plan.hosts}
        shown = []
        for node in nodes:
            process = running[node.name]
            answer = seen.get(node.name, probes.SILENT)
            network = networks.get(node.host, "")
            state = self._state(node, process, answer)
            if state == "starting" and network not in ("", "delayed"):
                state = "unreachable"
            role = answer.role if process else ""
            shown.append(Status(node, process.pid if process else None, state, role, answer.leads, network))
        return shown

    def _state(self, node: Node, process: Process | None, answer: probes.Seen) -> str:
        if process is None:
            return "dead" if self.registry.expected(node.name) else "down"
        if process.state == "paused":
            return "paused"
        return "ready" if answer.ready else "starting"

    def leader_of(self, kind: Kind) -> Node | None:
        """The node of an engine that the others follow: etcd's leader, Kafka's controller, the primary."""

        def alive(node: Node) -> bool:
            process = self.registry.find(node.name)
            return process is not None and process.state == "running"

        return probes.leader_of(self.starter, kind, alive)

    # Faults

    def processes(self, node: Node) -> list[Process]:
        """All processes of a node: of PostgreSQL the agent, the server, and the server's children."""
        process = self.registry.find(node.name)
        found = [process] if process else []
        if node.kind is Kind.POSTGRES:
            roots = [*found, *filter(None, [self.postmaster(node)])]
            found = list(dict.fromkeys(member for root in roots for member in family(root)))
        return found

    def postmaster(self, node: Node) -> Process | None:
        """The server of a PostgreSQL node, if it runs: its id is in a file that may be left from before."""
        it = self.starter.postgres_node(node)
        pid = postmaster_pid(it)
        process = find(pid) if pid else None
        if process is None:
            return None
        with suppress(OSError):
            if Path(f"/proc/{process.pid}/cwd").resolve() != it.data.resolve():
                return None  # the id belongs to somebody else by now
        return process

    def kill(self, nodes: Sequence[Node]) -> None:
        """End them at once, as a power cut would: kill -9, of all before any can react."""
        _end([process for node in nodes for process in self.processes(node)])

    def kill_server(self, node: Node) -> None:
        """Kill the server of a PostgreSQL node and leave its agent, which is to notice."""
        server = self.postmaster(node)
        if server is None:
            raise ClusterError(f"the server of {node.name} does not run")
        _end([server])

    def pause(self, nodes: Sequence[Node]) -> None:
        """Stop them in the middle of whatever they do."""
        for node in nodes:
            for process in self.processes(node):
                process.send(signal.SIGSTOP)

    def resume(self, nodes: Sequence[Node]) -> None:
        """Let them go on as if nothing had happened."""
        for node in nodes:
            for process in self.processes(node):
                process.send(signal.SIGCONT)

    def restart(self, nodes: Sequence[Node], tell: Tell = _silent) -> None:
        """Stop them in order, and start them again; those that are dead are just started."""
        with self.alone():
            self.stop(nodes)
            self.start(nodes)
            self.wait_ready(nodes, tell)

    def cut(self, host: str, way: Way = Way.BOTH) -> None:
        """Cut a test host off."""
        self.heal([host])
        self._on_network(lambda: self.network.cut(host, way))

    def delay(self, host: str, delay_ms: int) -> None:
        """Hold up what a test host sends and gets."""
        self.heal([host])
        relay = self._on_network(lambda: self.network.delay(host, delay_ms))
        if relay:
            self.registry.start(_relay(host), relay, self.directory)

    def heal(self, hosts: Sequence[str] = ()) -> None:
        """End cuts and delays, of all test hosts unless some are named."""
        for host in hosts or [host.name for host in self.plan.hosts]:
            self._end_relay(host)
            self._on_network(partial(self.network.heal, host))

    def _end_relay(self, host: str) -> None:
        stop_all([*filter(None, [self.registry.find(_relay(host))])], signal.SIGTERM, 5.0)
        self.registry.forget(_relay(host))

    def _on_network(self, change: Callable[[], T]) -> T:
        if not self.plan.hosts:
            remedy = "make one with veltrix cluster up --hosts 3 (root on Linux)"
            raise ClusterError("this cluster has no test hosts: all of it is on the loopback", remedy)
        try:
            return change()
        except NetworkError as error:
            raise ClusterError(str(error)) from error

    # Stopping

    def stop(self, nodes: Sequence[Node]) -> None:
        """Stop them in order: services from the front, then the engines, etcd last."""
        order = [*reversed(SERVICES), Kind.KAFKA, Kind.POSTGRES, Kind.ETCD]
        for kind in order:
            self._stop_together([node for node in nodes if node.kind is kind])

    def _stop_together(self, nodes: Sequence[Node]) -> None:
        if not nodes:
            return
        self.resume(nodes)  # who is paused hears nothing
        agents = {node.name: self.registry.find(node.name) for node in nodes}
        is_alone = nodes[0].kind is Kind.POSTGRES and not self.plan.under_patroni
        number = signal.SIGINT if is_alone else signal.SIGTERM
        stop_all([agent for agent in agents.values() if agent], number, STOP_S)
        for node in nodes:
            self.registry.forget(node.name)
            if node.kind is Kind.POSTGRES and (server := self.postmaster(node)):
                stop_all([server], signal.SIGINT, STOP_S)  # its agent was gone before

    def down(self) -> None:
        """Stop everything, and remove the test hosts. The data stays."""
        with self.alone():
            self.stop(self.plan.nodes)
            for host in self.plan.hosts:
                self._end_relay(host.name)
            self.network.down()

    def remove(self) -> None:
        """Delete what a stopped cluster left."""
        if any(self.registry.find(node.name) for node in self.plan.nodes):
            raise ClusterError("the cluster runs", "veltrix cluster down")
        shutil.rmtree(self.starter.outside(), ignore_errors=True)
        files = (PLAN_FILE, "veltrix.toml", "master.key", "lock")
        for name in [*(node.name for node in self.plan.nodes), "logs", "run", "spool", "veltrix", *files]:
            path = self.directory / name
            if path.is_symlink() or path.is_file():
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            self.directory.rmdir()  # unless somebody put something else there
