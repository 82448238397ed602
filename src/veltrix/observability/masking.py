"""Keeps personal data and secrets out of the logs, whatever someone passes to a logger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "[masked]"
DEPTH_MAX: Final = 6
TEXT_MAX_CHARS: Final = 8_192

# A key that holds, or may hold, what a person told us, or what opens a door. Whole words of the key count:
# `reply_email` is masked, `emailed` is not.
MASKED_WORDS: Final = frozenset(
    word
    for words in (
        "answer answers attendee attendees contact email emails mail metadata name names phone",
        "recipient to cc bcc",
        "address client forwarded ip peer remote",
        "access authorization body cookie credential credentials",
        "link links password plaintext secret ticket token",
    )
    for word in words.split()
)
# Their keys say a word from above, but their values are Veltrix' own and wanted.
ALLOWED_KEYS: Final = frozenset(
    {"event_name", "file_name", "listen_address", "logger_name", "metric_name", "task_name"}
)

_EMAIL = re.compile(r"[^\s@<>\"'(),:;]{1,64}@[^\s@<>\"'(),:;]{1,255}")
# Links, ticket codes, receipts and API keys, as domain/credentials.py and registration write them.
_CREDENTIAL = re.compile(r"\b(?:[rd]1[a-z2-7]{20,}|T1[A-Z2-7]{16,}|vk_[A-Za-z0-9]+_[A-Za-z0-9_-]{8,})")


def mask_text(text: str) -> str:
    """The text without e-mail addresses, links, ticket codes and keys, and not endless."""
    if "@" in text:
        text = _EMAIL.sub(MASK, text)
    if "1" in text or "vk_" in text:
        text = _CREDENTIAL.sub(MASK, text)
    return text if len(text) <= TEXT_MAX_CHARS else f"{text[:TEXT_MAX_CHARS]}… ({len(text):,} characters)"


def is_masked_key(key: str) -> bool:
    """Whether a key's value could be personal or secret."""
    lowered = key.lower()
    if lowered in MASKED_WORDS:
        return True
    return lowered not in ALLOWED_KEYS and not MASKED_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", lowered))


def mask(value: Any, depth: int = 0) -> Any:
    """The value with everything masked in it that must not be read; other types than JSON's as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if depth >= DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return mask_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, depth + 1) for item in value]
    return mask_text(str(value))


def mask_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """The same keys; what could be personal is replaced, other values are searched."""
    return {
        str(key): MASK if value is not None and is_masked_key(str(key)) else mask(value, depth)
        for key, value in fields.items()
    }
