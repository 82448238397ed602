"""Generates the etcd client's messages from its .proto; `python tests/etcd/generated.py` writes them."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
PROTO = "veltrix/adapters/etcd/rpc.proto"
FILES = ("rpc_pb2.py", "rpc_pb2.pyi")


def generate(into: Path) -> None:
    """What grpcio-tools makes of the .proto, below `into` as it lies below src/."""
    from grpc_tools import protoc

    shipped = resources.files("grpc_tools") / "_proto"
    arguments = [f"-I{SOURCE}", f"-I{shipped}", f"--python_out={into}", f"--pyi_out={into}", PROTO]
    failed = protoc.main(["protoc", *arguments])
    assert not failed, f"protoc ended with {failed}"


def generated() -> dict[str, str]:
    """The files as they should be, by name."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        made = Path(folder) / Path(PROTO).parent
        return {name: (made / name).read_text(encoding="utf-8") for name in FILES}


if __name__ == "__main__":
    generate(SOURCE)
