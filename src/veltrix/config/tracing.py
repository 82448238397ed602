"""The settings of traces: where spans are sent, and of how many requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veltrix.config.defining import setting
from veltrix.config.kinds import Flag, Url, Wrong

_REMEDY = "choose a number from 0 to 1, such as 0.002"


@dataclass(frozen=True)
class Share:
    """A part of a whole."""

    description: str = "number from 0 to 1"

    def parse(self, value: Any, base: Path) -> float:
        """Refuses everything but a number between nothing and all."""
        del base
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise Wrong("is no number from 0 to 1", _REMEDY)
        return float(value)

    def from_text(self, text: str) -> Any:
        """A decimal number."""
        try:
            return float(text)
        except ValueError:
            raise Wrong("is no number from 0 to 1", _REMEDY) from None

    def show(self, value: float) -> float:
        """The number."""
        return value


@dataclass(frozen=True, slots=True)
class Tracing:
    """Traces by OpenTelemetry, of a part of all requests (needs the extra `tracing`)."""

    endpoint: str | None = setting(
        Url(),
        None,
        "The collector that spans are sent to, by OTLP over HTTP, such as `http://127.0.0.1:4318`; "
        "`/v1/traces` is added.",
        derived="nothing is traced",
    )
    sample_ratio: float = setting(Share(), 0.002, "The part of all requests that are traced.")
    trust_callers: bool = setting(
        Flag(),
        False,
        "Also trace whatever comes with a `traceparent` whose caller traces it. Only behind a proxy that "
        "removes the header of strangers: each may ask for it.",
    )
