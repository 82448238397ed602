"""Writes mappings, lists, texts and numbers as YAML that people read: what Prometheus and its kin are told.

Texts stand in double quotes, whose escapes YAML shares with JSON; those of several lines as blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

_INDENT = "  "


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
    elif isinstance(item, str) and "\n" in item:
        yield f"{head} |-"
        yield from (f"{indent}{_INDENT}{line}" if line else "" for line in item.split("\n"))
    else:
        yield f"{head} {json.dumps(item, ensure_ascii=False)}"


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)
