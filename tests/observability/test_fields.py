"""The keys of log lines are one list: what is written is in it, and what is in it is written."""

import ast
from collections.abc import Iterator
from pathlib import Path

from veltrix.observability.fields import ALWAYS, FIELDS
from veltrix.observability.masking import is_masked_key
from veltrix.observability.pipeline import FIRST_KEYS

SOURCE = Path(__file__).parents[2] / "src" / "veltrix"
CALLS = {"debug", "info", "warning", "error", "exception", "bind", "write"}
# `_log` of these is the standard library's: exc_info is no field there.
NO_FIELDS = {"exc_info"}


def written() -> Iterator[tuple[str, str]]:
    """(key, file) of every field that a line is given by name."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not (node.args or node.keywords):
                continue
            named = ast.unparse(node.func)
            of_logger = named.rpartition(".")[0] == "_log" and named.rpartition(".")[2] in CALLS
            if of_logger or named in ("write", "bind", "bound"):
                for keyword in node.keywords:
                    if keyword.arg is not None and keyword.arg not in NO_FIELDS:
                        yield keyword.arg, path.relative_to(SOURCE).as_posix()


def test_every_key_is_in_the_list():
    """A line names what it is about as all other lines do."""
    unknown = [f"{file}: {key}" for key, file in written() if key not in FIELDS]
    assert unknown == [], "use a key of observability/fields.py, or add one there with its meaning"


def test_every_key_of_the_list_is_used():
    """The list holds nothing that nobody writes. `exception` is made from what was raised."""
    assert FIELDS.keys() - {key for key, _ in written()} == {"exception"}


def test_no_key_is_one_that_is_masked():
    """What is named in the list is meant to be read; personal data has no name there."""
    assert [key for key in FIELDS if is_masked_key(key)] == []
    assert tuple(ALWAYS) == FIRST_KEYS
