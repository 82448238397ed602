"""The documents as the tests read them: pages, headings, tables and fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^`]*)$")


class Block(NamedTuple):
    """A fenced block: the line of its first fence, the words after the ticks, and what stands inside."""

    line: int
    info: tuple[str, ...]
    text: str


def pages() -> list[Path]:
    """Every document of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def read(path: Path) -> str:
    """A document's text."""
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found: list[Block] = []
    ticks, inside = "", [""]
    head = (0, ("",))
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if not ticks and fence:
            ticks, inside, head = fence["ticks"], [], (number, tuple(fence["info"].split()))
        elif fence and fence["ticks"] == ticks and not fence["info"]:
            found.append(Block(*head, "\n".join(inside) + "\n"))
            ticks = ""
        elif ticks:
            inside.append(line)
    assert not ticks, f"the fence in line {head[0]} is never closed"
    return found


def prose(text: str) -> str:
    """A document without what stands in fenced blocks; lines keep their numbers."""
    kept = text.splitlines()
    for block in blocks(text):
        for index in range(block.line - 1, block.line + block.text.count("\n") + 1):
            kept[index] = ""
    return "\n".join(kept)


def headings(text: str) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    found: set[str] = set()
    for match in re.finditer(r"^#{1,6} +(.+?) *$", prose(text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).lower())
        anchor = plain.replace(" ", "-")
        name, count = anchor, 0
        while name in found:
            count += 1
            name = f"{anchor}-{count}"
        found.add(name)
    return found


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of the same or a higher level."""
    match = re.search(rf"^(#+) {re.escape(heading)}.*$", text, re.MULTILINE)
    assert match is not None, f"there is no heading {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row in a text, without heads and rules."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        rule = index + 1 < len(lines) and re.fullmatch(r"\|[-:| ]+\|", lines[index + 1])
        if line.startswith("|") and not rule and not re.fullmatch(r"\|[-:| ]+\|", line):
            yield [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def code(cell: str) -> str:
    """What stands in a cell's first pair of backticks, or nothing."""
    match = re.match(r"`([^`]+)`", cell)
    return match[1] if match else ""
