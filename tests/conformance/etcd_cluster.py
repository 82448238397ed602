"""Three real members of etcd, for tests that stop, pause and cut them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.engines import Running, answers_http, directory_for, free_port, running
from veltrix.cluster.etcd import EtcdMember, start_command
from veltrix.cluster.tools import Tools


@dataclass
class EtcdCluster:
    """Members by index; what is paused or dead at the end is ended all the same."""

    tools: Tools
    members: list[EtcdMember]
    directory: Path
    stack: ExitStack
    extra: Sequence[str] = ()
    ctl_extra: Sequence[str] = ()
    processes: dict[int, Running] = field(default_factory=dict)
    _starts: int = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where the clients' doors are."""
        return tuple(member.address for member in self.members)

    def start(self, *indexes: int) -> None:
        """Start members, on the data that they have."""
        for index in indexes or range(len(self.members)):
            command = start_command(self.tools, self.members[index], self.members, "veltrix-tests")
            command = [self._secured(argument) for argument in command]
            self._starts += 1
            log = self.directory / f"{index}.{self._starts}.log"
            self.processes[index] = self.stack.enter_context(running([*command, *self.extra], log))

    def _secured(self, argument: str) -> str:
        secured = self.extra and "client-urls" in argument
        return argument.replace("http://", "https://") if secured else argument

    def ctl(self, *arguments: str, endpoint: int | None = None, check: bool = True) -> str:
        """What etcdctl answers; as root where there are users."""
        chosen = self.endpoints if endpoint is None else (self.endpoints[endpoint],)
        done = subprocess.run(
            ["etcdctl", f"--endpoints={','.join(chosen)}", *self.ctl_extra, *arguments],
            env=os.environ | {"ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            check=check,
        )
        return done.stdout

    def wait(self) -> None:
        """Until every member answers."""
        for index, process in self.processes.items():
            process.wait_until(partial(self.answers, index), f"etcd {index}")

    def answers(self, index: int) -> bool:
        """Whether a member knows its leader."""
        return answers_http(f"http://{self.members[index].address}/health")

    def leader(self) -> int:
        """The index of the leader."""
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            for index in self.processes:
                status = self.ctl("endpoint", "status", "--write-out=json", endpoint=index, check=False)
                for each in json.loads(status or "[]"):
                    if each["Status"]["leader"] == each["Status"]["header"]["member_id"]:
                        return index
        raise AssertionError("there is no leader")

    def signal(self, number: signal.Signals, *indexes: int) -> None:
        """Send a signal to members, by default to all."""
        for index in indexes or tuple(self.processes):
            self.processes[index].process.send_signal(number)

    def kill(self, *indexes: int) -> None:
        """End members at once."""
        self.signal(signal.SIGKILL, *indexes)
        for index in indexes or tuple(self.processes):
            self.processes.pop(index).process.wait()


@contextmanager
def etcd_cluster(tools: Tools, size: int = 3, extra: Sequence[str] = ()) -> Iterator[EtcdCluster]:
    """Members that run and agree."""
    with directory_for("etcd-cluster") as directory, ExitStack() as stack:
        members = []
        for index in range(size):
            (directory / str(index)).mkdir()
            members.append(
                EtcdMember(f"etcd-{index}", "127.0.0.1", free_port(), free_port(), directory / str(index))
            )
        cluster = EtcdCluster(tools, members, directory, stack, extra)
        cluster.start()
        if not extra:
            cluster.wait()
        yield cluster
