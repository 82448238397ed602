"""What can change while processes run, and how a change is checked."""

from __future__ import annotations

import pytest

from veltrix.config import ConfigError, load
from veltrix.config.model import SETTINGS
from veltrix.config.runtime import CHANGEABLE, changed, checked, overlaid

CONFIG = load(environ={"HOME": "/home/nobody"}).config


def problems_of(*assignments: str, standing: dict[str, object] | None = None) -> list[str]:
    """What is wrong with assignments, a line each."""
    with pytest.raises(ConfigError) as caught:
        changed(CONFIG, standing or {}, assignments)
    return str(caught.value).splitlines()


def test_everything_changeable_is_a_setting():
    """Each key is one of the configuration's, and its default can be set again as it is shown."""
    for key in CHANGEABLE:
        setting = SETTINGS[key]
        shown = setting.kind.show(getattr(getattr(CONFIG, setting.section), setting.attribute))
        assert changed(CONFIG, {}, [f"{key}={shown}"]) == {key: shown}


def test_a_change_stands_on_what_stood():
    """Values are added and replaced, and an empty one goes back to the configuration."""
    standing = {"http.rate_burst": 70_000, "logging.level": "debug"}
    values = changed(CONFIG, standing, ["logging.level=", "http.wait_default = 2500 ms"])
    assert values == {"http.rate_burst": 70_000, "http.wait_default": "2500 ms"}
    overlay = checked(CONFIG, values)
    assert (overlay.http.wait_default_s, overlay.http.rate_burst) == (2.5, 70_000)
    assert overlay.logging == CONFIG.logging
    assert standing == {"http.rate_burst": 70_000, "logging.level": "debug"}


def test_everything_wrong_is_told_at_once_with_key_fault_and_remedy():
    """Unknown keys, keys that need a restart, values of the wrong kind and what is no assignment."""
    told = problems_of(
        "http.rate_brust=1", "http.port=8081", "processing.batch_max=many", "http.wait_default=5", "nonsense"
    )
    assert told[0] == "http.rate_brust is no cluster setting; did you mean http.rate_burst?"
    assert told[1].startswith("http.port cannot change while processes run; change the configuration and")
    assert told[2].startswith('processing.batch_max = "many" is not a whole number; choose a number from 1')
    assert told[3].startswith('http.wait_default = "5" has no unit')
    assert told[4] == "nonsense is no assignment; write it as KEY=VALUE"


def test_contradictions_with_the_configuration_are_refused():
    """What contradicts another cluster setting, or what is configured, is refused with both."""
    [told] = problems_of("http.rate_per_address=60000")
    assert "http.rate_per_address" in told
    assert "http.rate_burst" in told
    assert changed(CONFIG, {}, ["http.rate_per_address=60000", "http.rate_burst=70000"])


def test_a_process_takes_over_what_it_can():
    """Keys and values of another version are left out and told; the rest is used."""
    overlay, problems = overlaid(
        CONFIG, {"http.rate_burst": 70_000, "http.new_thing": 1, "logging.level": "loud", "http.port": 1}
    )
    assert overlay.http.rate_burst == 70_000
    assert overlay.http.port == CONFIG.http.port
    assert overlay.logging == CONFIG.logging
    assert len(problems) == 3
