"""docs/operations.md says what the code says: exit codes, log messages, metrics."""

from __future__ import annotations

import ast
import re

from tests.docs import pages
from veltrix.cli.exits import MEANINGS
from veltrix.observability.catalogue import CATALOGUE

OPERATIONS = pages.DOCS / "operations.md"
LEVELS = {"info", "warning", "error", "exception"}


def logged() -> dict[str, str]:
    """Every message that a logger of ours is given as a literal, with its level."""
    found: dict[str, str] = {}
    for path in sorted((pages.ROOT / "src" / "veltrix").rglob("*.py")):
        for node in ast.walk(ast.parse(pages.read(path))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            logger, message = node.func.value, node.args[0]
            named = isinstance(logger, ast.Name) and logger.id == "_log"
            if named and node.func.attr in LEVELS and isinstance(message, ast.Constant):
                found[str(message.value)] = node.func.attr.replace("exception", "error")
    return {message: level for message, level in found.items() if re.fullmatch(r"[a-z_]+", message)}


def test_every_warning_and_error_is_explained():
    """The table of log messages has every warning and error of the source, and each message's level."""
    table = {
        pages.code(row[0]): row[1]
        for row in pages.rows(pages.section(pages.read(OPERATIONS), "What the log says"))
    }
    source = logged()
    loud = {message for message, level in source.items() if level != "info"}
    assert loud - table.keys() == set()
    quiet_or_loud = {message for message, level in table.items() if "," in level}
    assert {message: source.get(message) for message in table.keys() - quiet_or_loud} == {
        message: level for message, level in table.items() if message not in quiet_or_loud
    }


def test_exit_codes_are_those_of_the_command_line():
    """The table of exit codes has each code."""
    section = pages.section(pages.read(OPERATIONS), "Exit codes")
    assert [int(row[0]) for row in pages.rows(section)] == [int(code) for code in MEANINGS]


def test_named_metrics_exist():
    """Each metric that the page names is exposed by that name, with the label that it is asked for."""
    known = {metric.exposed: metric for metric in CATALOGUE}
    named = re.findall(r"`(veltrix_[a-z_]+|process_[a-z_]+)(?:\{(\w+)=)?", pages.read(OPERATIONS))
    assert named
    for name, label in named:
        assert name in known, name
        assert not label or label in known[name].labels, f"{name}{{{label}}}"
