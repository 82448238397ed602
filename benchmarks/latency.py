"""Processing latency: from a command's acknowledged append until its decision is committed and published.

An open loop, so that a slow server is not spared; read from the server's own histogram, so that neither
HTTP nor the generator's share of the machine is in it.
"""

from dataclasses import dataclass

from benchmarks.metrics import Histogram, look
from benchmarks.servers import Server, until_told
from veltrix.load.command import execute
from veltrix.load.options import SINGLES_ONLY, LoadOptions
from veltrix.load.report import LoadReport

DECISION = "veltrix_decision_seconds"


@dataclass(frozen=True)
class Processing:
    """What one run showed."""

    rate_per_s: float
    connections: int
    decisions: Histogram
    report: LoadReport

    def rows(self) -> list[tuple[str, str, str]]:
        """For the table: what, value, remark."""
        seen, lateness = self.report.figures.total.latency, self.report.figures.lateness
        assert seen is not None, "nobody was answered"
        assert lateness is not None, "an open loop"
        at = f"at {self.rate_per_s:,.0f}/s over {self.connections:,} open connections"
        return [
            (f"processing {at}", f"mean {self.decisions.mean_s * 1e3:.1f} ms", "goal: mean at most 5 ms"),
            ("", f"p50 {self.decisions.quantile_s(0.5) * 1e3:.1f} ms", ""),
            ("", f"p99 {self.decisions.quantile_s(0.99) * 1e3:.1f} ms", "goal: at most 50 ms"),
            (
                "the client saw, from the intended start",
                f"mean {seen.mean_ms:.1f} ms",
                f"p50 {seen.p50_ms:.1f}, p99 {seen.p99_ms:.1f}, max {seen.max_ms:.0f} ms",
            ),
            ("left late (> 10 ms)", f"{lateness.share:.2%}", str(self.report.verdict)),
        ]


async def measure(veltrix: Server, rate_per_s: float, duration_s: float, connections: int) -> Processing:
    """One open-loop run on an event of its own."""
    await until_told(veltrix)
    asker = veltrix.asker()
    options = LoadOptions(
        url=veltrix.url,
        api_key=veltrix.key,
        registrants=connections,
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        capacity=round(2 * rate_per_s * duration_s),
        waitlist=None,
        one_per_email=False,
        pools=1,
        mix=SINGLES_ONLY,
    )
    try:
        before = (await look(asker)).histogram(DECISION)
        report = await execute(options)
        after = (await look(asker)).histogram(DECISION)
    finally:
        await asker.close()
    return Processing(rate_per_s, report.connections, after.since(before), report)
