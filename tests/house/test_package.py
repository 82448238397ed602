"""The package as it is installed."""

import tomllib
from pathlib import Path

import veltrix

ROOT = Path(__file__).parents[2]


def test_version_is_that_of_the_project_file():
    """The installed package reports the version that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert veltrix.__version__ == project["version"]
