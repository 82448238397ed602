"""The house's rules (rules.py) applied to every file; test_rules.py shows that they can fail."""

import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.house import rules

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

# A file or function that is longer than the house allows, and why that is right. Keys are paths below the
# checkout, for a function with its name: "src/veltrix/wire.py::decode". An entry that is not needed fails.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def python_files(*folders: str) -> list[Path]:
    """All Python files below the folders, in a stable order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def below_root(path: Path) -> str:
    """A path as people write it: below the checkout, with slashes."""
    return path.relative_to(ROOT).as_posix()


def committed_files() -> list[Path]:
    """What is, or would be, committed; outside a git checkout (an unpacked archive) whatever is there."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        paths = [p for p in ROOT.rglob("*") if not any(part.startswith(".") for part in p.parts)]
    return [path for path in paths if path.is_file()]


def each(check: Callable[[str, PurePosixPath], Iterator[str]]) -> list[str]:
    """The findings of one rule in all source files, as path:line: what is wrong."""
    return [
        f"{below_root(path)}:{finding}"
        for path in python_files("src/veltrix")
        for finding in check(
            path.read_text(encoding="utf-8"), PurePosixPath(path.relative_to(SRC).as_posix())
        )
    ]


def report(findings: list[str]) -> None:
    """Fails with all findings at once, one a line."""
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def test_rooms_import_only_what_the_table_allows():
    """No file imports from a room that the design's table does not allow; domain is pure."""
    report(each(rules.room_findings))


def test_the_outside_world_comes_through_ports():
    """Domain, ports, wire and the services read no clock, chance, thread, environment or file themselves."""
    report(each(rules.outside_world_findings))


def test_public_things_have_docstrings():
    """Every module, and every public class and function at its top, says what it is for."""
    report(each(rules.docstring_findings))


def test_files_are_short():
    """A file has at most 400 lines, or an exemption that says why; needless exemptions fail too."""
    lengths = {
        below_root(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files("src", "benchmarks")
    }
    long = {path: lines for path, lines in lengths.items() if lines > rules.FILE_LINES_MAX}
    findings = [f"{path}: {lines} lines" for path, lines in long.items() if not LONG_FILES.get(path)]
    findings += [f"{path}: its exemption is needless" for path in LONG_FILES if path not in long]
    report(findings)


def test_functions_are_short():
    """A function has at most 60 lines, or an exemption that says why; needless exemptions fail too."""
    long = {
        f"{below_root(path)}::{name}": lines
        for path in python_files("src", "benchmarks")
        for name, lines in rules.long_functions(path.read_text(encoding="utf-8"))
    }
    findings = [f"{key}: {lines} lines" for key, lines in long.items() if not LONG_FUNCTIONS.get(key)]
    findings += [f"{key}: its exemption is needless" for key in LONG_FUNCTIONS if key not in long]
    report(findings)


def test_every_test_states_its_claim():
    """Each test function's docstring says what it shows."""
    report(
        [
            f"{below_root(path)}:{finding}"
            for path in python_files("tests")
            for finding in rules.claim_findings(path.read_text(encoding="utf-8"))
        ]
    )


def test_every_exemption_says_why():
    """Each lint or type exemption carries its reason in the same comment."""
    report(
        [
            f"{below_root(path)}:{finding}"
            for path in python_files("src", "benchmarks", "tests")
            for finding in rules.exemption_findings(path.read_text(encoding="utf-8"))
        ]
    )


def test_no_file_names_a_package_registry():
    """Where packages come from is up to whoever installs them: no committed file names a registry's host."""
    report(
        [
            f"{below_root(path)}:{finding}"
            for path in committed_files()
            for finding in rules.registry_findings(path.read_text(encoding="utf-8", errors="replace"))
        ]
    )


def test_import_linter_knows_the_same_rooms():
    """The layers in pyproject.toml and the table in rules.py name the same rooms."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers, *_ = (contract for contract in contracts if contract["type"] == "layers")
    named = {room.strip(" ()") for layer in layers["layers"] for room in layer.split("|")}
    assert named | set(layers["exhaustive_ignores"]) == set(rules.ROOMS)
