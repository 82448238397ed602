"""`python -m benchmarks`: run the parts that are asked for and print one table."""

import argparse
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import latency, machine, observed, servers, streams, throughput
from veltrix.load.client import ClientError
from veltrix.load.command import run_on_fast_loop
from veltrix.load.crowd import raise_file_limit

PARTS = ("throughput", "crowd", "processing", "streams", "observed")
Row = tuple[str, str, str]


class Measured(Protocol):
    """What a part found."""

    def rows(self) -> list[Row]:
        """For the table: what, value, remark."""
        ...


Sized = Coroutine[Any, Any, Measured]


def arguments() -> argparse.Namespace:
    """What is to be measured, and how large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help="small and short: shows that it works, not how fast"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default: 5)")
    parser.add_argument("--crowd", type=int, default=10_000, help="people at once (default: 10,000)")
    parser.add_argument("--connections", type=int, default=200, help="the few connections (default: 200)")
    parser.add_argument("--people", type=int, default=20_000, help="people over them (default: 20,000)")
    parser.add_argument("--rate", type=float, default=1_000, help="open loop, people a second")
    parser.add_argument("--duration", type=float, default=20, help="open loop, seconds")
    parser.add_argument("--open", type=int, default=10_000, help="open loop, open connections")
    parser.add_argument("--clients", type=int, default=10_000, help="clients of the stream")
    parser.add_argument("--changes", type=int, default=5, help="changes pushed to them")
    parser.add_argument(
        "--data", type=Path, help="directory for the data (default: the system's temporary one)"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if chosen.quick:
        small = {"rounds": 1, "crowd": 60, "connections": 10, "people": 100, "rate": 100.0, "duration": 0.5}
        vars(chosen).update({**small, "open": 50, "clients": 20, "changes": 1})
    return chosen


def measure(chosen: argparse.Namespace, say: Callable[[str], None]) -> Iterator[tuple[str, Sized]]:
    """The parts that are asked for, each with a way to run it; those that share servers stand together."""
    parts = chosen.parts or PARTS
    if "observed" in parts:
        yield "observed", observed.compare(chosen.data, chosen.connections, chosen.people, chosen.rounds, say)
    if set(parts) == {"observed"}:
        return
    sizes = {"throughput": (chosen.connections, chosen.people), "crowd": (chosen.crowd, chosen.crowd)}
    with ExitStack() as stack:
        veltrix = stack.enter_context(servers.veltrix(chosen.data))
        ceiling = stack.enter_context(servers.ceiling())
        for part in (part for part in sizes if part in parts):
            connections, people = sizes[part]
            yield part, throughput.compare(ceiling, veltrix, connections, people, chosen.rounds, say)
        if "processing" in parts:
            yield "processing", latency.measure(veltrix, chosen.rate, chosen.duration, chosen.open)
    if "streams" in parts:
        # A platform of its own: what earlier runs left in memory is no client's.
        with servers.veltrix(chosen.data) as fresh:
            yield "streams", streams.measure(fresh, chosen.clients, chosen.changes)


def rows_of(part: str, coroutine: Sized, say: Callable[[str], None]) -> list[Row]:
    """Run a part; one that fails is a row that says why, so that the others are not lost."""
    say(f"{part} …")
    try:
        return run_on_fast_loop(coroutine).rows()
    except (ClientError, TimeoutError, AssertionError) as error:
        return [(part, "failed", f"{type(error).__name__}: {error}")]


def main() -> int:
    """Measure and print."""
    chosen = arguments()
    raise_file_limit()
    facts = machine.facts()
    say = Console(stderr=True, highlight=False).print
    sections = [rows_of(part, coroutine, say) for part, coroutine in measure(chosen, say)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Veltrix benchmarks", title_justify="left")
    for name in ("what", "measured", ""):
        table.add_column(name, overflow="fold")
    for name, value in facts:
        table.add_row(name, "", value)
    for section in sections:
        table.add_section()
        for row in section:
            table.add_row(*row)
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=160)
    out.print(table)
    return 1 if any(row[1] == "failed" for section in sections for row in section) else 0


if __name__ == "__main__":
    sys.exit(main())
