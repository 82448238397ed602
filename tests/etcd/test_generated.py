"""The messages of the etcd client are what their .proto says."""

from __future__ import annotations

import pytest

from tests.etcd.generated import PROTO, SOURCE, generated


def test_what_is_committed_is_what_is_generated():
    """The generated modules are those that the locked grpcio-tools make of the .proto."""
    pytest.importorskip("grpc_tools")
    folder = (SOURCE / PROTO).parent
    for name, text in generated().items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"run tests/etcd/generated.py: {name}"
