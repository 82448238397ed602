"""The clients of the engines, which the base install does not have."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from veltrix.ports.errors import Unavailable

CLIENTS: Final = {
    "confluent_kafka": "confluent-kafka",
    "asyncpg": "asyncpg",
    "grpc": "grpcio",
    "google.protobuf": "protobuf",
    "alembic": "alembic",
    "sqlalchemy": "sqlalchemy",
}


def require_extra() -> None:
    """Raises `Unavailable`, with the remedy, where a client is missing."""
    missing = [package for module, package in CLIENTS.items() if not _is_there(module)]
    if missing:
        raise Unavailable(
            f"this installation has no {' and no '.join(missing)}, which a cluster needs; run: "
            "pip install 'veltrix[cluster]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
