"""Follows all keys below a prefix, from a thread of its own, through whatever happens to etcd.

It begins to watch from now on, then lists: what changed in between comes twice, and nothing is missed. A
watch that breaks begins anew like that, at the next endpoint. It does not resume from the last revision seen:
many an etcd leaves out a deletion, without a word, when it was compacted at just that revision (its issues
18089 and 19179), and one that was restored would wait in silence for revisions that are far away. A listing
costs one read.

A watch that says nothing is asked for its progress each second, and given up when it does not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.client import Entry, EtcdClient, Listing, after
from veltrix.adapters.etcd.transport import Stale, Stream
from veltrix.ports.errors import PortError, Unavailable

_log = logging.getLogger(__name__)

_ASK_S: Final = 1.0
_SILENCE_MAX_S: Final = 3.0
_RETRY_MIN_S: Final = 0.05
_RETRY_MAX_S: Final = 0.5
_JOIN_S: Final = 5.0


class Change:
    """What became of a key: `entry` is None when it was deleted, at `revision`."""

    __slots__ = ("entry", "key", "revision")

    def __init__(self, event: rpc.Event) -> None:
        self.key = event.kv.key.decode()
        self.revision = event.kv.mod_revision
        self.entry = Entry.of(event.kv) if event.type == rpc.Event.PUT else None


class Follower:
    """Tells `listed` everything there is, and `changed` what changes, from its own thread.

    `listed` comes again after each interruption, and `changed` may then tell what is older than the listing.
    """

    def __init__(
        self,
        client: EtcdClient,
        prefix: str,
        listed: Callable[[Listing], None],
        changed: Callable[[Sequence[Change]], None],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._listed = listed
        self._changed = changed
        self._closing = threading.Event()
        self._stream: Stream[rpc.WatchResponse] | None = None
        self._heard_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"etcd-follow {prefix}", daemon=True)

    def start(self) -> None:
        """Begin; what is there is told soon."""
        self._thread.start()

    def close(self) -> None:
        """Tell no more; waits for the thread. Safe to call twice."""
        self._closing.set()
        if (stream := self._stream) is not None:
            stream.cancel()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        delay_s = _RETRY_MIN_S
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                self._watch()
            except PortError as error:
                if not self._closing.is_set():
                    _log.info("following %s was interrupted: %s", self._prefix, error)
            except Exception:
                _log.exception("following %s failed", self._prefix)
            if time.monotonic() - began_s > _SILENCE_MAX_S:
                delay_s = _RETRY_MIN_S
            self._closing.wait(delay_s)
            delay_s = min(delay_s * 2, _RETRY_MAX_S)

    def _watch(self) -> None:
        ended = threading.Event()
        stream = self._client.watch(self._requests(ended))
        self._stream = stream
        self._heard_s = time.monotonic()
        stale = False
        try:
            if self._closing.is_set():
                return
            for response in stream:
                self._heard_s = time.monotonic()
                self._take(response)
            raise Unavailable(f"{stream.endpoint.address}: the watch ended")
        except Stale:
            stale = True
            raise
        finally:
            ended.set()
            self._stream = None
            with suppress(Exception):  # it is over, whatever it says
                stream.cancel()
            if not self._closing.is_set():
                self._client.broke(stream, login=stale)

    def _take(self, response: rpc.WatchResponse) -> None:
        if response.canceled:
            if "permission" in response.cancel_reason or "token" in response.cancel_reason:
                raise Stale(response.cancel_reason)
            raise Unavailable(f"etcd ended the watch: {response.cancel_reason or 'no reason given'}")
        if response.created:
            self._listed(self._client.list(self._prefix))
        elif response.events:
            self._changed([Change(event) for event in response.events])

    def _requests(self, ended: threading.Event) -> Iterator[rpc.WatchRequest]:
        """What is sent: the watch, and each second the question whether it is still there. Runs in a thread
        that gRPC has for it, which makes it the one that notices a silence."""
        key = self._prefix.encode()
        yield rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key, range_end=after(self._prefix)))
        while not ended.wait(_ASK_S) and not self._closing.is_set():
            if time.monotonic() - self._heard_s > _SILENCE_MAX_S:
                if (stream := self._stream) is not None:
                    stream.cancel()
                return
            yield rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())
