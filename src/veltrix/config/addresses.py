"""The kinds of values that say where an engine is, and what is called how there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veltrix.config.kinds import Text, Wrong, refuse_type

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")


@dataclass(frozen=True)
class Endpoints:
    """Where the members of an engine are reached: a host and a port each."""

    example: str
    description: str = "list of host:port"

    def parse(self, value: Any, base: Path) -> tuple[str, ...]:
        """Refuses what is no host with a port, and what is named twice."""
        remedy = f"write a list such as [{self.example}]"
        if not isinstance(value, list):
            raise refuse_type(value, "a list", f"a list such as [{self.example}]")
        for item in value:
            host, colon, port = item.rpartition(":") if isinstance(item, str) else ("", "", "")
            number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0
            if not colon or not _HOST.fullmatch(host) or not 1 <= number <= 65_535:
                raise Wrong(f"has {item!r} in it, which is no host:port", remedy)
        if len(set(value)) < len(value):
            raise Wrong("names an address twice", "name each once")
        return tuple(value)

    def from_text(self, text: str) -> Any:
        """Addresses separated by commas."""
        return [part.strip() for part in text.split(",") if part.strip()]

    def show(self, value: Sequence[str]) -> list[str]:
        """The addresses."""
        return list(value)


@dataclass(frozen=True)
class Name(Text):
    """A name of few letters, which other systems take as it is."""

    pattern: str = r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_])?"
    remedy: str = "use letters, digits, dots, hyphens and underscores"
    description: str = "name"

    def parse(self, value: Any, base: Path) -> str:
        """Refuses other letters."""
        text = super().parse(value, base)
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise Wrong("has letters that cannot be used here", self.remedy)
        return text
