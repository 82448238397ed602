"""`make mutants`: the whole matrix as a table, or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.matrix import CORRECT, SECONDS, Row, matrix, told

COMPLAINT_CHARS = 90


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="MUTANT", help="only these (default: all, and correct code)"
    )
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument("--most", type=int, default=None, metavar="N", help="at most so many seeds each")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="simulated seconds, each run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--kept", action="store_true", help="try the kept scenarios first")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in MUTANTS]
    if unknown:
        parser.error(f"there is no mutant {unknown[0]!r}; there are: {', '.join(MUTANTS)}")
    return chosen


def main() -> int:
    """Print the matrix; 1 when a mutant got away, or correct code fails."""
    asked = arguments()
    errors = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    names = asked.names or [*MUTANTS, CORRECT]
    for row in matrix(
        names, first=asked.first, most=asked.most, seconds=asked.seconds, jobs=asked.jobs, kept=asked.kept
    ):
        rows.append(row)
        if not asked.json:
            verdict = told(MUTANTS.get(row.mutant), row)
            errors.print(
                f"{len(rows)}/{len(names)} {row.mutant or 'the code as it is'}: {verdict}", markup=False
            )
    good = all(row.as_it_should for row in rows)
    if asked.json:
        verdict = "PASS" if good else "FAIL"
        sys.stdout.write(
            json.dumps({"verdict": verdict, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
        )
    else:
        _print(rows)
    return 0 if good else 1


def _print(rows: list[Row]) -> None:
    table = Table("planted bug", "breaks", "found", "runs", "simulated s", "s", "first complaint")
    for row in rows:
        mutant = MUTANTS.get(row.mutant)
        complaint = row.complaints[0] if row.complaints else "" if mutant is None else mutant.equivalent
        table.add_row(
            row.mutant or "(the code as it is)",
            mutant.breaks if mutant is not None else "nothing",
            told(mutant, row),
            str(row.runs),
            f"{row.simulated_s:,.0f}",
            f"{row.took_s:.1f}",
            complaint[:COMPLAINT_CHARS],
        )
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 260
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
