"""Writes mappings, lists, texts and numbers as YAML that people read: what Prometheus and its kin are told.

Texts stand in double quotes; those of several lines as blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

_INDENT = "  "
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
# What older readers of YAML take for a truth or for nothing.
_NOT_TEXTS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(value: Mapping[str, object]) -> str:
    """A document."""
    return "\n".join([*_mapping(value, ""), ""])


def _mapping(value: Mapping[str, object], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{indent}{_key(key)}:", item, indent)


def _sequence(value: Sequence[object], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, indent + _INDENT)
            yield f"{indent}- {first.removeprefix(indent + _INDENT)}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", item, indent)


def _entry(head: str, item: object, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping(item, indent + _INDENT)
    elif isinstance(item, Sequence) and not isinstance(item, str) and item:
        yield head
        yield from _sequence(item, indent + _INDENT)
    elif isinstance(item, str) and _is_block(item):
        yield f"{head} |-"
        yield from (f"{indent}{_INDENT}{line}" if line else "" for line in item.split("\n"))
    else:
        yield f"{head} {_quoted(item) if isinstance(item, str) else json.dumps(item)}"


def _is_block(text: str) -> bool:
    """Whether a text of several lines reads the same as a block; others are quoted."""
    lines = text.split("\n")
    return len(lines) > 1 and all(line.isprintable() and line == line.strip() and line for line in lines)


def _key(key: str) -> str:
    plain = key.replace("_", "").isalpha() and key.isascii() and key.lower() not in _NOT_TEXTS
    return key if plain else _quoted(key)


def _quoted(text: str) -> str:
    shown = (_ESCAPES.get(one) or (one if one.isprintable() else f"\\U{ord(one):08x}") for one in text)
    return f'"{"".join(shown)}"'
