"""The commands as processes: help, exit codes, JSON, and that no error shows a traceback."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.console import environment, veltrix
from veltrix import __version__
from veltrix.cli.exits import MEANINGS

COMMANDS = [
    "serve",
    "demo",
    "load",
    "audit",
    "key",
    "key create",
    "key list",
    "key revoke",
    "endpoint",
    *(f"endpoint {name}" for name in ("create", "list", "show", "change", "delete")),
    *(f"endpoint {name}" for name in ("rotate", "ping", "enable")),
    "notice",
    *(f"notice {name}" for name in ("list", "show", "replay", "release")),
    "config",
    "config show",
    "config check",
    "config reference",
    "cluster",
    *(f"cluster {name}" for name in ("up", "down", "status", "kill", "pause", "resume", "restart")),
    *(f"cluster {name}" for name in ("cut", "delay", "heal")),
    "bounce",
    "suppression",
    *(f"suppression {name}" for name in ("add", "list", "remove")),
    "version",
]


def test_help_lists_commands_and_exit_codes(here):
    """`veltrix --help` names every command and every exit code."""
    ended = here("--help")
    assert ended.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in ended.stdout
    for code, meaning in MEANINGS.items():
        assert f"{code:>5}  {meaning}" in ended.stdout
    assert here("-h").stdout == ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(here, command):
    """Each command has a help of its own that says what it does."""
    ended = here(*command.split(), "--help")
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()[2].strip()) > 10


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["serve", "--prot", "1"],
        ["serve", "extra"],
        ["key", "create"],
        ["key", "create", "--organizer", "acme", "--scope", "everything"],
        ["key", "create", "--organizer", "Acme Inc."],
        ["key", "create", "--organizer", "acme", "--label", "two\nlines"],
        ["key", "revoke"],
        ["load"],
        ["load", "http://127.0.0.1:1", "--registrants", "0"],
        ["load", "http://127.0.0.1:1", "--mix", "nonsense=1"],
        ["load", "http://127.0.0.1:1", "--mix", "cancels=much"],
        ["load", "http://127.0.0.1:1", "--mix", "cancels=2"],
        ["load", "http://127.0.0.1:1", "--mix", "cancels=0.1", "--singles-only"],
        ["load", "http://127.0.0.1:1", "--rate", "-1"],
        ["load", "http://127.0.0.1:1", "--api-key-file", "/nowhere"],
        ["serve", "--port", "http"],
        ["serve", "--config", "/nowhere.toml"],
        ["serve", "--host", ""],
        ["audit"],
        ["audit", "--data", "/nowhere"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(here, arguments):
    """Wrong arguments and wrong configuration say what is wrong and end with exit code 2."""
    ended = here(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.strip() or not arguments


def test_the_version_is_told(here):
    """As a command, as an option, and as JSON."""
    assert here("version").stdout == f"veltrix {__version__}\n"
    assert here("--version").stdout == f"veltrix {__version__}\n"
    assert json.loads(here("version", "--json").stdout)["version"] == __version__


def test_config_show_tells_value_and_origin(here, tmp_path):
    """Each effective value with where it came from; as a table and as JSON; secrets as stars."""
    file = tmp_path / "veltrix.toml"
    file.write_text("[http]\nport = 9000\n[smtp]\nusername = 'me'\n", encoding="utf-8")
    variables = {"VELTRIX_SMTP_PASSWORD": "hunter2", "VELTRIX_CONFIG": str(file)}
    table = here("config", "show", **variables)
    assert table.returncode == 0
    assert f"File: {file}\n" in table.stdout
    (line,) = [line for line in table.stdout.splitlines() if line.startswith("http.port")]
    assert line.split() == ["http.port", "9000", f"{file}:2"]
    shown = json.loads(here("config", "show", "--json", **variables).stdout)
    settings = {setting["key"]: setting for setting in shown["settings"]}
    assert settings["smtp.password"] == {
        "key": "smtp.password",
        "value": "********",
        "source": "environment",
        "where": "VELTRIX_SMTP_PASSWORD",
    }
    assert settings["http.port"] == {
        "key": "http.port",
        "value": 9000,
        "source": "file",
        "where": f"{file}:2",
    }
    assert settings["http.wait_default"]["value"] == "10 s"
    assert settings["http.public_url"]["value"] is None
    assert "hunter2" not in table.stdout + json.dumps(shown)


def test_config_check_says_yes_or_what_is_wrong(here):
    """Exit code 0 for a configuration that can be used, 1 with every problem for one that cannot."""
    good = here("config", "check", VELTRIX_SMTP_HOST="mail.example.org")
    assert good.returncode == 0
    assert "Note: smtp.host is set, but notification.channel is spool" in good.stderr
    wrong = {"VELTRIX_HTTP_PORT": "x", "VELTRIX_HTTP_PROT": "1"}
    bad = here("config", "check", **wrong)
    assert bad.returncode == 1
    assert "2 problems" in bad.stderr
    assert "did you mean VELTRIX_HTTP_PORT?" in bad.stderr
    as_json = here("config", "check", "--json", **wrong)
    assert as_json.returncode == 1
    problems = json.loads(as_json.stdout)["problems"]
    assert [problem["key"] for problem in problems] == ["http.port", "VELTRIX_HTTP_PROT"]
    assert set(problems[0]) == {"key", "value", "where", "message", "remedy"}
    assert json.loads(here("config", "check", "--json").stdout)["ok"] is True


def test_a_wrong_configuration_stops_every_command(here):
    """Commands that need the configuration end with 2 and the problems, not with a traceback."""
    for command in (["serve"], ["audit"], ["key", "list"], ["config", "show"]):
        ended = here(*command, VELTRIX_HTTP_PORT="x")
        assert ended.returncode == 2
        assert 'VELTRIX_HTTP_PORT: http.port = "x" is not a whole number' in ended.stderr


def test_output_into_a_pipe_is_plain(tmp_path):
    """No colours and no wrapping where no terminal is; no colours on one either when NO_COLOR is set."""
    assert "\x1b" not in veltrix(tmp_path, "config", "show").stdout
    assert "\x1b[1m" in on_terminal(tmp_path, "config", "show")
    assert "\x1b[3" not in on_terminal(tmp_path, "config", "check", NO_COLOR="1", VELTRIX_X="1")
    assert "\x1b[1;31m" in on_terminal(tmp_path, "config", "check", VELTRIX_X="1")


def on_terminal(home, *arguments, **variables):
    """What `veltrix ARGUMENTS` prints on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "veltrix", *arguments],
        env=environment(home, **({"TERM": "xterm-256color"} | variables)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65_536)
        except OSError:  # Linux' way of saying that the other side is closed
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    process.wait(timeout=60)
    return text.decode()


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """`veltrix config reference | head -1` ends quietly."""
    ended = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m veltrix config reference | head -n 1'],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "# Configuration\n"
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "COMPREPLY"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_shell_completion_is_there(tmp_path, shell, mark):
    """The completion script can be printed for each shell, and asking it completes commands."""
    script = veltrix(tmp_path, _VELTRIX_COMPLETE=f"source_{shell}")
    assert mark in script.stdout, script.stderr
    asked = veltrix(tmp_path, _VELTRIX_COMPLETE="complete_bash", COMP_WORDS="veltrix conf", COMP_CWORD="1")
    assert asked.stdout.split() == ["config"]


def test_an_unexpected_error_leaves_a_report(tmp_path):
    """A defect gives a short message and a masked report in a file that only its user can read."""
    code = """
import sys
from veltrix.cli import app, auditing
def broken(*arguments, **options):
    raise ZeroDivisionError("of ada@example.org")
auditing.configured = broken
sys.exit(app.run())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code, "audit"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr
    (report,) = (tmp_path / ".local/state/veltrix/crashes").iterdir()
    assert str(report) in ended.stderr
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text(encoding="utf-8")
    assert "ZeroDivisionError: of [masked]" in text
    assert f"veltrix {__version__}" in text
    assert "command: veltrix audit" in text


@pytest.mark.parametrize(
    "module", ["rich", "structlog", "prometheus_client", "uvicorn", "importlib.metadata", "asyncio"]
)
def test_help_imports_nothing_heavy(tmp_path, module):
    """The first answer comes fast because it needs next to nothing."""
    code = f"""
import sys
sys.argv = ["veltrix", "--help"]
from veltrix.cli.app import run
run()
sys.exit({module!r} in sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 0


def test_production_is_judged_with_what_why_and_what_to_do(here):
    """`config check --production` shows each finding in full, and ends with 1 where it is not fit."""
    ended = here("config", "check", "--production", "--json")
    assert ended.returncode == 1
    answer = json.loads(ended.stdout)
    assert answer["ok"] is False
    found = {finding["code"]: finding for finding in answer["findings"]}
    assert found["single_machine"]["level"] == "danger"
    assert all(found[code][part] for code in found for part in ("what", "value", "why", "remedy"))
    table = here("config", "check", "--production").stdout
    assert all(finding["remedy"] in table for finding in found.values())
    assert "not fit for production" in table


def test_production_is_judged_only_of_a_configuration_that_can_be_used(here):
    """A configuration that no process starts with is told as ever, also to programs."""
    ended = here("config", "check", "--production", "--json", VELTRIX_HTTP_PORT="x")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["problems"]
