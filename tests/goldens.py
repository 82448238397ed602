"""Golden files: what people read and compare, kept as files under tests/golden.

`pytest --regenerate` writes them anew; then read the difference before you commit it.
"""

from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


class Goldens:
    """Compares what a test made with the file that stands for it, or writes the file."""

    def __init__(self, *, regenerate: bool) -> None:
        self.regenerate = regenerate

    def check(self, name: str, made: bytes, *, frozen: bool = False) -> None:
        """`name` is the file below tests/golden. A frozen file is written once and never again."""
        path = GOLDEN / name
        if self.regenerate and not (frozen and path.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made)
        assert path.exists(), f"{path} is missing; pytest --regenerate writes it"
        assert made == path.read_bytes(), f"differs from {path}; is that what you want? pytest --regenerate"
