"""From the sources to one `Config`, with everything that is wrong told at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from veltrix.config.checks import contradictions, remarks
from veltrix.config.kinds import Secret, Wrong
from veltrix.config.model import FILE_VARIABLE, SECTIONS, SETTINGS, SMTP_PORTS, Config
from veltrix.config.sources import (
    ConfigError,
    Given,
    Origin,
    Problem,
    Source,
    read_environment,
    read_file,
    read_options,
    shown,
)

PASSWORD_FILE_MAX_BYTES: Final = 4_096
WITH_PASSWORDS: Final = ("smtp", "kafka", "postgres", "etcd")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, where each of its values came from (by key), and what is worth a second look."""

    config: Config
    origins: dict[str, Origin]
    file: Path | None
    remarks: tuple[str, ...]


def load(
    file: Path | None = None,
    overrides: Mapping[str, tuple[str, str]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """The configuration from defaults < file < variables < options; raises `ConfigError`.

    `overrides` is {key: (option, text)}. The environment is read here, once, and nowhere else.
    """
    environ = os.environ if environ is None else environ
    here = Path.cwd()
    path = _file_of(file, environ)
    layers = [
        read_file(path) if path else ({}, []),
        read_environment(environ, here),
        read_options(overrides or {}, here),
    ]
    problems = [problem for _, found in layers for problem in found]
    given: dict[str, Given] = {}
    for values, _ in layers:
        given |= values
    values, wrong = _checked(given)
    problems += wrong
    origins = {key: given[key].origin if key in given else Origin(Source.DEFAULT) for key in SETTINGS}
    problems += _derive(values, origins, environ)
    problems += contradictions(values, origins)
    if problems:
        raise ConfigError(problems)
    return Loaded(_assembled(values), origins, path, tuple(remarks(values)))


def _file_of(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one that is named, else the user's own when there is one."""
    if file is not None:
        return file
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    own = _xdg(environ, "XDG_CONFIG_HOME", ".config")
    candidate = own / "veltrix" / "veltrix.toml" if own else None
    return candidate if candidate and candidate.is_file() else None


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path | None:
    """A base directory by the XDG specification, which ignores relative paths; None without a home."""
    named = Path(environ.get(variable, ""))
    if named.is_absolute():
        return named
    home = Path(environ.get("HOME", ""))
    return home / default if home.is_absolute() else None


def state_directory(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where reports of crashes go (XDG state home); None when there is no home directory."""
    state = _xdg(os.environ if environ is None else environ, "XDG_STATE_HOME", ".local/state")
    return state / "veltrix" if state else None


def _checked(given: Mapping[str, Given]) -> tuple[dict[str, Any], list[Problem]]:
    """Every setting's value, defaults included; a wrong one is told and stays at its default."""
    values = {key: setting.default for key, setting in SETTINGS.items()}
    problems: list[Problem] = []
    for key, (value, origin, base) in given.items():
        setting = SETTINGS[key]
        try:
            values[key] = setting.kind.parse(value, base)
        except Wrong as wrong:
            problems.append(Problem(key, shown(value, setting), str(origin), wrong.what, wrong.remedy))
    return values, problems


def _derive(values: dict[str, Any], origins: dict[str, Origin], environ: Mapping[str, str]) -> list[Problem]:
    """Fill in what depends on other settings or on the machine."""
    problems: list[Problem] = []
    if values["data.directory"] is None:
        home = _xdg(environ, "XDG_DATA_HOME", ".local/share")
        if home is None:
            remedy = "name a directory with --data or VELTRIX_DATA_DIRECTORY"
            problems.append(Problem("data.directory", "", "", "has no default without a home", remedy))
            home = Path("/")
        values["data.directory"] = home / "veltrix"
    if values["notification.spool_directory"] is None:
        values["notification.spool_directory"] = values["data.directory"] / "spool"
    if values["smtp.port"] is None:
        values["smtp.port"] = SMTP_PORTS[values["smtp.security"]]
    if values["postgres.vault_hosts"] is None:
        values["postgres.vault_hosts"] = values["postgres.hosts"]
    if values["secrets.master_key_file"] is None:
        values["secrets.master_key_file"] = values["data.directory"] / "master.key"
    for section in WITH_PASSWORDS:
        if values[f"{section}.password_file"] is not None:
            problems += _read_password(section, values, origins)
    return problems


def _read_password(section: str, values: dict[str, Any], origins: dict[str, Origin]) -> list[Problem]:
    """Take the password of a section from its file, unless another is given as well."""
    key, file_key = f"{section}.password", f"{section}.password_file"
    path: Path = values[file_key]
    origin = origins[file_key]

    def problem(message: str, remedy: str) -> list[Problem]:
        return [Problem(file_key, shown(str(path)), str(origin), message, remedy)]

    if values[key] is not None:
        return problem(f"and {key} ({origins[key]}) are both given", "keep one of them")
    try:
        with path.open(encoding="utf-8") as opened:
            text = opened.read(PASSWORD_FILE_MAX_BYTES + 1)
    except OSError as error:
        return problem(f"cannot be read ({error.strerror})", "make it readable, or name another")
    except UnicodeDecodeError:
        return problem("is not UTF-8 text", "save it as UTF-8")
    password = text.rstrip("\r\n")
    if not password or "\n" in password or len(password) > PASSWORD_FILE_MAX_BYTES:
        return problem("does not hold one line with a password", "write the password alone into it")
    values[key] = Secret(password)
    origins[key] = Origin(origin.source, str(path))
    return []


def _assembled(values: Mapping[str, Any]) -> Config:
    sections = {
        name: definition(**{s.attribute: values[s.key] for s in SETTINGS.values() if s.section == name})
        for name, definition in SECTIONS.items()
    }
    return Config(**sections)
