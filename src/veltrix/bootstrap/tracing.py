"""The tracer of a process, by the configuration: off, or sending to a collector."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack

from veltrix import __version__
from veltrix.config import Config
from veltrix.observability.metrics import Metrics
from veltrix.observability.tracing import OFF, Tracer
from veltrix.ports.system import Clock, Entropy


def tracer_of(
    config: Config, service: str, clock: Clock, entropy: Entropy, metrics: Metrics, stack: AsyncExitStack
) -> Tracer:
    """A tracer for a process of this kind; `stack` ends it. Raises `Unavailable` without OpenTelemetry."""
    tracing = config.tracing
    if tracing.endpoint is None:
        return OFF
    from veltrix.adapters.otlp import OtlpSpans

    spans = OtlpSpans(
        tracing.endpoint,
        {
            "service.name": f"veltrix-{service}",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        },
    )
    stack.push_async_callback(asyncio.to_thread, spans.close)
    metrics.spans(spans.counted)
    return Tracer(clock, entropy, spans, tracing.sample_ratio, tracing.trust_callers)
