"""One channel an endpoint, and what etcd's errors mean. Nothing here knows what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, NoReturn, TypeVar, cast

import grpc
from google.protobuf.message import Message

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.settings import EtcdSettings
from veltrix.ports.errors import Mismatch, OutcomeUnknown, PortError, Rejected, Unavailable

Answer = TypeVar("Answer", bound=Message)

_MESSAGE_MAX_BYTES: Final = 64 * 1024 * 1024
_OPTIONS: Final = [
    # A member that comes back is found soon: gRPC's own backoff ends at two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", _MESSAGE_MAX_BYTES),
    ("grpc.enable_http_proxy", 0),  # etcd is on our own network, whatever the environment says
    ("grpc.use_local_subchannel_pool", 1),  # two clients of one process do not share what is broken
]


class LeaseGone(PortError):
    """The lease has ended: etcd has deleted every key that hung on it."""


class Silent(Unavailable):
    """This endpoint did not answer, and what was asked did not happen there: the next one may be asked."""


class Stale(PortError):
    """The login is no longer valid; nothing was done."""


class Method(Generic[Answer]):
    """One call of etcd's API: its path, what it answers with, and whether it is a stream of messages."""

    def __init__(self, path: str, answer: Callable[[bytes], Answer], *, streams: bool = False) -> None:
        self.path = f"/etcdserverpb.{path}"
        self.parse = answer
        self.streams = streams


RANGE: Final = Method("KV/Range", rpc.RangeResponse.FromString)
TXN: Final = Method("KV/Txn", rpc.TxnResponse.FromString)
LEASE_GRANT: Final = Method("Lease/LeaseGrant", rpc.LeaseGrantResponse.FromString)
LEASE_REVOKE: Final = Method("Lease/LeaseRevoke", rpc.LeaseRevokeResponse.FromString)
LEASE_KEEP_ALIVE: Final = Method("Lease/LeaseKeepAlive", rpc.LeaseKeepAliveResponse.FromString, streams=True)
WATCH: Final = Method("Watch/Watch", rpc.WatchResponse.FromString, streams=True)
MEMBER_LIST: Final = Method("Cluster/MemberList", rpc.MemberListResponse.FromString)
STATUS: Final = Method("Maintenance/Status", rpc.StatusResponse.FromString)
AUTHENTICATE: Final = Method("Auth/Authenticate", rpc.AuthenticateResponse.FromString)

Metadata = tuple[tuple[str, str], ...]


class Endpoint:
    """The channel to one member of etcd."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.address = address
        self._channel = (
            grpc.insecure_channel(address, _OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, _OPTIONS)
        )
        self._callables: dict[str, Any] = {}

    def ask(
        self,
        method: Method[Answer],
        request: Message,
        timeout_s: float,
        metadata: Metadata,
        *,
        repeatable: bool,
    ) -> Answer:
        """Ask once, one message for one. Raises what `translate` makes of an error."""
        try:
            if method.streams:
                call = self._callable(method)(iter([request]), timeout=timeout_s, metadata=metadata)
                return cast(Answer, next(call))
            return cast(Answer, self._callable(method)(request, timeout=timeout_s, metadata=metadata))
        except grpc.RpcError as error:
            translate(error, self.address, repeatable=repeatable)
        except StopIteration:
            raise Silent(f"{self.address}: the stream ended without an answer") from None
        except ValueError as error:  # what gRPC says once the channel is closed
            raise Silent(f"{self.address}: {error}") from error

    def stream(
        self, method: Method[Answer], requests: Iterator[Message], metadata: Metadata
    ) -> Stream[Answer]:
        """Begin a call of several messages, without a deadline."""
        try:
            return Stream(self, self._callable(method)(requests, metadata=metadata))
        except ValueError as error:
            raise Silent(f"{self.address}: {error}") from error

    def _callable(self, method: Method[Answer]) -> Any:
        made = self._callables.get(method.path)
        if made is None:
            make = self._channel.stream_stream if method.streams else self._channel.unary_unary
            made = make(method.path, request_serializer=_serialize, response_deserializer=method.parse)
            self._callables[method.path] = made
        return made

    def close(self) -> None:
        """Close; what is under way ends with an error."""
        self._channel.close()


class Stream(Generic[Answer]):
    """The answers of a call of several messages, as they come; they end with an error of the ports."""

    def __init__(self, endpoint: Endpoint, call: Any) -> None:
        self.endpoint = endpoint
        self._call = call

    def __iter__(self) -> Iterator[Answer]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            translate(error, self.endpoint.address, repeatable=True)

    def cancel(self) -> None:
        """End it from any thread."""
        self._call.cancel()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def credentials_of(settings: EtcdSettings) -> grpc.ChannelCredentials | None:
    """What TLS needs, read from its files; None for plaintext. Raises `Mismatch`."""
    if not settings.tls:
        return None
    parts = []
    for path in (settings.ca_file, settings.key_file, settings.certificate_file):
        try:
            parts.append(None if path is None else path.read_bytes())
        except OSError as error:
            raise Mismatch(
                f"{path} for etcd's TLS cannot be read ({error.strerror}); name another"
            ) from error
    if (parts[1] is None) != (parts[2] is None):
        raise Mismatch("of etcd's certificate_file and key_file only one is given; give both, or neither")
    return grpc.ssl_channel_credentials(parts[0], parts[1], parts[2])


_REFUSED: Final = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNIMPLEMENTED,
}
# Said before the request was looked at, or because it never left: it did not happen there.
_NOT_TRIED: Final = ("no leader", "failed to connect to all addresses")
_STALE: Final = ("invalid auth token", "revision in header is old", "user name is empty")


def translate(error: grpc.RpcError, address: str, *, repeatable: bool) -> NoReturn:
    """Raise what an error of gRPC means. `repeatable`: the request changes nothing that matters twice."""
    code, details = cast(grpc.Call, error).code(), cast(grpc.Call, error).details() or ""
    told = f"{address}: {details or code.name}"
    if any(sign in details for sign in _STALE):
        raise Stale(told) from error
    if code is grpc.StatusCode.NOT_FOUND and "lease" in details:
        raise LeaseGone(told) from error
    if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
        raise Mismatch(
            f"etcd refuses this user ({told}); give etcd.username the role for the keys below etcd.prefix"
        ) from error
    if "invalid user ID or password" in details:
        raise Mismatch(f"etcd refuses the login ({told}); check etcd.username and etcd.password") from error
    if "authentication is not enabled" in details:
        raise Mismatch(
            f"etcd.username is set, but etcd asks nobody to log in ({told}); "
            "run etcdctl auth enable, or unset it"
        ) from error
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        raise Unavailable(
            f"etcd is full or overloaded ({told}); if it is full compact, defragment and disarm its alarm"
        ) from error
    if code in _REFUSED:
        raise Rejected(told) from error
    if repeatable or (code is grpc.StatusCode.UNAVAILABLE and any(sign in details for sign in _NOT_TRIED)):
        raise Silent(told) from error
    raise OutcomeUnknown(told) from error
