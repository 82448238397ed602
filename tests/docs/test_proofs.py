"""A promise in the documents names the test that proves it; that test exists."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs import pages

_PROOF = re.compile(r"`(tests/[\w./-]+\.py)::([\w:]+)`")
PROMISES = [
    ("README.md", "What is promised"),
    ("docs/consistency.md", "The table"),
    ("docs/consistency.md", "In a cluster"),
    ("docs/notification.md", "The promise"),
]
# Through these fixtures and tables a test reaches real engines.
_ENGINES = re.compile(
    r"kafka_broker|postgres_server|etcd_server|engine_tools|tests\.cluster|on_kafka|on_postgres|on_etcd"
)


@cache
def claims_of(file: str) -> frozenset[str]:
    """The tests of a file, as `test_name` or `Class::test_name`."""
    found: set[str] = set()
    for node in ast.parse(pages.read(pages.ROOT / file)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def test_every_test_that_a_document_names_exists():
    """A `file::test` in any page is a test function of that file."""
    missing = []
    for page in pages.pages():
        for file, name in _PROOF.findall(pages.read(page)):
            if not (pages.ROOT / file).exists() or name not in claims_of(file):
                missing.append(f"{page.relative_to(pages.ROOT)}: {file}::{name}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(("page", "heading"), PROMISES)
def test_every_promise_names_its_proof(page, heading):
    """Each row of a table of promises names a test, or says in words that there is none yet."""
    rows = list(pages.rows(pages.section(pages.read(pages.ROOT / page), heading)))
    assert rows
    bare = [row[0] for row in rows if not _PROOF.search(row[-1]) and "no test yet" not in row[-1]]
    assert not bare


def test_promises_of_the_cluster_are_proved_on_real_engines():
    """Each row of the cluster's table names a test of a suite that runs on a real engine."""
    rows = pages.rows(pages.section(pages.read(pages.ROOT / "docs/consistency.md"), "In a cluster"))
    suites = {row[0]: {file for file, _ in _PROOF.findall(row[-1])} for row in rows}
    assert len(suites) > 15
    without = [what for what, files in suites.items() if not any(reaches_engines(file) for file in files)]
    assert not without


def reaches_engines(file: str) -> bool:
    """Whether a file of tests, or what stands beside it for all of them, asks for engines."""
    folder = (pages.ROOT / file).parent
    beside = (folder / name for name in ("conftest.py", "adapters.py"))
    asking = (pages.ROOT / file, *(path for path in beside if path.exists()))
    return any(_ENGINES.search(pages.read(path)) for path in asking)
