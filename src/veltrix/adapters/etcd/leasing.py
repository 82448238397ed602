"""Keeps one lease alive, from a thread of its own: a busy event loop must not cost a process what it owns.

`deadline_s` is when the lease may have ended at the earliest: its time from the moment a renewal was SENT,
for etcd's clock started at some later moment. It says until when nobody else can own what hangs on the lease,
and no more than that: past it a process is unsure, not dispossessed (see `coordinator`).
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

from veltrix.adapters.etcd.client import EtcdClient
from veltrix.adapters.etcd.transport import LeaseGone
from veltrix.ports.errors import PortError

_log = logging.getLogger(__name__)

_RENEWALS: Final = 4
"""So many renewals fit into the time of a lease: one may be lost with the endpoint that it went to."""
_RETRY_S: Final = 0.1
_JOIN_S: Final = 5.0


class Lease:
    """Always has a lease, or tries to. `begun` and `ended` are told its number, from this thread.

    `ended` is told only what etcd itself said: that the lease is gone. Its silence ends nothing.
    """

    def __init__(
        self, client: EtcdClient, begun: Callable[[int], None], ended: Callable[[int], None]
    ) -> None:
        self._client = client
        self._begun = begun
        self._ended = ended
        self._ttl_s = math.ceil(client.settings.lease_ttl_s)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="etcd-lease", daemon=True)
        self.number = 0
        self.deadline_s = 0.0
        self.lost = 0
        self.error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop renewing and revoke the lease, so that the next owners need not wait for its end; raises
        `Unavailable` when etcd cannot be told. Safe to call twice."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        number, self.number = self.number, 0
        if number:
            self._client.lease_revoke(number)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._begin() if not self.number else self._renew()
                wait_s = self._ttl_s / _RENEWALS
            except LeaseGone:
                number, self.number, self.deadline_s = self.number, 0, 0.0
                self.lost += 1
                _log.warning("the lease has ended; everything that hung on it is lost")
                self._ended(number)
                continue
            except PortError as error:
                _log.info("the lease could not be renewed: %s", error)
                self.error = str(error)
                wait_s = _RETRY_S
            except Exception:  # a defect must not end what keeps this process an owner
                _log.exception("renewing the lease failed")
                wait_s = _RETRY_S
            self._closing.wait(wait_s)

    def _begin(self) -> None:
        # A new number at each try: where the answer was lost, a lease is left that nobody renews.
        number = secrets.randbits(62) + 1
        sent_s = time.monotonic()
        ttl_s = self._client.lease_grant(number, self._ttl_s)
        self.deadline_s = sent_s + ttl_s
        self.number = number
        self._begun(number)

    def _renew(self) -> None:
        sent_s = time.monotonic()
        ttl_s = self._client.lease_keep_alive(self.number, self._ttl_s / _RENEWALS)
        self.deadline_s = sent_s + ttl_s
