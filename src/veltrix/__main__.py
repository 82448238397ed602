"""Lets ``python -m veltrix`` do what the ``veltrix`` command does."""

from veltrix.cli import main

if __name__ == "__main__":
    main()
