"""`python -m benchmarks`: run the parts that are asked for and print one table."""

import argparse
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import latency, machine, servers, streams, throughput
from veltrix.load.command import run_on_fast_loop
from veltrix.load.crowd import raise_file_limit

PARTS = ("throughput", "crowd", "processing", "streams")
Row = tuple[str, str, str]


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
        small = {"rounds": 1, "crowd": 200, "connections": 20, "people": 400, "rate": 100.0, "duration": 1.0}
        vars(chosen).update({**small, "open": 50, "clients": 50, "changes": 1})
    return chosen


def measure(chosen: argparse.Namespace, console: Console) -> list[list[Row]]:
    """Each part's rows; progress goes to standard error."""
    parts = chosen.parts or PARTS
    sections: list[list[Row]] = []
    sizes = {"throughput": (chosen.connections, chosen.people), "crowd": (chosen.crowd, chosen.crowd)}
    with servers.veltrix(chosen.data) as veltrix:
        compared = [part for part in ("throughput", "crowd") if part in parts]
        if compared:
            with servers.ceiling() as ceiling:
                for part in compared:
                    comparison = run_on_fast_loop(
                        throughput.compare(ceiling, veltrix, *sizes[part], chosen.rounds, console.print)
                    )
                    sections.append(comparison.rows())
        if "processing" in parts:
            console.print("processing latency …")
            processing = run_on_fast_loop(latency.measure(veltrix, chosen.rate, chosen.duration, chosen.open))
            sections.append(processing.rows())
    if "streams" in parts:
        console.print("streams …")
        with servers.veltrix(chosen.data) as veltrix:  # a fresh one: memory that others used is no client's
            sections.append(run_on_fast_loop(streams.measure(veltrix, chosen.clients, chosen.changes)).rows())
    return sections


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    raise_file_limit()
    facts = machine.facts()
    sections = measure(chosen, Console(stderr=True, highlight=False))
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


if __name__ == "__main__":
    main()
