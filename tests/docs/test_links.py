"""What the documents point at exists."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs import pages
from tests.house import rules

_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
# A path in backticks that begins with one of the repository's own folders.
_PATH = re.compile(r"`((?:src|docs|tests|scripts|benchmarks|\.ci)/[\w./-]*\w/?)(?:::?[\w:\[\]-]*)?`")
# A module or folder in backticks, written below src/veltrix as the documents mostly do.
_MODULE = re.compile(
    r"`((?:domain|ports|adapters|processing|registration|notification|observability|config|load|cli)"
    r"/[\w./-]*\w/?|[a-z_]+\.py)(?:::?[\w.]*)?`"
)


def ids(paths: list[Path]) -> list[str]:
    """Readable names for the parameters."""
    return [path.relative_to(pages.ROOT).as_posix() for path in paths]


@pytest.mark.parametrize("page", pages.pages(), ids=ids(pages.pages()))
def test_relative_links_resolve(page):
    """Every relative link leads to a file of the checkout, and its anchor to a heading there."""
    broken = []
    for target in _LINK.findall(pages.prose(pages.read(page))):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or not there.is_relative_to(pages.ROOT):
            broken.append(f"{target}: no such file")
        elif anchor and (there.suffix != ".md" or anchor not in pages.headings(pages.read(there))):
            broken.append(f"{target}: no such heading")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("page", pages.pages(), ids=ids(pages.pages()))
def test_named_files_exist(page):
    """Every path of ours that a document names in backticks is there."""
    text = pages.prose(pages.read(page))
    missing = [name for name in _PATH.findall(text) if not (pages.ROOT / name).exists()]
    source = pages.ROOT / "src" / "veltrix"
    missing += [name for name in _MODULE.findall(text) if not (source / name).exists()]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("page", pages.pages(), ids=ids(pages.pages()))
def test_no_package_registry_is_named(page):
    """Where packages come from is the reader's business: no document names a registry's host."""
    assert list(rules.registry_findings(pages.read(page))) == []


def test_every_page_is_reachable_from_the_readme():
    """A reader who follows links from the README comes past every page."""
    seen: set[Path] = set()
    waiting = [pages.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        waiting += [
            (page.parent / target.partition("#")[0]).resolve()
            for target in _LINK.findall(pages.prose(pages.read(page)))
            if not re.match(r"[a-z][a-z+.-]*:|#", target)
        ]
    missed = [page.relative_to(pages.ROOT).as_posix() for page in pages.pages() if page not in seen]
    assert missed == []


@pytest.mark.parametrize("number", range(1, 1 + len(list((pages.DOCS / "adr").glob("[0-9]*.md")))))
def test_decision_records_have_the_shape(number):
    """Records are numbered without gaps, have their three parts and a status, and are short."""
    (path,) = (pages.DOCS / "adr").glob(f"{number:04d}-*.md")
    text = pages.read(path)
    assert text.startswith(f"# {number:04d} ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 40
