"""The master key of a deployment, from which links, tickets and cursors get keys of their own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from veltrix.ports.errors import Mismatch

_SIZE = 32


def read_master_key(path: Path) -> bytes:
    """The 32 bytes in a file that only its owner may read; made when it is not there.

    Raises `Mismatch` when the file has another size or others may read it: a key that leaked or was cut
    short would void every link at once, silently.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _existing(path)
    with os.fdopen(handle, "wb") as file:
        key = os.urandom(_SIZE)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def derive(master: bytes, purpose: str) -> bytes:
    """A key for one purpose (BLAKE2b keyed and personalised; RFC 7693)."""
    return hashlib.blake2b(purpose.encode(), key=master, digest_size=_SIZE, person=b"veltrix-derive").digest()


def _existing(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise Mismatch(f"{path} may be read by others than its owner; run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != _SIZE:
        raise Mismatch(f"{path} has {len(key)} bytes instead of {_SIZE}; restore it from a backup")
    return key
