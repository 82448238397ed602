"""Who may read the files with secrets in them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from veltrix.config import Config, Loaded, Source
from veltrix.config.kinds import SecretText
from veltrix.config.model import SETTINGS
from veltrix.readiness.findings import Finding, danger

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_KEYS: Final = ("kafka", "postgres", "etcd")
_WITH_PASSWORDS: Final = ("smtp", *_KEYS)


def judge_files(loaded: Loaded) -> Iterator[Finding]:
    """Every file with a secret that somebody besides its owner may read or write."""
    for path, what in _secret_files(loaded):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # whoever needs it says so, with the reason
        if mode & _OTHERS:
            yield danger(
                "readable_secret",
                f"{path} ({what})",
                f"mode {mode:04o}",
                "other users of this machine can read or replace it",
                f"chmod 600 {path}, and let it belong to the user that Veltrix runs as",
            )


def _secret_files(loaded: Loaded) -> Iterator[tuple[Path, str]]:
    config = loaded.config
    held = [key for key in _secret_keys(config) if loaded.origins[key].source is Source.FILE]
    inside = [key for key in held if not _by_file(config, key)]
    if loaded.file is not None and inside:
        yield loaded.file, f"it holds {', '.join(inside)}"
    for section in _WITH_PASSWORDS:
        path = getattr(config, section).password_file
        if path is not None:
            yield path, f"{section}.password_file"
    for section in _KEYS:
        path = getattr(config, section).key_file
        if path is not None:
            yield path, f"{section}.key_file"
    yield config.secrets.master_key_file, "secrets.master_key_file"
    if not config.clustered:
        yield config.data.directory, "data.directory"


def _secret_keys(config: Config) -> Iterator[str]:
    for key, setting in SETTINGS.items():
        if isinstance(setting.kind, SecretText):
            value = getattr(getattr(config, setting.section), setting.attribute)
            if value is not None:
                yield key


def _by_file(config: Config, key: str) -> bool:
    """Whether a password was read from a file of its own."""
    return getattr(config, key.partition(".")[0]).password_file is not None
