"""The command line. `main` is what the `veltrix` command runs; everything else is imported when needed."""

import sys


def main() -> None:
    """Run the command that the arguments name, and end with its exit code."""
    from veltrix.cli.app import run

    sys.exit(run())
