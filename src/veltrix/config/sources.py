"""Where values come from: the file (with line numbers), the environment, the command line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from veltrix.config.model import ENVIRONMENT_PREFIX, FILE_VARIABLE, SECTIONS, SETTINGS, Setting

FILE_MAX_BYTES: Final = 1024 * 1024
SHOWN_MAX_CHARS: Final = 60


class Source(StrEnum):
    """The layers, weakest first: each wins over those before it."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class Origin(NamedTuple):
    """Where a value came from: `where` is path:line, a variable or an option; empty for a default."""

    source: Source
    where: str = ""

    def __str__(self) -> str:
        return self.where or self.source.value


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: which key, with what value (stars for a secret), where, and what to do."""

    key: str
    value: str
    where: str
    message: str
    remedy: str

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.key}{given} {self.message}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has everything that is wrong with it, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Given(NamedTuple):
    """A value as it was given, in TOML's types, still to be checked. Relative paths start at `base`."""

    value: Any
    origin: Origin
    base: Path


def shown(value: Any, setting: Setting | None = None) -> str:
    """A given value as a problem shows it: short, on one line, stars for a secret or what looks like one."""
    from veltrix.config.kinds import Secret, SecretText

    if isinstance(value, Secret) or (setting is not None and isinstance(setting.kind, SecretText)):
        return "********"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else _one_line(value)
    return text if len(text) <= SHOWN_MAX_CHARS else f"{text[: SHOWN_MAX_CHARS - 1]}…"


def _one_line(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value[: SHOWN_MAX_CHARS * 2].encode("unicode_escape").decode().replace('"', '\\"') + '"'
    if isinstance(value, int) and abs(value) >= 10**50:
        return "a huge number"
    if isinstance(value, list | tuple | dict):
        return f"[{', '.join(_one_line(item) for item in list(value)[:20])}]"
    return str(value)


def looks_secret(name: str) -> bool:
    """Whether a key that Veltrix does not know was probably meant to hold a secret."""
    return any(word in name.lower() for word in ("pass", "secret", "token", "key", "credential"))


def close_to(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    matches = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return matches[0] if matches else None


# -- the file ------------------------------------------------------------------------------------
_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")


def lines_of(text: str) -> dict[str, int]:
    """The line of each `section` and `section.key` in a TOML text, as far as plain reading finds it."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _plain(header[1])
            found.setdefault(section, number)
        elif assignment := _ASSIGNMENT.match(line):
            key = _plain(assignment[1])
            found.setdefault(f"{section}.{key}" if section else key, number)
    return found


def _plain(name: str) -> str:
    """A dotted name without quotation marks and spaces."""
    return re.sub(r"[\s\"']", "", name)


def read_file(path: Path) -> tuple[dict[str, Given], list[Problem]]:
    """The values that a file gives, and what is wrong with its keys."""
    try:
        if path.is_file() and path.stat().st_size > FILE_MAX_BYTES:
            return {}, [_file_problem(path, "is larger than 1 MiB", "a configuration is much smaller")]
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, [_file_problem(path, "does not exist", "create it, or name another with --config")]
    except IsADirectoryError:
        return {}, [_file_problem(path, "is a directory", "name the file in it")]
    except OSError as error:
        return {}, [_file_problem(path, f"cannot be read ({error.strerror})", "make it readable")]
    except UnicodeDecodeError:
        return {}, [_file_problem(path, "is not UTF-8 text", "save it as UTF-8")]
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, [_syntax_problem(path, text, error)]
    return _values_of(path, document, lines_of(text))


def _file_problem(path: Path, message: str, remedy: str) -> Problem:
    return Problem(str(path), "", "", message, remedy)


def _syntax_problem(path: Path, text: str, error: Exception) -> Problem:
    """What the TOML reader says, with its line in the place where lines are told."""
    said = str(error) if isinstance(error, ValueError) else "Nested too deeply"
    place = re.search(r"\(at line (\d+), column (\d+)\)", said)
    if place:
        where = f"{path}:{place[1]}"
    else:
        where = f"{path}:{len(text.splitlines())}" if "end of document" in said else str(path)
    said = re.sub(r"\s*\(at [^)]*\)", "", said)
    return Problem("the file", "", where, f"is not valid TOML: {said}", "correct that line")


def _values_of(
    path: Path, document: Mapping[str, Any], lines: Mapping[str, int]
) -> tuple[dict[str, Given], list[Problem]]:
    given: dict[str, Given] = {}
    problems: list[Problem] = []

    def where(key: str) -> str:
        line = lines.get(key) or lines.get(key.partition(".")[0])
        return f"{path}:{line}" if line else str(path)

    for section, table in document.items():
        if section not in SECTIONS:
            problems.append(_unknown_section(section, table, where(section)))
        elif not isinstance(table, dict):
            remedy = f"write a line [{section}], and its keys below it"
            problems.append(Problem(section, shown(table), where(section), "is a section", remedy))
        else:
            for name, value in table.items():
                key = f"{section}.{name}"
                if key in SETTINGS:
                    given[key] = Given(value, Origin(Source.FILE, where(key)), path.absolute().parent)
                else:
                    problems.append(_unknown_key(section, name, value, where(key)))
    return given, problems


def _unknown_section(section: str, value: Any, where: str) -> Problem:
    homes = [setting.section for setting in SETTINGS.values() if setting.name == section]
    near = close_to(section, SECTIONS)
    if homes and not isinstance(value, dict):
        return Problem(section, "", where, "stands outside a section", f"move it below [{homes[0]}]")
    remedy = f"did you mean [{near}]?" if near else f"the sections are {', '.join(SECTIONS)}"
    return Problem(f"[{section}]", "", where, "is no section that Veltrix knows", remedy)


def _unknown_key(section: str, name: str, value: Any, where: str) -> Problem:
    names = [setting.name for setting in SETTINGS.values() if setting.section == section]
    homes = [setting.section for setting in SETTINGS.values() if setting.name == name]
    if near := close_to(name, names):
        remedy = f"did you mean {near}?"
    elif homes:
        remedy = f"did you mean it below [{homes[0]}]?"
    else:
        remedy = f"the keys of [{section}] are {', '.join(names)}"
    text = "********" if looks_secret(name) else shown(value)
    return Problem(f"{section}.{name}", text, where, "is no setting that Veltrix knows", remedy)


# -- the environment and the command line --------------------------------------------------------
def read_environment(environ: Mapping[str, str], base: Path) -> tuple[dict[str, Given], list[Problem]]:
    """The values that `VELTRIX_…` variables give, and those that Veltrix does not know."""
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == FILE_VARIABLE:
            continue
        setting = by_variable.get(variable)
        if setting is None:
            problems.append(_unknown_variable(variable, text, by_variable))
        else:
            _take(setting, text, Origin(Source.ENVIRONMENT, variable), base, given, problems)
    return given, problems


def _unknown_variable(variable: str, text: str, known: Mapping[str, Setting]) -> Problem:
    # The prefix is left out, or any two variables would look alike.
    by_rest = {name.removeprefix(ENVIRONMENT_PREFIX).lower(): name for name in [*known, FILE_VARIABLE]}
    rest = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
    near = next((name for name in by_rest if name.endswith(f"_{rest}")), None) or close_to(rest, by_rest)
    remedy = f"did you mean {by_rest[near]}?" if near else "unset it (veltrix config reference lists all)"
    value = "********" if looks_secret(variable) else shown(text)
    return Problem(variable, value, "environment", "is no variable that Veltrix knows", remedy)


def read_options(
    overrides: Mapping[str, tuple[str, str]], base: Path
) -> tuple[dict[str, Given], list[Problem]]:
    """The values that options of the command line give: {key: (option, text)}."""
    given: dict[str, Given] = {}
    problems: list[Problem] = []
    for key, (option, text) in overrides.items():
        _take(SETTINGS[key], text, Origin(Source.COMMAND_LINE, option), base, given, problems)
    return given, problems


def _take(
    setting: Setting,
    text: str,
    origin: Origin,
    base: Path,
    given: dict[str, Given],
    problems: list[Problem],
) -> None:
    from veltrix.config.kinds import Wrong

    try:
        given[setting.key] = Given(setting.kind.from_text(text), origin, base)
    except Wrong as wrong:
        problems.append(Problem(setting.key, shown(text, setting), str(origin), wrong.what, wrong.remedy))
