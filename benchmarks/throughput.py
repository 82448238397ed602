"""Registrations for one hot event beside the ceiling: at few connections, and everybody at once.

The machine is shared with the generator and with whatever else runs, so the two servers take turns, and
medians and ratios of the same run are what counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.metrics import look_now
from benchmarks.servers import Server, until_told
from veltrix.load.command import execute
from veltrix.load.options import SINGLES_ONLY, LoadOptions


@dataclass(frozen=True)
class Turn:
    """One run against one server."""

    rate_per_s: float
    all_after_s: float
    p50_ms: float
    p99_ms: float
    server_us: float
    generator_us: float
    verdict: str
    notices: int = 0


@dataclass(frozen=True)
class Comparison:
    """The turns of both servers at one number of connections."""

    connections: int
    people: int
    ceiling: list[Turn]
    veltrix: list[Turn]

    @property
    def ratio(self) -> float:
        """The median of the ratios of neighbouring turns."""
        pairs = zip(self.veltrix, self.ceiling, strict=True)
        return median(ours.rate_per_s / theirs.rate_per_s for ours, theirs in pairs)

    def rows(self) -> list[tuple[str, str, str]]:
        """For the table: what, value, remark."""
        at = f"at {self.connections:,} connections"
        rates = [median(turn.rate_per_s for turn in turns) for turns in (self.ceiling, self.veltrix)]
        after = [median(turn.all_after_s for turn in turns) for turns in (self.ceiling, self.veltrix)]
        rows = [
            (f"ceiling {at}", f"{rates[0]:,.0f}/s", _spread(self.ceiling)),
            (f"registrations {at}", f"{rates[1]:,.0f}/s", _spread(self.veltrix)),
            ("ratio", f"{self.ratio:.2f}", "goal: at least 0.5"),
        ]
        if self.connections == self.people:
            goal = "goal: 2 s" if self.people == 10_000 else ""
            rows.append((f"{self.people:,} at once, all answered after", f"{after[1]:.2f} s", goal))
            rows.append(("the ceiling's answers", f"{after[0]:.2f} s", ""))
        notices = median(turn.notices for turn in self.veltrix)
        rows.append(("notices recorded meanwhile", f"{notices:,.0f}", f"of {self.people:,} owed"))
        verdicts = {turn.verdict for turn in [*self.ceiling, *self.veltrix]}
        rows.append(("answers checked", " / ".join(sorted(verdicts)), "both servers, all turns"))
        return rows


def _spread(turns: list[Turn]) -> str:
    rates = sorted(turn.rate_per_s for turn in turns)
    server, generator = (
        median(values) for values in zip(*((t.server_us, t.generator_us) for t in turns), strict=True)
    )
    p50, p99 = median(turn.p50_ms for turn in turns), median(turn.p99_ms for turn in turns)
    return (
        f"{rates[0]:,.0f} to {rates[-1]:,.0f}; p50 {p50:,.0f} ms, p99 {p99:,.0f} ms; "
        f"CPU {server:.0f} µs server, {generator:.0f} µs generator a request"
    )  # fmt: skip


async def compare(
    ceiling: Server,
    veltrix: Server,
    connections: int,
    people: int,
    rounds: int,
    say: Callable[[str], None],
) -> Comparison:
    """Turn about, after a first short turn of each that does not count."""
    for server in (ceiling, veltrix):
        await take_turn(server, min(connections, 100), min(people, 500), 0)
    comparison = Comparison(connections, people, [], [])
    for number in range(1, rounds + 1):
        for server, turns in ((ceiling, comparison.ceiling), (veltrix, comparison.veltrix)):
            turn = await take_turn(server, connections, people, number)
            turns.append(turn)
            say(f"{server.name} at {connections:,} connections, turn {number}: {turn.rate_per_s:,.0f}/s")
    return comparison


async def take_turn(server: Server, connections: int, people: int, seed: int) -> Turn:
    """One closed-loop run, one seat a person; with every check that can be made."""
    if server.key is not None:
        await until_told(server)
    options = LoadOptions(
        url=server.url,
        api_key=server.key,
        registrants=people,
        concurrency=connections,
        connections=connections,
        seed=seed,
        capacity=2 * people,
        waitlist=None,
        one_per_email=False,
        pools=1,
        mix=SINGLES_ONLY,
    )
    watcher = Meanwhile(server)
    report = await execute(options, watcher)
    figures = report.figures
    latency = figures.total.latency
    assert latency is not None, "nobody was answered"
    return Turn(
        rate_per_s=figures.registering_rate_per_s,
        all_after_s=figures.registering_s,
        p50_ms=latency.p50_ms,
        p99_ms=latency.p99_ms,
        server_us=watcher.cpu_s / people * 1e6,
        generator_us=report.cpu_us_per_request,
        verdict=report.verdict.word,
        notices=watcher.notices,
    )


class Meanwhile:
    """What the server did while the clock ran, seen at the borders of that phase of the run."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._running = False
        self.cpu_s = 0.0
        self.notices = 0

    def phase(self, name: str, total: int) -> None:
        """The clock starts and stops with phases."""
        del total
        sign = -1 if name == "registering" else 1 if self._running else 0
        self._running = name == "registering"
        if sign:
            self.cpu_s += sign * self._server.cpu_s()
            self.notices += sign * self._recorded()

    def reached(self, done: int) -> None:
        """Of no interest here."""

    def _recorded(self) -> int:
        if self._server.key is None:
            return 0
        return round(look_now(self._server.url).total("veltrix_notices_planned_total"))
