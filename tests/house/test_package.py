"""The package as it is installed."""

import tomllib
from pathlib import Path

import veltrix

ROOT = Path(__file__).parents[2]


def test_version_is_that_of_the_project_file():
    """The installed package reports the version that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert veltrix.__version__ == project["version"]


def test_the_package_ships_what_operators_copy():
    """The wheel has the folder deploy/ as veltrix/deploy, where `veltrix cluster up` looks for dashboards."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "deploy": "veltrix/deploy"
    }
    assert (ROOT / "deploy" / "grafana" / "dashboards").is_dir()
