"""The examples in the documents do what the documents say, on a real platform.

Blocks of a page that are marked `sh example` are run in order by one shell; `retry` repeats a block until
it succeeds. A block marked `json answer` (or `json lines`) has the shape of what the block before it printed:
every name in it must be there with the same type, and the words in `SAME` must be the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.docs import curl, pages
from tests.e2e.running import Platform

SAME = frozenset({"type", "title", "status", "refusal", "slug", "category", "name", "email", "key"})
ANSWERS = (("json", "answer"), ("json", "lines"))
METHODS = frozenset({"get", "post", "patch", "put", "delete"})
TIMEOUT_S = 60.0
README, API = pages.ROOT / "README.md", pages.DOCS / "api.md"


@pytest.fixture
async def platform(tmp_path):
    """A platform on an empty directory, stopped at the end whatever happened."""
    running = Platform(tmp_path / "data")
    await running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.returncode is None:
            await running.stop()


def examples(page: Path) -> list[pages.Block]:
    """The blocks of a page that are run."""
    return [block for block in pages.blocks(pages.read(page)) if block.info[:2] == ("sh", "example")]


def script(page: Path, platform: Platform, outputs: Path) -> str:
    """One shell script of all examples; what each prints goes to a file named after its line."""
    parts = ["set -eu"]
    for block in examples(page):
        body = block.text.replace("URL=http://127.0.0.1:8080", f"URL={platform.url}")
        body = body.replace("~/.local/share/veltrix", shlex.quote(str(platform.directory)))
        body = body.replace(".venv/bin/veltrix", f"{shlex.quote(sys.executable)} -m veltrix")
        output = shlex.quote(str(outputs / f"{block.line:04d}"))
        group = f"{{\n{body}\n}}"
        if "retry" in block.info:
            group = f"until {group} 2>/dev/null; do :; done"
        parts.append(f"echo {block.line} >&2\n{group} > {output}")
    return "\n".join(parts) + "\n"


async def run(page: Path, platform: Platform, work: Path, variables: dict[str, str]) -> Path:
    """Run the examples of a page; returns where their outputs are."""
    outputs = work / "outputs"
    outputs.mkdir()
    (work / "examples.sh").write_text(script(page, platform, outputs), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        "sh", str(work / "examples.sh"),
        cwd=work,
        env=platform.environment() | variables | {"PYTHONPATH": str(pages.ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        _, errors = await process.communicate()
    said = errors.decode()
    printed = "\n".join(
        f"{path.name}: {path.read_text(encoding='utf-8')}" for path in sorted(outputs.iterdir())
    )
    assert process.returncode == 0, f"{page.name}, the last line of:\n{said}\n{printed}"
    return outputs


def printed_by(outputs: Path) -> dict[int, str]:
    """What each block printed, by its line."""
    return {int(path.name): path.read_text(encoding="utf-8") for path in sorted(outputs.iterdir())}


def with_stand_in(work: Path) -> dict[str, str]:
    """A PATH on which `curl` is our own."""
    folder = work / "bin"
    folder.mkdir()
    program = folder / "curl"
    program.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.docs.curl "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def difference(shown: Any, came: Any, at: str = "$") -> str:
    """Where an answer has not the shape that a document gives it; empty when it has."""
    if isinstance(shown, dict):
        if not isinstance(came, dict):
            return f"{at} is {came!r}"
        for name, value in shown.items():
            if name not in came:
                return f"{at}.{name} is missing in {json.dumps(came)[:2000]}"
            if name in SAME and isinstance(value, str | int) and value != came[name]:
                return f"{at}.{name} is {came[name]!r}, not {value!r}"
            found = difference(value, came[name], f"{at}.{name}")
            if found:
                return found
        return ""
    if isinstance(shown, list):
        if not isinstance(came, list) or len(came) < len(shown):
            return f"{at} is {came!r}"
        pairs = enumerate(zip(shown, came, strict=False))
        return next((found for index, (a, b) in pairs if (found := difference(a, b, f"{at}[{index}]"))), "")
    return "" if type(shown) is type(came) else f"{at} is {came!r}, documented as {shown!r}"


def told(text: str, info: tuple[str, ...]) -> Any:
    """The values of an answer: one, or one a line."""
    return [json.loads(line) for line in text.splitlines()] if "lines" in info else json.loads(text)


def compare(page: Path, outputs: Path) -> None:
    """Every documented answer has the shape of what was printed."""
    printed = printed_by(outputs)
    last = None
    for block in pages.blocks(pages.read(page)):
        if block.info[:2] == ("sh", "example"):
            last = block
        elif block.info[:2] in ANSWERS:
            assert last is not None, f"{page.name}:{block.line} answers nothing"
            found = difference(told(block.text, block.info), told(printed[last.line], block.info))
            assert not found, f"{page.name}:{block.line}: {found}"


def unexpected(page: Path, outputs: Path) -> list[str]:
    """Problems that were printed by a block whose document does not show one."""
    shown: set[int] = set()
    for before, after in pairwise(pages.blocks(pages.read(page))):
        if after.info[:2] == ("json", "answer") and "urn:veltrix:problem:" in after.text:
            shown.add(before.line)
    return [
        f"{page.name}:{line}: {text}"
        for line, text in printed_by(outputs).items()
        if line not in shown and "urn:veltrix:problem:" in text
    ]


async def test_the_readme_does_what_it_says(platform, tmp_path):
    """The minute in the README works from a fresh start, down to the mail; with a curl of our own."""
    outputs = await run(README, platform, tmp_path, with_stand_in(tmp_path))
    assert unexpected(README, outputs) == []
    printed = "".join(printed_by(outputs).values())
    assert '"confirmed"' in printed
    assert re.search(r"^To: .*ada@example\.org", printed, re.MULTILINE)
    assert "PASS" in printed


async def test_the_tour_of_the_api_does_what_it_says(platform, tmp_path):
    """Every example of docs/api.md works in order, answers as documented, and no operation is left out."""
    variables = {"URL": platform.url, "KEY": await platform.key()}
    if shutil.which("curl") is None:
        variables |= with_stand_in(tmp_path)
    outputs = await run(API, platform, tmp_path, variables)
    assert unexpected(API, outputs) == []
    compare(API, outputs)
    described = json.loads((tmp_path / "openapi.json").read_text(encoding="utf-8"))["paths"]
    operations = {
        f"{method.upper()} {path}" for path, each in described.items() for method in METHODS & each.keys()
    }
    table = pages.section(pages.read(API), "Every operation")
    assert [pages.code(row[0]) for row in pages.rows(table) if pages.code(row[0]) not in operations] == []
    assert operations - {pages.code(row[0]) for row in pages.rows(table)} == set()


def test_the_stand_in_knows_every_option():
    """Each curl command of the documents can be read by our own curl, where there is no other."""
    for page in (README, API):
        for block in examples(page):
            joined = block.text.replace("\\\n", " ")
            for command in re.findall(r"\bcurl ((?:[^|\n'\"]|'[^']*'|\"(?:[^\"\\]|\\.)*\")*)", joined):
                words = shlex.split(re.sub(r"<<'END'.*| \|\| true.*|\)$", "", command.strip()))
                curl.parser().parse_args(words)
