"""The checkers of the house's rules, shown to find what they must and to let pass what they should."""

from pathlib import PurePosixPath

import pytest

from tests.house import rules


def at(path: str) -> PurePosixPath:
    """A file of the package, as the checkers get it."""
    return PurePosixPath("veltrix") / path


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/event.py", "import dataclasses, zoneinfo"),
        ("domain/event.py", "from veltrix.domain import limits"),
        ("domain/event.py", "from . import limits"),
        ("wire.py", "import msgspec\nfrom veltrix.domain.facts import Fact"),
        ("registration/api.py", "from veltrix.ports.log import Log"),
        ("registration/api.py", "from veltrix import __version__"),
        ("registration/api.py", "from ..observability import metrics"),
        ("adapters/sqlite/log.py", "import sqlite3\nfrom .files import open_database"),
        ("adapters/sqlite/log.py", "from veltrix.adapters.sqlite import files"),
        ("simulation/explorer.py", "from veltrix.adapters.memory import MemoryLog"),
        ("bootstrap.py", "from veltrix.adapters import sqlite, smtp"),
        ("cli/serve.py", "import veltrix.bootstrap"),
        ("__init__.py", "from importlib.metadata import version"),
    ],
)
def test_allowed_imports_pass(path, source):
    """What the table of rooms allows gives no finding."""
    assert list(rules.room_findings(source, at(path))) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/event.py", "import os"),
        ("domain/event.py", "import msgspec"),
        ("domain/event.py", "from veltrix.ports import log"),
        ("domain/event.py", "from veltrix import ports"),
        ("domain/event.py", "from ..ports import log"),
        ("domain/event.py", "import veltrix"),
        ("domain/event.py", "if TYPE_CHECKING:\n    from veltrix.wire import encode"),
        ("domain/event.py", "def late():\n    import asyncio"),
        ("ports/log.py", "from veltrix.wire import encode"),
        ("wire.py", "from veltrix.ports.log import Log"),
        ("registration/api.py", "from veltrix.processing import processor"),
        ("registration/api.py", "from veltrix.adapters.sqlite import log"),
        ("registration/api.py", "from veltrix.config import Config"),
        ("notification/planner.py", "import veltrix.registration.api as api"),
        ("adapters/sqlite/log.py", "from veltrix.adapters.memory import log"),
        ("adapters/sqlite/log.py", "from ..memory import log"),
        ("adapters/smtp.py", "from veltrix.observability import metrics"),
        ("adapters/__init__.py", "from veltrix.adapters.memory import log"),
        ("simulation/explorer.py", "from veltrix.adapters.sqlite import log"),
        ("config.py", "from veltrix.registration import api"),
        ("helpers.py", "import math"),
    ],
)
def test_imports_across_walls_are_found(path, source):
    """What the table does not allow is found, wherever and however it is imported."""
    assert len(list(rules.room_findings(source, at(path)))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import monotonic",
        "import concurrent.futures",
        "from os import environ",
        "import os\nos.environ['HOME']",
        "import os as system\nsystem.getenv('HOME')",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import date\ndate.today()",
        "import asyncio\nasync def f():\n    await asyncio.to_thread(print)",
        "import asyncio\nasync def f():\n    await asyncio.get_running_loop().run_in_executor(None, print)",
        "open('file')",
        "import uuid",
        "from secrets import token_bytes",
        "from importlib import import_module",
    ],
)
@pytest.mark.parametrize("path", ["domain/event.py", "wire.py", "processing/processor.py"])
def test_the_outside_world_is_found(path, source):
    """Clocks, chance, threads, the environment and files are found where they must come through ports."""
    assert len(list(rules.outside_world_findings(source, at(path)))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("adapters/system.py", "import time, secrets\nfrom datetime import datetime\ndatetime.now()"),
        ("cli.py", "import os\nos.environ"),
        ("processing/ticker.py", "async def tick(clock):\n    return clock.now()"),
        ("registration/api.py", "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)"),
        ("registration/api.py", "import os.path\nos.path.join('a', 'b')"),
        ("domain/event.py", "from datetime import time\ntime(12, 0)"),
        ("processing/processor.py", "import asyncio\nasync def f():\n    await asyncio.sleep(0)"),
    ],
)
def test_what_is_no_outside_world_passes(path, source):
    """The same names elsewhere, and likenesses of them, give no finding."""
    assert list(rules.outside_world_findings(source, at(path))) == []


@pytest.mark.parametrize("source", ["hash('a')", "id(object())"])
def test_domain_calls_nothing_that_differs_between_processes(source):
    """hash() and id() are found in the domain, where a replay must decide the same."""
    assert len(list(rules.outside_world_findings(source, at("domain/event.py")))) == 1
    assert list(rules.outside_world_findings(source, at("processing/processor.py"))) == []


@pytest.mark.parametrize(
    ("path", "source", "findings"),
    [
        ("wire.py", "", 1),
        ("wire.py", "x = 1", 1),
        ("wire.py", "'''Says.'''\ndef f(): ...\nclass C: ...", 2),
        ("wire.py", "'''Says.'''\nasync def f(): ...", 1),
        ("wire.py", "'''Says.'''\ndef _f(): ...\nclass C:\n    '''Says.'''\n    def m(self): ...", 0),
        ("wire.py", "'''Says.'''\n@typing.overload\ndef f(): ...", 0),
        ("ports/log.py", "'''Says.'''\nclass Log:\n    '''Says.'''\n    def append(self): ...", 1),
        ("ports/log.py", "'''Says.'''\nclass Log:\n    '''Says.'''\n    def __len__(self): ...", 0),
    ],
)
def test_missing_docstrings_are_found(path, source, findings):
    """Undocumented public things are found, in ports methods too; private ones and overloads are let be."""
    assert len(list(rules.docstring_findings(source, at(path)))) == findings


def test_long_functions_are_found():
    """A function of 61 lines is found by its qualified name, one of 60 is not."""
    body = "        x = 1\n" * 60
    long = f"class C:\n    def long(self):\n{body}"
    assert list(rules.long_functions(long)) == [("C.long", 61)]
    assert list(rules.long_functions(long.removesuffix("        x = 1\n"))) == []


def test_tests_without_a_claim_are_found():
    """A test without a docstring is found, in a class too; helpers are let be."""
    assert (
        len(list(rules.claim_findings("class T:\n    def test_a(self): ...\nasync def test_b(): ..."))) == 2
    )
    assert list(rules.claim_findings("def helper(): ...\ndef test_a():\n    '''Claims.'''")) == []


@pytest.mark.parametrize(
    ("comment", "findings"),
    [
        ("# noqa", 1),
        ("# noqa: S104", 1),
        ("# noqa: S104, PLR0913", 1),
        ("# type: ignore[arg-type]", 1),
        ("# type: ignore[arg-type]  # noqa: S104", 1),
        ("# ruff: noqa: S104", 1),
        ("# noqa: S104 - the demo listens everywhere on purpose", 0),
        ("# type: ignore[arg-type]  # the stub lags behind the library", 0),
        ("# noqa: S104 - head of a run\ny = 2  # noqa: S104\nz = 3  # noqa: S104", 0),
        ("# noqa: S104 - head of a run\ny = 2  # noqa: PLR0913", 1),
        ("# noqa: S104 - head of a run\n\ny = 2  # noqa: S104", 1),
        ("# an ordinary comment", 0),
    ],
)
def test_exemptions_without_a_reason_are_found(comment, findings):
    """An exemption needs a reason in its comment, or in that of the equal one on the line above."""
    assert len(list(rules.exemption_findings(f"x = 1  {comment}\n"))) == findings


def test_registry_hosts_are_found():
    """A line that names a package registry is found, whatever its case; other hosts are let be."""
    host = "files." + "Python" + "Hosted" + ".org"
    assert list(rules.registry_findings(f"first\nhttps://{host}/packages\n")) == [
        "2: names a package registry"
    ]
    assert list(rules.registry_findings("https://docs.python.org/3/")) == []
