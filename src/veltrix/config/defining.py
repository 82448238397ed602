"""How a setting is defined: a field of a section with its kind and its meaning."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from veltrix.config.kinds import Kind


def setting(kind: Kind, default: Any, meaning: str, derived: str = "") -> Any:
    """A field of a section. `derived` says in words what an unset value (None) becomes."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning, "derived": derived})
