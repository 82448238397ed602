"""Clusters for tests; where an engine is missing, their tests are skipped (tests/engines.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engines import unavailable
from veltrix.cluster.tools import EngineMissing, Tools


@dataclass(frozen=True)
class Console:
    """`veltrix cluster` on one directory."""

    directory: Path

    def run(self, *arguments: str, timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = [sys.executable, "-m", "veltrix", "cluster", *arguments, "--directory", str(self.directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)

    def ask(self, *arguments: str, code: int = 0, timeout_s: float = 110) -> Any:
        """What a command prints for programs; it must end with the code."""
        ended = self.run(*arguments, "--json", timeout_s=timeout_s)
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    def states(self, code: int) -> dict[str, str]:
        """The state of each process."""
        return {one["name"]: one["state"] for one in self.ask("status", code=code)["processes"]}


@pytest.fixture
def console(engine_tools: Tools) -> Iterator[Console]:
    """A directory for a cluster; whatever runs there is stopped and removed at the end."""
    try:
        engine_tools.kafka()
        engine_tools.etcd()
        engine_tools.postgres_programs()
    except EngineMissing as missing:
        unavailable(missing)
    made = Console(Path(tempfile.mkdtemp(prefix="veltrix-test-cluster-", dir="/var/tmp")))
    yield made
    made.run("down", "--remove")
    shutil.rmtree(made.directory, ignore_errors=True)
