"""Which endpoint is asked, how long, and as whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.settings import EtcdSettings
from veltrix.adapters.etcd.transport import (
    AUTHENTICATE,
    RANGE,
    Answer,
    Endpoint,
    Metadata,
    Method,
    Silent,
    Stale,
    Stream,
    credentials_of,
)
from veltrix.ports.errors import Unavailable

_FRESH_S: Final = 1.0
_HAS_LEADER: Final = ("hasleader", "true")


class Caller:
    """Asks one endpoint as long as it answers, then the next. Safe to use from several threads."""

    def __init__(self, settings: EtcdSettings) -> None:
        if not settings.endpoints:
            raise Unavailable("no endpoint of etcd is given; set etcd.endpoints")
        credentials = credentials_of(settings)
        self._settings = settings
        self._endpoints = [Endpoint(address, credentials) for address in settings.endpoints]
        self._at = 0
        self._answered_s = -_FRESH_S
        self._token = ""
        self._login = threading.Lock()

    def anywhere(self, method: Method[Answer], request: Message, timeout_s: float | None = None) -> Answer:
        """Ask what may be asked twice, each endpoint once, each with the deadline; raises `Unavailable`."""
        return self._ask(method, request, timeout_s or self._settings.call_timeout_s, repeatable=True)

    def once(self, method: Method[Answer], request: Message) -> Answer:
        """Ask what must not be asked twice. Raises `OutcomeUnknown` once it may have arrived somewhere."""
        if time.monotonic() - self._answered_s > _FRESH_S:
            # Find out with a read who answers: to be told then, and not by losing sight of a transaction.
            key = f"{self._settings.prefix}/".encode()
            self.anywhere(RANGE, rpc.RangeRequest(key=key, count_only=True))
        return self._ask(method, request, self._settings.call_timeout_s, repeatable=False)

    def stream(self, method: Method[Answer], requests: Iterator[Message]) -> Stream[Answer]:
        """Begin a call of several messages at the endpoint at hand. When it breaks give it to `leave`."""
        return self._endpoints[self._at].stream(method, requests, self._metadata())

    def leave(self, endpoint: Endpoint) -> None:
        """Turn to the next endpoint, if this one is still the one at hand."""
        if self._endpoints[self._at] is endpoint:
            self._at = (self._at + 1) % len(self._endpoints)

    def forget_login(self) -> None:
        """Log in again before the next call."""
        self._token = ""

    def close(self) -> None:
        """Close all channels."""
        for endpoint in self._endpoints:
            endpoint.close()

    def _ask(self, method: Method[Answer], request: Message, timeout_s: float, *, repeatable: bool) -> Answer:
        told = []
        for _ in self._endpoints:
            endpoint = self._endpoints[self._at]
            try:
                answer = self._ask_logged_in(endpoint, method, request, timeout_s, repeatable=repeatable)
            except Silent as silent:
                told.append(str(silent))
                self.leave(endpoint)
            except BaseException:
                if not repeatable:
                    self._answered_s = -_FRESH_S
                raise
            else:
                self._answered_s = time.monotonic()
                return answer
        raise Unavailable(
            f"no endpoint of etcd answers ({'; '.join(told)}); "
            "check that etcd runs and that etcd.endpoints names it"
        )

    def _ask_logged_in(
        self,
        endpoint: Endpoint,
        method: Method[Answer],
        request: Message,
        timeout_s: float,
        *,
        repeatable: bool,
    ) -> Answer:
        try:
            return endpoint.ask(method, request, timeout_s, self._metadata(), repeatable=repeatable)
        except Stale:
            self.forget_login()
        try:
            return endpoint.ask(method, request, timeout_s, self._metadata(), repeatable=repeatable)
        except Stale as stale:  # just logged in, and still a stranger: it lags behind the others
            raise Silent(str(stale)) from stale

    def _metadata(self) -> Metadata:
        settings = self._settings
        if settings.username is None:
            return (_HAS_LEADER,)
        with self._login:
            if not self._token:
                request = rpc.AuthenticateRequest(name=settings.username, password=settings.password or "")
                self._token = self._log_in(request)
            return (_HAS_LEADER, ("token", self._token))

    def _log_in(self, request: rpc.AuthenticateRequest) -> str:
        told = []
        for _ in self._endpoints:
            endpoint = self._endpoints[self._at]
            try:
                answer = endpoint.ask(
                    AUTHENTICATE, request, self._settings.call_timeout_s, (_HAS_LEADER,), repeatable=True
                )
            except (Silent, Stale) as error:
                told.append(str(error))
                self.leave(endpoint)
            else:
                return answer.token
        raise Silent("; ".join(told))
