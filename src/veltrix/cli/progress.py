"""Progress of long work: a bar where people watch, nothing where they do not."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import rich.progress

_REFRESH_S: Final = 0.1


class Progress:
    """A bar on standard error while it is entered; plain silence when that is no terminal."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self._title = title
        self._quiet = quiet
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None
        self._shown_s = 0.0

    def __enter__(self) -> Progress:
        from veltrix.cli.output import console

        errors = console(stderr=True)
        if not self._quiet and errors.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=errors,
                transient=True,
                auto_refresh=False,  # no thread of its own beside an event loop
            )
            self._task = self._bar.add_task(self._title, total=None)
            self._bar.start()
        return self

    def reached(self, done: int, total: int) -> None:
        """So much of it is done; cheap however often it is called."""
        now_s = time.monotonic()
        if self._bar is None or self._task is None or (now_s - self._shown_s < _REFRESH_S and done < total):
            return
        self._shown_s = now_s
        self._bar.update(self._task, completed=done, total=total, refresh=True)

    def step(self, title: str, done: int, total: int) -> None:
        """The same, for work of several parts: what is being done now."""
        if self._bar is not None and self._task is not None and title != self._title:
            self._title, self._shown_s = title, 0.0
            self._bar.update(self._task, description=title)
        self.reached(done, total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
