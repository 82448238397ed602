"""Puts adapters into services: the only place that knows both.

`embedded` and `serve` put everything into one process, on SQLite. `cluster` makes each service a process of
its own, on Kafka, PostgreSQL and etcd; only what it needs imports their clients, which the base install does
not have.
"""

from veltrix.bootstrap.embedded import Platform, Started, embedded, serve
from veltrix.bootstrap.stores import api_keys, audit

__all__ = ["Platform", "Started", "api_keys", "audit", "embedded", "serve"]
