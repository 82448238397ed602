"""Progress of long work: a bar for people, nothing for programs, cheap in between."""

import io

import pytest
from rich.console import Console

from veltrix.cli import output
from veltrix.cli.progress import Progress


@pytest.fixture
def terminal(monkeypatch):
    """Standard error as a terminal, kept as text."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    monkeypatch.setattr(output, "console", lambda stderr=False: console)
    return out


def test_people_see_how_far_it_is(terminal):
    """On a terminal there is a bar with what is done and what is left."""
    with Progress("Replaying") as bar:
        bar.reached(10, 40)
        bar.reached(40, 40)
    assert "Replaying" in terminal.getvalue()
    assert "40/40" in terminal.getvalue()


def test_a_bar_is_drawn_now_and_then(terminal, monkeypatch):
    """However often it is told, it draws about ten times a second, and always at the end."""
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    with Progress("Replaying") as bar:
        bar.reached(1, 1000)
        before = len(terminal.getvalue())
        for done in range(2, 1000):
            bar.reached(done, 1000)
        assert len(terminal.getvalue()) == before
        bar.reached(1000, 1000)
        assert "1000/1000" in terminal.getvalue()


def test_where_no_terminal_is_nothing_is_drawn(capsys):
    """Into a file or a pipe, and with --json, progress stays silent."""
    for quiet in (True, False):
        with Progress("Replaying", quiet=quiet) as bar:
            bar.reached(1, 2)
    assert capsys.readouterr() == ("", "")
