"""What every test shares: how long Hypothesis looks, the order of the suites and their times."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.goldens import Goldens

# "ci" looks at the same examples each time: the gate must not say yes and no to one commit. "thorough" draws
# new ones on every run and is for hunting; what it finds becomes an @example or a test of its own.
settings.register_profile("ci", max_examples=50, stateful_step_count=30, deadline=None, derandomize=True)
settings.register_profile(
    "thorough",
    max_examples=2_000,
    stateful_step_count=80,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

pytest_plugins = ["tests.engines"]

TESTS = Path(__file__).parent
SUITES = ("house", "unit", "conformance", "api", "cluster", "e2e")  # quick answers first

seconds_by_suite: dict[str, float] = defaultdict(float)
tests_by_suite: dict[str, int] = defaultdict(int)


def suite_of(path: Path) -> str:
    """Which suite a test file belongs to; what has no folder of its own below tests/ is a unit test."""
    below = path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""
    return below if below in SUITES else "unit"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Lets the golden files be written anew, and a test of a cluster have a larger one."""
    parser.addoption("--regenerate", action="store_true", help="write golden files anew, then read the diff")
    parser.addoption("--cluster-profile", default="small", help="what tests/cluster/test_watching.py starts")


@pytest.fixture
def goldens(request: pytest.FixtureRequest) -> Goldens:
    """The golden files."""
    return Goldens(regenerate=bool(request.config.getoption("--regenerate")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the quick suites first, and leaves the order within a suite as it is."""
    items.sort(key=lambda item: SUITES.index(suite_of(item.path)))
    if PROFILE == "thorough":
        for item in items:
            item.add_marker(pytest.mark.timeout(0))  # who hunts takes the time that it takes


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Adds up how long each suite takes, fixtures included."""
    suite = suite_of(TESTS.parent / report.location[0])
    seconds_by_suite[suite] += report.duration
    if report.when == "call":
        tests_by_suite[suite] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the time by suite, just above pytest's own last line."""
    terminalreporter.section("time by suite")
    for suite in SUITES:
        if suite in seconds_by_suite:
            line = f"{suite:<12} {tests_by_suite[suite]:>5} tests {seconds_by_suite[suite]:>8.1f} s"
            terminalreporter.write_line(line)
