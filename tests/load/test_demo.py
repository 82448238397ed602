"""The demo against the real platform: it passes, says what it did, can be repeated, and cleans up."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from rich.console import Console

from tests.load.fake_server import KEY, Faults, serving
from veltrix import demo
from veltrix.load import platform
from veltrix.load.command import execute
from veltrix.load.options import LoadOptions
from veltrix.load.platform import LocalPlatform, shipped_environment
from veltrix.load.report import EXIT_UNUSABLE


def run(tmp_path, **options) -> tuple[int, str]:
    """The demo's exit code and what it printed."""
    console = Console(file=io.StringIO(), width=120)
    code = demo.run_demo(console, people=60, directory=tmp_path, **options)
    return code, console.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO from above


def children() -> set[int]:
    """Processes that this one has started and that still run."""
    return {child.pid for child in psutil.Process().children()}


def test_the_demo_passes_and_shows_the_way_to_the_mail(tmp_path):
    """Everybody is answered and told, the audit passes, one person's way is shown, nothing stays behind."""
    before = children()
    code, text = run(tmp_path)
    assert text.splitlines()[-1] == "VERDICT PASS", text
    assert code == 0
    for words in (
        "Serving",
        "register: confirmed",
        "Told",
        "Audited",
        "asks",
        "is told",
        "decided",
        "link",
        "Subject:",
    ):
        assert words in text
    assert children() == before
    assert len(list(tmp_path.glob("*/data/spool"))) == 1


def test_a_second_run_works_and_programs_get_one_object(tmp_path, capsys):
    """Beside what an earlier run left, the demo runs again; --json prints one document with all reports."""
    (tmp_path / "20200101T000000.000000-1").mkdir()
    code, text = run(tmp_path, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert (code, text) == (0, "")
    assert (report["verdict"], report["load"]["verdict"], report["audit"]["verdict"]) == ("PASS",) * 3
    assert report["mails"] == report["notices"]["accepted"] > 0


def test_only_the_last_runs_are_kept(tmp_path):
    """Old runs of the demo are removed, and nothing else that lies beside them."""
    (tmp_path / "mine").mkdir()
    homes = [demo._fresh_directory(tmp_path) for _ in range(6)]
    assert [home.is_dir() for home in homes] == [False, False, False, True, True, True]
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "VERDICT PASS"),
        ({"untold": ["anna@example.org was sent 0 mails and is owed 1"]}, "not told once: 1, such as anna@"),
        ({"mails": 9}, "9 mails for 10 notices"),
        ({"notices": {"accepted": 10, "dead": 2}}, "notices: 2 dead"),
        ({"audit": {"verdict": "FAIL", "reason": "rows differ"}}, "audit: rows differ"),
        ({"audit": {}}, "audit: None"),
    ],
)
async def test_what_goes_wrong_after_the_load_fails_the_demo(changes, words):
    """Who was not told once, a notice that did not get out, and a failed audit are each in the verdict."""
    async with serving() as (_, url):
        report = await execute(LoadOptions(url=url, api_key=KEY, registrants=10))
    shown = demo.Shown(report, {"accepted": 10}, 10, 1.0, [], {"verdict": "PASS"})
    verdict = replace(shown, **changes).verdict
    assert words in str(verdict)
    assert verdict.exit_code == (1 if changes else 0)


async def test_a_load_that_fails_fails_the_demo():
    """The demo's verdict begins with the load's own."""
    async with serving(Faults(lose=2)) as (_, url):
        report = await execute(LoadOptions(url=url, api_key=KEY, registrants=10))
    shown = demo.Shown(report, {"accepted": 10}, 10, 1.0, [], {"verdict": "PASS"})
    assert str(shown.verdict).startswith("VERDICT FAIL: lost (")


def test_a_platform_that_does_not_start_is_shown_with_its_log(tmp_path, monkeypatch):
    """When the server ends at once, its last words and a verdict are printed."""
    monkeypatch.setattr(
        platform, "_VELTRIX", (sys.executable, "-c", "print('port taken'); raise SystemExit(3)")
    )
    code, text = run(tmp_path)
    assert code == EXIT_UNUSABLE
    assert "port taken" in text
    assert text.splitlines()[-1] == "VERDICT FAIL: veltrix serve ended with exit code 3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_what_it_started(tmp_path, number):
    """Ctrl-C and SIGTERM end the demo and the platform that it started."""
    with subprocess.Popen(
        [sys.executable, "-m", "veltrix", "demo", "--people", "3000"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Opening"):
                break
        started = psutil.Process(process.pid).children()
        assert started
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [child for child in started if child.is_running()]


def test_the_platform_gets_its_shipped_defaults(tmp_path, monkeypatch):
    """Whatever configures Veltrix for this user is kept from the demo's own platform."""
    monkeypatch.setenv("VELTRIX_HTTP_PORT", "1")
    monkeypatch.setenv("VELTRIX_CONFIG", "/nowhere.toml")
    environment = shipped_environment(tmp_path)
    assert not [name for name in environment if name.startswith("VELTRIX_")]
    assert environment["XDG_CONFIG_HOME"].startswith(str(tmp_path))
    running = LocalPlatform.start(tmp_path)
    try:
        assert running.is_running()
        assert running.new_key().startswith("vk_")
    finally:
        assert running.stop() == 0
