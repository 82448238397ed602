"""How a setting is defined: a field of a section with its kind and its meaning."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from veltrix.config.kinds import FilePath, Kind, SecretText


def setting(kind: Kind, default: Any, meaning: str, derived: str = "") -> Any:
    """A field of a section. `derived` says in words what an unset value (None) becomes."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning, "derived": derived})


def password(unset: str = "no login") -> Any:
    """The password of a login, in the configuration itself."""
    return setting(
        SecretText(), None, "Its password. A file or a variable keeps it out of this file.", derived=unset
    )


def password_file() -> Any:
    """The same password, in a file of its own."""
    return setting(FilePath(), None, "File with the password instead, read once at start.", derived="no file")


def certificate_file(more: str = "") -> Any:
    """What this process shows to others; `more` follows the words."""
    return setting(FilePath(), None, f"This process's own certificate (PEM){more}.", derived="none")


def key_file() -> Any:
    """The key that belongs to the certificate."""
    return setting(FilePath(), None, "The certificate's private key (PEM).", derived="none")
