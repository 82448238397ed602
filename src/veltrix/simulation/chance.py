"""Chance, drawn from one seed: a stream for each purpose, so that one fault more shifts no other."""

from __future__ import annotations

from random import Random


class Chance:
    """Streams of randomness by name, all from one seed. As `Entropy` it serves the services."""

    def __init__(self, seed: int, name: str = "") -> None:
        self.seed = seed
        self._name = name
        self._bytes = self.stream("bytes")

    def stream(self, name: str) -> Random:
        """The stream of that name, from its beginning."""
        return Random(f"{self.seed}/{self._name}/{name}")  # noqa: S311 - to be repeatable is the point

    def of(self, name: str) -> Chance:
        """Chance of a part, independent of all other parts'."""
        return Chance(self.seed, f"{self._name}/{name}")

    def token(self, size: int) -> bytes:
        """`size` bytes, as the port `Entropy` has it."""
        return self._bytes.randbytes(size)
