"""How far a run is, for whoever wants to see it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

REFRESH_S: Final = 0.2


class Watcher(Protocol):
    """Whoever shows how far a run is."""

    def phase(self, name: str, total: int) -> None:
        """A part of the run begins."""
        ...

    def reached(self, done: int) -> None:
        """So much of it is done."""
        ...


class Unwatched:
    """Shows nothing."""

    def phase(self, name: str, total: int) -> None:
        """Nobody looks."""

    def reached(self, done: int) -> None:
        """Nobody looks."""


class Bars(AbstractContextManager["Bars"]):
    """Progress bars. They are drawn when something is reached, not from a thread beside the generator."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(
            *columns, console=console, auto_refresh=False, disable=not console.is_terminal
        )
        self._task: Any = None
        self._drawn_s = 0.0

    def __enter__(self) -> Bars:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *reason: object) -> None:
        """Leave the bars as they are."""
        self._progress.refresh()
        self._progress.stop()

    def phase(self, name: str, total: int) -> None:
        """A new bar."""
        self._task = self._progress.add_task(name, total=total)
        self._progress.refresh()

    def reached(self, done: int) -> None:
        """Move the bar; draw it a few times a second."""
        self._progress.update(self._task, completed=done)
        now_s = time.monotonic()
        if now_s - self._drawn_s > REFRESH_S:
            self._drawn_s = now_s
            self._progress.refresh()
