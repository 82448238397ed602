"""What a figure belongs to: this machine and the versions on it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

import veltrix

PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "msgspec")


def facts() -> list[tuple[str, str]]:
    """Name and value, for people."""
    memory_gib = psutil.virtual_memory().total / 2**30
    one_minute, *_ = os.getloadavg()
    return [
        ("machine", f"{platform.system()} {platform.release()}, {platform.machine()}, {_processor()}"),
        ("cores, memory", f"{os.cpu_count()} cores, {memory_gib:.0f} GiB"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("versions", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        ("Veltrix", veltrix.__version__),
        ("load before", f"{one_minute:.2f} (what else ran in the last minute; the generator runs here too)"),
    ]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
