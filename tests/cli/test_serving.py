"""`veltrix serve`, `key` and `audit` as real processes on a real data directory."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.cli.console import environment, veltrix

TIMEOUT_S = 60


class Serving:
    """A `veltrix serve` process; standard error is read line by line as its log."""

    def __init__(self, home, *arguments, **variables):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "veltrix", "serve", "--port", "0", *arguments],
            env=environment(home, **variables),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.log = []
        self.url = self.said("serving")["url"]

    def said(self, message):
        """The line of that message, waiting for it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["message"] == message:
                return self.log[-1]
        raise AssertionError(f"ended without {message!r}: {self.log}")

    def stop(self, number=signal.SIGTERM):
        """Ask it to stop; its exit code and standard output."""
        self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=TIMEOUT_S)
        self.log += [json.loads(line) for line in errors.splitlines()]
        return self.process.returncode, out


@pytest.fixture
def serving(tmp_path):
    """Starts platforms; whatever still runs at the end is killed."""
    started = []

    def start(*arguments, **variables):
        started.append(Serving(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_json_logs_nothing_else_is_printed(serving, number):
    """Not on a terminal: standard output stays empty, every line of standard error is a log line; exit 0."""
    platform = serving()
    with urllib.request.urlopen(f"{platform.url}/livez", timeout=TIMEOUT_S) as answer:
        assert answer.status == 200
    code, out = platform.stop(number)
    assert (code, out) == (0, "")
    assert [line["message"] for line in platform.log if line["service"] == "serve"][-1] == "stopping"
    assert {"time", "level", "service", "message"} <= platform.log[0].keys()


def test_metrics_are_served_in_both_formats(serving):
    """`/metrics` gives Prometheus' text, and OpenMetrics to whoever asks."""
    platform = serving()
    with urllib.request.urlopen(f"{platform.url}/metrics", timeout=TIMEOUT_S) as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"veltrix_terms_held 1.0\n" in answer.read()
    asked = urllib.request.Request(
        f"{platform.url}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")


def test_on_a_terminal_there_is_a_page(tmp_path):
    """People see URLs, the data, where mails go, what to do next and how to stop; Ctrl-C ends it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "veltrix", "serve", "--port", "0", "--data", str(tmp_path / "data")],
        env=environment(tmp_path, TERM="xterm", NO_COLOR="1", COLUMNS="300"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    text = b""
    while b"Ctrl-C" not in text:
        text += os.read(ours, 65_536)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            text += os.read(ours, 65_536)
        except OSError:  # Linux' way of saying that the other side is closed
            break
    os.close(ours)
    assert process.wait(timeout=TIMEOUT_S) == 0
    page = re.sub(r"\x1b\[\d*m", "", text.decode())
    url = re.search(r"Pages +(http://127\.0\.0\.1:\d+)\r\n", page)
    assert url is not None, page
    assert f"{url[1]}/docs" in page
    assert f"{url[1]}/metrics" in page
    assert re.search(rf"Data +{re.escape(str(tmp_path))}/data\r\n", page)
    assert f"written to {tmp_path}/data/spool, not sent" in page
    assert f"veltrix key create --organizer acme --data {tmp_path}/data" in page
    assert page.rstrip().endswith("Stopped.")
    assert "uvicorn" not in page
    assert "Traceback" not in page


def test_a_port_in_use_is_told(tmp_path):
    """Exit code 3, with the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = veltrix(tmp_path, "serve", "--port", port)
    assert ended.returncode == 3
    assert port in ended.stderr
    assert "0 takes a free one" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_data_in_use_is_told(tmp_path, serving):
    """A second process on the same data ends at once with exit code 3 and names the directory."""
    serving("--data", str(tmp_path / "data"))
    ended = veltrix(tmp_path, "serve", "--port", "0", "--data", str(tmp_path / "data"))
    assert ended.returncode == 3
    assert str(tmp_path / "data") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_directory_that_is_a_file_is_told(tmp_path):
    """Exit code 3, with the path."""
    (tmp_path / "data").write_text("", encoding="utf-8")
    for data in ("data", "data/below"):
        ended = veltrix(tmp_path, "serve", "--port", "0", "--data", data)
        assert ended.returncode == 3, ended.stderr
        assert str(tmp_path / "data") in ended.stderr
        assert "Traceback" not in ended.stderr


def test_keys_are_made_listed_and_revoked(here):
    """The key is printed once; the list shows what it is for, not the key; revoking works once."""
    made = here("key", "create", "--organizer", "acme", "--scope", "check-in", "--label", "door")
    assert made.returncode == 0, made.stderr
    (key,) = set(re.findall(r"vk_\S+_[\w-]+", made.stdout))
    assert f"curl -H 'Authorization: Bearer {key}'" in made.stdout
    assert "\x1b" not in made.stdout
    listed = here("key", "list")
    assert key not in listed.stdout
    (entry,) = json.loads(here("key", "list", "--json").stdout)
    assert (entry["organizer"], entry["scopes"], entry["label"]) == ("acme", ["check-in"], "door")
    assert entry["id"] in listed.stdout
    assert here("key", "revoke", key).returncode == 1
    assert here("key", "revoke", entry["id"]).returncode == 0
    again = here("key", "revoke", entry["id"])
    assert again.returncode == 1
    assert "Nothing revoked" in again.stderr
    assert json.loads(here("key", "list", "--json").stdout) == []


def test_keys_as_json(here):
    """For scripts: the key and what it may do; `write` when nothing is asked for."""
    made = json.loads(here("key", "create", "--organizer", "acme", "--json").stdout)
    assert made["scopes"] == ["write"]
    assert made["key"].startswith("vk_")
    assert made["id"].startswith("key_")


def test_a_key_works_at_once_while_the_platform_serves(here, serving):
    """A key made beside a running platform opens it; audit runs beside it too, and finds it sound."""
    platform = serving()
    made = json.loads(here("key", "create", "--organizer", "acme", "--json").stdout)
    asked = urllib.request.Request(
        f"{platform.url}/v1/events", headers={"authorization": f"Bearer {made['key']}"}
    )
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
        assert json.load(answer)["items"] == []
    audited = here("audit", "--json")
    assert audited.returncode == 0, audited.stderr
    assert json.loads(audited.stdout)["verdict"] == "PASS"
    said = here("audit")
    assert said.stdout.rstrip().endswith("VERDICT PASS: the ledger is what the log leads to")


def test_a_second_interrupt_ends_it_at_once(tmp_path):
    """When stopping in order takes too long, a second Ctrl-C ends the process with exit code 130."""
    code = """
import asyncio
from veltrix.cli.serving import run_until_signal

async def platform():
    print("up", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("draining", flush=True)
        await asyncio.Event().wait()

run_until_signal(platform(), lambda second: print("stopping", second, flush=True))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for expected, number in (("up", signal.SIGINT), ("draining", signal.SIGTERM), (None, signal.SIGINT)):
        while expected is not None and process.stdout.readline() != f"{expected}\n":
            pass
        process.send_signal(number)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert out.endswith("stopping True\n")
