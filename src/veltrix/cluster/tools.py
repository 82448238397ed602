"""Where the engines' programs are: in `.engines` (`make engines`), in PATH, or in Debian's PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql")
CHECKOUT: Final = Path(__file__).parents[3]


class EngineMissing(Exception):
    """An engine's program is nowhere to be found."""

    def __init__(self, engine: str, program: str) -> None:
        super().__init__(f"{engine} is missing: there is no {program} (make engines gets it)")
        self.engine = engine


@dataclass(frozen=True, slots=True)
class Tools:
    """Finds the programs of the engines. What `make engines` put there comes first, then the system's."""

    own: Path
    system: bool = True
    debian: Path = field(default=DEBIAN_POSTGRES)

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Tools:
        """Those of this checkout, or where VELTRIX_ENGINES points."""
        named = environment.get("VELTRIX_ENGINES")
        own = Path(named) if named else CHECKOUT / ".engines"
        return cls(own.resolve(), environment.get("VELTRIX_ENGINES_SYSTEM") != "no")

    def kafka(self) -> list[str]:
        """The command that runs one of Kafka's main classes, up to and without the class."""
        jars = self.own / "kafka"
        if not any(jars.glob("kafka_*.jar")):
            raise EngineMissing("Kafka", f"jar in {jars}")
        # Without a fitting archive of classes, or for another Java, it just takes longer to start.
        archives = [f"-XX:SharedArchiveFile={path}" for path in self.own.glob("kafka.*.jsa")]
        return [str(self._program("java", "Kafka")), *archives[:1], "-Xlog:cds*=off", "-cp", f"{jars}/*"]

    def etcd(self) -> Path:
        """The etcd server."""
        return self._program("etcd", "etcd")

    def patroni(self) -> Path:
        """Patroni's agent."""
        return self._program("patroni", "Patroni")

    def postgres(self, program: str = "postgres") -> Path:
        """One of PostgreSQL's programs; all come from one version."""
        return self.postgres_programs() / program

    def postgres_programs(self) -> Path:
        """The directory of PostgreSQL's programs."""
        found = self._found("postgres")
        candidates: list[Path] = [found.resolve().parent] if found else []
        if self.system:
            versions = [path for path in self.debian.glob("*") if path.name.isdigit()]
            newest_first = sorted(versions, key=lambda path: int(path.name), reverse=True)
            candidates += [version / "bin" for version in newest_first]
        for directory in candidates:
            if (directory / "initdb").exists() and (directory / "pg_ctl").exists():
                return directory
        raise EngineMissing("PostgreSQL", "postgres in PATH or /usr/lib/postgresql")

    def prometheus(self) -> Path | None:
        """Prometheus, where it is installed: a cluster works without."""
        return self._found("prometheus")

    def promtool(self) -> Path:
        """Prometheus' tool, which checks rules and runs their tests."""
        return self._program("promtool", "Prometheus")

    def alertmanager(self) -> Path | None:
        """Alertmanager, where it is installed; Debian's has a name of its own."""
        return self._found("prometheus-alertmanager") or self._found("alertmanager")

    def amtool(self) -> Path:
        """Alertmanager's tool, which checks its configuration."""
        return self._program("amtool", "Alertmanager")

    def grafana(self) -> Path | None:
        """Grafana's server, where it is installed."""
        return self._found("grafana") or self._found("grafana-server")

    def _program(self, name: str, engine: str) -> Path:
        found = self._found(name)
        if found is None:
            raise EngineMissing(engine, f"{name} in PATH or {self.own}/bin")
        return found

    def _found(self, name: str) -> Path | None:
        own = self.own / "bin" / name
        if os.access(own, os.X_OK):
            return own
        path = shutil.which(name) if self.system else None
        return Path(path) if path else None


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user that PostgreSQL and Patroni can run as; they refuse to be root."""

    name: str
    uid: int
    gid: int

    def run(self, command: Sequence[str | Path]) -> list[str]:
        """The command, as this user."""
        parts = [str(part) for part in command]
        if os.geteuid() != 0:
            return parts
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--", *parts]

    def can_enter(self, directory: Path) -> bool:
        """Whether this user may enter a directory and what lies above it."""
        if os.geteuid() != 0:
            return os.access(directory, os.X_OK)
        probe = self.run(["test", "-x", directory])
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0

    def own(self, path: Path) -> None:
        """Give this user a file or directory."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def unprivileged() -> Account:
    """Whoever runs this, or for root the user `postgres` or `nobody`."""
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid())
        return Account(me.pw_name, me.pw_uid, me.pw_gid)
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_name, found.pw_uid, found.pw_gid)
    raise EngineMissing("PostgreSQL", "unprivileged user (postgres or nobody) that it could run as")
