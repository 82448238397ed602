"""Veltrix takes registrations for events and tells people what happened to them."""

from typing import Any

__version__: str


def __getattr__(name: str) -> Any:
    """`__version__`, read from the installed package when it is asked for: that takes 60 ms."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    globals()[name] = found = version("veltrix")
    return found
