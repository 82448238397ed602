"""`veltrix template`: an organizer's own texts on a running platform."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.running import Platform, until


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform on an empty directory, stopped at the end whatever happened."""
    running = Platform(tmp_path / "data")
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def test_a_text_is_saved_looked_at_tried_and_removed(platform: Platform, tmp_path: Path) -> None:
    """Each command says what it did, and with --json what the platform answered."""
    where = ("--url", platform.url, "--key", await platform.key())
    text = tmp_path / "reminder.txt"
    text.write_text("Dear {{ name }}, see you on {{ date }}.\n{{ seats }}\n{{ link }}\n", encoding="utf-8")
    said = ("reminder", "en", "--subject", "Soon: {{ title }}", "--text", str(text))
    code, out = await platform.run("template", "save", *said, *where, "--json")
    assert (code, json.loads(out)["version"]) == (0, 1)
    code, out = await platform.run("template", "list", *where)
    assert code == 0
    assert "Soon: {{ title }}" in out
    code, out = await platform.run("template", "preview", "reminder", "en", *where)
    assert (code, out.splitlines()[0]) == (0, "Subject: Soon: Sample event")
    code, out = await platform.run("template", "test", "reminder", "en", "--to", "me@example.org", *where)
    assert code == 0, out
    await until(lambda: len(platform.mails()) == 1, "the test mail")
    code, out = await platform.run("template", "remove", "reminder", "en", *where, "--json")
    assert (code, json.loads(out)["removed"]) == (0, True)


async def test_what_is_wrong_is_said_with_the_remedy(platform: Platform, tmp_path: Path) -> None:
    """A loop of 10⁹, a template that there is not, no key, nobody there: an exit code and no traceback."""
    key = await platform.key()
    where = ("--url", platform.url, "--key", key)
    text = tmp_path / "bad.txt"
    text.write_text("{% for i in range(1000000000) %}x{% endfor %}", encoding="utf-8")
    code, out = await platform.run(
        "template", "save", "reminder", "en", "--subject", "x", "--text", str(text), *where
    )
    assert code == 1
    assert "repeats something 1000000000 times" in out
    assert "repeat at most 1000 times" in out
    code, out = await platform.run("template", "show", "reminder", "en", *where)
    assert (code, "No such template" in out) == (1, True)
    code, out = await platform.run("template", "list", "--url", platform.url)
    assert (code, "VELTRIX_KEY" in out) == (3, True)
    code, out = await platform.run("template", "list", "--url", "http://127.0.0.1:1", "--key", key)
    assert (code, "cannot be asked" in out) == (3, True)
    assert "Traceback" not in out
