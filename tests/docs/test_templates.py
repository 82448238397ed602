"""The examples in docs/templates.md do what the page says, and its lists have everything."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.docs import pages
from tests.docs.test_examples import compare, run, unexpected, with_stand_in
from tests.e2e.running import Platform, until
from veltrix.domain.notices import NoticeKind
from veltrix.notification.own_texts import VARIABLES
from veltrix.notification.template_language import FILTERS

PAGE = pages.DOCS / "templates.md"


@pytest.fixture
async def platform(tmp_path):
    """A platform on an empty directory, stopped at the end whatever happened."""
    running = Platform(tmp_path / "data")
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def test_the_page_does_what_it_says(platform: Platform, tmp_path):
    """Every example works in order and answers as documented; the test mail goes out in these words."""
    variables = {"URL": platform.url, "KEY": await platform.key()}
    if shutil.which("curl") is None:
        variables |= with_stand_in(tmp_path)
    outputs = await run(PAGE, platform, tmp_path, variables)
    assert unexpected(PAGE, outputs) == []
    compare(PAGE, outputs)
    preview = json.loads((tmp_path / "preview.json").read_text(encoding="utf-8"))
    assert preview["subject"] == "Tomorrow: Sample event"
    await until(lambda: len(platform.mails()) == 1, "the test mail")
    mail = platform.mails()[0].read_text(encoding="utf-8")
    assert re.search(r"^To: .*me@example\.org", mail, re.MULTILINE)
    assert "Subject: Tomorrow: Sample event" in mail


def listed(heading: str) -> set[str]:
    """The names in the first column of a section's table."""
    table = pages.rows(pages.section(pages.read(PAGE), heading))
    return {name for row in table for name in re.findall(r"`(\w+)`", row[0])}


def test_every_kind_and_variable_is_listed():
    """Nobody has to guess what there is."""
    assert listed("Kinds") == {kind.value for kind in NoticeKind}
    assert listed("Variables") == {each.name for each in VARIABLES}
    personal = {
        re.findall(r"`(\w+)`", row[0])[0]
        for row in pages.rows(pages.section(pages.read(PAGE), "Variables"))
        if "(personal)" in row[0]
    }
    assert personal == {each.name for each in VARIABLES if each.personal}
    for name in FILTERS - {"e", "escape"}:
        assert f"`{name}`" in pages.read(PAGE)
