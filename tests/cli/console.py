"""Runs `veltrix` as its users do: a process of its own, with nothing of the developer's configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def environment(home: Path, **variables: str) -> dict[str, str]:
    """What the process sees: a home of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VELTRIX_", "XDG_", "COLUMNS", "NO_COLOR", "FORCE_COLOR"))
    }
    return kept | {"HOME": str(home)} | variables


def veltrix(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`veltrix ARGUMENTS`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "veltrix", *arguments],
        env=environment(home, **variables),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
