"""The kinds of values that a setting can have: how each is read, checked, shown and described."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from veltrix.config import units
from veltrix.domain import limits

type_names = {bool: "a boolean", int: "a whole number", float: "a number", str: "text", list: "a list"}


class Wrong(Exception):
    """A value that a setting cannot have. `what` continues "the value …"; `remedy` says what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


class Secret:
    """A value that must not be shown. Printing it, logging it or formatting it shows stars."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: only for handing it to whom it is for."""
        return self._value

    def __repr__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class Kind(Protocol):
    """A kind of value. `parse` takes what TOML gave; `from_text` what a variable or an option gave."""

    @property
    def description(self) -> str:
        """What can be written, in a few words, for the reference."""
        ...

    def parse(self, value: Any, base: Path) -> Any:
        """The value as the program uses it; raises `Wrong`. Relative paths are taken from `base`."""
        ...

    def from_text(self, text: str) -> Any:
        """What TOML would have given for the text of a variable or an option; raises `Wrong`."""
        ...

    def show(self, value: Any) -> Any:
        """The value as one would write it in TOML, with secrets as stars."""
        ...


def refuse_type(value: Any, wanted: str, example: str) -> Wrong:
    """A value of another type than the setting's."""
    given = type_names.get(type(value), f"a TOML {type(value).__name__}")
    return Wrong(f"is {given}, not {wanted}", f"write {example}")


class _Plain:
    """What kinds written as TOML text have in common."""

    def from_text(self, text: str) -> Any:
        """The text as it is."""
        return text

    def show(self, value: Any) -> Any:
        """The value as it is."""
        return value


@dataclass(frozen=True)
class Text(_Plain):
    """Free text on one line."""

    max_chars: int = 300
    description: str = "text"

    def parse(self, value: Any, base: Path) -> str:
        """Refuses empty text, control characters and what is far too long."""
        if not isinstance(value, str):
            raise refuse_type(value, "text", 'it between quotation marks: "…"')
        if not value.strip():
            raise Wrong("is empty", "give a value, or leave the setting out to get its default")
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise Wrong("has a line break or another control character in it", "write it on one line")
        if len(value) > self.max_chars:
            raise Wrong(f"has {len(value):,} characters", f"use at most {self.max_chars:,}")
        return value


@dataclass(frozen=True)
class SecretText(_Plain):
    """Text that is never shown."""

    description: str = "text, never shown"

    def parse(self, value: Any, base: Path) -> Secret:
        """As text, but kept in a `Secret`."""
        return Secret(Text(max_chars=4_096).parse(value, base))

    def show(self, value: Secret) -> str:
        """Stars."""
        return repr(value)


@dataclass(frozen=True)
class Integer:
    """A whole number between two bounds, both allowed."""

    least: int
    most: int

    @property
    def description(self) -> str:
        """The range."""
        return f"whole number, {self.least:,} to {self.most:,}"

    def parse(self, value: Any, base: Path) -> int:
        """Refuses everything but a whole number in the range."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise refuse_type(value, "a whole number", f"a number from {self.least:,} to {self.most:,}")
        if not self.least <= value <= self.most:
            side = "small" if value < self.least else "large"
            raise Wrong(f"is too {side}", f"choose a number from {self.least:,} to {self.most:,}")
        return value

    def from_text(self, text: str) -> Any:
        """Digits, perhaps with underscores, as in TOML."""
        if re.fullmatch(r"[+-]?\d{1,18}(_?\d{1,18})*", text.strip(), re.ASCII) and len(text) <= 30:
            return int(text)
        raise Wrong("is not a whole number", f"choose a number from {self.least:,} to {self.most:,}")

    def show(self, value: int) -> int:
        """The number."""
        return value


@dataclass(frozen=True)
class Duration(_Plain):
    """A time span with its unit, kept in seconds."""

    least_s: float
    most_s: float

    @property
    def description(self) -> str:
        """The range, in its units."""
        return f"duration, {units.show_duration(self.least_s)} to {units.show_duration(self.most_s)}"

    def parse(self, value: Any, base: Path) -> float:
        """Refuses a bare number: nobody can see whether it means seconds or milliseconds."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise Wrong("has no unit", f'write it with one, for example "{value} s" or "{value} ms"')
        if not isinstance(value, str):
            raise refuse_type(value, "a duration", 'it like "250 ms", "5 s", "2 min" or "1 h"')
        try:
            seconds = units.parse_duration_s(value)
        except units.WrongAmount as error:
            raise Wrong(str(error), 'write it like "250 ms", "5 s", "2 min" or "1 h"') from None
        if not self.least_s <= seconds <= self.most_s:
            least, most = units.show_duration(self.least_s), units.show_duration(self.most_s)
            raise Wrong(f"is too {'short' if seconds < self.least_s else 'long'}", f"use {least} to {most}")
        return seconds

    def show(self, value: float) -> str:
        """In its largest whole unit."""
        return units.show_duration(value)


@dataclass(frozen=True)
class Size(_Plain):
    """An amount of data with its unit, kept in bytes."""

    least_bytes: int
    most_bytes: int

    @property
    def description(self) -> str:
        """The range, in its units."""
        return f"size, {units.show_size(self.least_bytes)} to {units.show_size(self.most_bytes)}"

    def parse(self, value: Any, base: Path) -> int:
        """Refuses a bare number: nobody can see whether it means bytes or kibibytes."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise Wrong("has no unit", f'write it with one, for example "{value} KiB" or "{value} B"')
        if not isinstance(value, str):
            raise refuse_type(value, "a size", 'it like "64 KiB" or "1 MiB"')
        try:
            size = units.parse_size_bytes(value)
        except units.WrongAmount as error:
            raise Wrong(str(error), 'write it like "64 KiB" or "1 MiB"') from None
        if not self.least_bytes <= size <= self.most_bytes:
            least, most = units.show_size(self.least_bytes), units.show_size(self.most_bytes)
            side = "small" if size < self.least_bytes else "large"
            raise Wrong(f"is too {side}", f"use {least} to {most}")
        return size

    def show(self, value: int) -> str:
        """In its largest whole unit."""
        return units.show_size(value)


@dataclass(frozen=True)
class Choice(_Plain):
    """One of a few words."""

    options: tuple[str, ...]

    @property
    def description(self) -> str:
        """The words."""
        return " or ".join(f'"{option}"' for option in self.options)

    def parse(self, value: Any, base: Path) -> str:
        """Refuses every other word."""
        if not isinstance(value, str) or value not in self.options:
            raise Wrong("is not a choice here", f"choose {self.description}")
        return value


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    description: str = "true or false"

    def parse(self, value: Any, base: Path) -> bool:
        """Refuses everything but a TOML boolean."""
        if not isinstance(value, bool):
            raise refuse_type(value, "a boolean", "true or false, without quotation marks")
        return value

    def from_text(self, text: str) -> Any:
        """The two words that TOML has for it."""
        if text.strip() not in ("true", "false"):
            raise Wrong("is neither true nor false", "write true or false")
        return text.strip() == "true"

    def show(self, value: bool) -> bool:
        """The boolean."""
        return value


@dataclass(frozen=True)
class FilePath(_Plain):
    """A path. A relative one starts at the file that names it, or at the working directory."""

    description: str = "path"

    def parse(self, value: Any, base: Path) -> Path:
        """Makes it absolute, `~` included."""
        text = Text(max_chars=4_000).parse(value, base)
        try:
            return (base / Path(text).expanduser()).absolute()
        except RuntimeError:
            raise Wrong("names a home directory that cannot be found", "write the path in full") from None

    def show(self, value: Path) -> str:
        """The absolute path."""
        return str(value)


@dataclass(frozen=True)
class Url(_Plain):
    """Where a site is reached: scheme, host and perhaps a port."""

    description: str = "URL without a path"

    def parse(self, value: Any, base: Path) -> str:
        """Refuses other schemes, credentials, paths, queries and fragments; drops a final slash."""
        text = Text().parse(value, base)
        remedy = 'write it like "https://tickets.example.org"'
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise Wrong(f"is no URL ({error})", remedy) from None
        if parts.scheme not in ("http", "https"):
            raise Wrong("does not begin with http:// or https://", remedy)
        if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9.:\-]+", parts.hostname) or port == 0:
            raise Wrong("names no host", remedy)
        if parts.username is not None or parts.password is not None:
            raise Wrong("has a user name or a password in it", remedy)
        if parts.path not in ("", "/") or parts.query or parts.fragment or text.endswith(("?", "#")):
            raise Wrong("has a path, a query or a fragment", f"give Veltrix a host name of its own; {remedy}")
        return f"{parts.scheme}://{parts.netloc}"


# As strict as what puts addresses into mails: a sender that passes here does not fail there.
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True)
class Mailbox(_Plain):
    """An e-mail address, perhaps with a display name."""

    description: str = 'address, such as "Tickets <tickets@example.org>"'

    def parse(self, value: Any, base: Path) -> str:
        """Refuses what no mail server would take as a sender."""
        text = Text().parse(value, base)
        local, at, domain = parseaddr(text)[1].rpartition("@")
        try:
            address = f"{local}{at}{domain.encode('idna').decode('ascii')}"
        except UnicodeError:
            address = ""
        if not _ADDRESS.fullmatch(address) or len(address) > limits.EMAIL_MAX_CHARS:
            raise Wrong("is no e-mail address", 'write it like "Tickets <tickets@example.org>"')
        return text


# RFC 5321, 4.5.3.1.1: 64 for the local part, less `+` and the token (domain/credentials.py).
_BOUNCE_LOCAL_MAX_CHARS = 64 - 1 - 44


@dataclass(frozen=True)
class BounceAddress(Mailbox):
    """A bare address whose local part leaves room for what is added to it."""

    description: str = 'address, such as "bounces@example.org"'

    def parse(self, value: Any, base: Path) -> str:
        """Refuses display names, and local parts that would become too long."""
        text = super().parse(value, base)
        if parseaddr(text)[1] != text:
            raise Wrong("has a display name", 'write the address alone: "bounces@example.org"')
        if len(text.rpartition("@")[0]) > _BOUNCE_LOCAL_MAX_CHARS:
            raise Wrong(
                "is too long before the @ for what is added to it",
                f"use at most {_BOUNCE_LOCAL_MAX_CHARS} characters there",
            )
        return text


@dataclass(frozen=True)
class Networks:
    """Networks by address and prefix length."""

    description: str = 'list of networks, such as ["10.0.0.0/8"]'
    remedy: str = field(default='write a list of networks, such as ["10.0.0.0/8", "2001:db8::/32"]')

    def parse(self, value: Any, base: Path) -> tuple[str, ...]:
        """Refuses host bits, and networks that hold every address there is."""
        if not isinstance(value, list):
            raise refuse_type(value, "a list", self.remedy.removeprefix("write "))
        return tuple(str(self._network(item)) for item in value)

    def _network(self, item: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        if not isinstance(item, str):
            raise Wrong(f"has {item!r} in it, which is no network", self.remedy)
        try:
            network = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise Wrong(f"has {item!r} in it, which is no network", self.remedy) from None
        if "/" in item and str(network.network_address) != item.partition("/")[0].lower():
            raise Wrong(f"has {item!r} in it, which is an address inside a network", f'write "{network}"')
        if network.prefixlen == 0:
            raise Wrong(f"has every address there is ({item})", "name the networks themselves")
        return network

    def from_text(self, text: str) -> Any:
        """Networks separated by commas."""
        return [part.strip() for part in text.split(",")]

    def show(self, value: Sequence[str]) -> list[str]:
        """The networks."""
        return list(value)
