"""Which settings the whole cluster can be told while it runs, and how what it is told is checked.

A change is checked by whoever writes it, completely, against the configuration that it has (`changed`). A
process takes over what it can (`overlaid`): one that is older or newer must not fail over a key that it does
not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from veltrix.config.checks import contradictions
from veltrix.config.kinds import Wrong
from veltrix.config.model import SETTINGS, Config
from veltrix.config.sources import ConfigError, Origin, Problem, Source, close_to, shown

CHANGEABLE: Final = (
    "http.wait_default",
    "http.held_requests_max",
    "http.rate_per_address",
    "http.rate_burst",
    "log.undecided_max",
    "processing.batch_max",
    "processing.tick_interval",
    "processing.rules_version",
    "imports.in_flight",
    "logging.level",
)
"""What no process needs to be restarted for. The rest names places, or fixes what was built at the start."""

_WHERE: Final = "cluster settings"


def changed(config: Config, standing: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """The values after KEY=VALUE assignments; KEY= takes the cluster's value away. Raises `ConfigError`.

    `config` is what the processes have without cluster settings: contradictions with it are refused too.
    """
    values, problems = dict(standing), list[Problem]()
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        problem = _unfit(key, assignment if not equals else "")
        if problem is not None:
            problems.append(problem)
        elif not text:
            values.pop(key, None)
        else:
            try:
                value = SETTINGS[key].kind.from_text(text)
                values[key] = SETTINGS[key].kind.show(SETTINGS[key].kind.parse(value, Path()))
            except Wrong as wrong:
                problems.append(Problem(key, shown(text), "", wrong.what, wrong.remedy))
    if problems:
        raise ConfigError(problems)
    checked(config, values)
    return values


def checked(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with these values on top. Raises `ConfigError` for whatever is wrong with them."""
    overlay, problems = overlaid(config, values)
    if problems:
        raise ConfigError(problems)
    return overlay


def overlaid(config: Config, values: Mapping[str, Any]) -> tuple[Config, list[Problem]]:
    """The configuration with what of these values can be used, and what is wrong with the others.

    Values that contradict the rest of the configuration are used all the same: whoever set them was asked.
    """
    sections: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        problem = _unfit(key, "")
        if problem is None:
            setting = SETTINGS[key]
            try:
                parsed = setting.kind.parse(value, Path())
            except Wrong as wrong:
                problem = Problem(key, shown(value), _WHERE, wrong.what, wrong.remedy)
            else:
                sections.setdefault(setting.section, {})[setting.attribute] = parsed
        if problem is not None:
            problems.append(problem)
    built = {name: replace(getattr(config, name), **given) for name, given in sections.items()}
    overlay = replace(config, **built)
    known = {key: getattr(getattr(overlay, one.section), one.attribute) for key, one in SETTINGS.items()}
    origins = {
        key: Origin(Source.FILE, _WHERE) if key in values else Origin(Source.DEFAULT) for key in SETTINGS
    }
    problems += contradictions(known, origins)
    return overlay, problems


def _unfit(key: str, assignment: str) -> Problem | None:
    """What is wrong with a key, or with an assignment that has none."""
    if assignment:
        return Problem(assignment, "", "", "is no assignment", "write it as KEY=VALUE")
    if key in CHANGEABLE:
        return None
    if key in SETTINGS:
        return Problem(
            key,
            "",
            "",
            "cannot change while processes run",
            f"change the configuration and restart; what can is {', '.join(CHANGEABLE)}",
        )
    near = close_to(key, CHANGEABLE)
    remedy = f"did you mean {near}?" if near else f"the keys are {', '.join(CHANGEABLE)}"
    return Problem(key, "", "", "is no cluster setting", remedy)
