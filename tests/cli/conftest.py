"""Running commands within the test's own process: fast, where nothing of the process itself is tested."""

import sys
from typing import NamedTuple

import pytest

from tests.cli.console import environment
from veltrix.cli import app


class Ended(NamedTuple):
    """How a command ended, with the names that `subprocess` has."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """`here(*arguments, **variables)` runs a command in this process, at home in `tmp_path`."""

    def run(*arguments, **variables):
        with monkeypatch.context() as patch:
            for name in ("PATH", "HOME"):
                patch.delenv(name, raising=False)
            for name, text in environment(tmp_path, **variables).items():
                patch.setenv(name, text)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["veltrix", *arguments])
            capsys.readouterr()
            code = app.run()
        out, err = capsys.readouterr()
        return Ended(int(code), out, err)

    return run
