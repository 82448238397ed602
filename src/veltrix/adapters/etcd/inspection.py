"""What can be seen of etcd from outside: plain data about its members, to be judged elsewhere."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Final

from veltrix.adapters.etcd import rpc_pb2 as rpc
from veltrix.adapters.etcd.client import EtcdClient
from veltrix.adapters.etcd.settings import EtcdSettings
from veltrix.adapters.etcd.transport import STATUS, Endpoint, credentials_of
from veltrix.ports.errors import PortError

_SHORTEST_S: Final = 1
_HEADER_STEP_S: Final = 1.0  # a Date header counts whole seconds


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the cluster knows it."""

    name: str
    client_urls: tuple[str, ...]
    peer_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True, slots=True)
class Server:
    """What one endpoint said of itself; only `address` and `error` when it said nothing.

    `clock_ahead_s` is by how much at least its clock differs from this machine's: 0 where it may be equal,
    None where it was not told.
    """

    address: str
    error: str = ""
    version: str = ""
    leads: bool = False
    complaints: tuple[str, ...] = ()
    clock_ahead_s: float | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect_etcd` found. `least_lease_s` is what etcd grants to whoever asks for a second.

    `patroni` has what is kept below Patroni's own key, by key; empty where it is kept elsewhere or hidden.
    """

    servers: tuple[Server, ...]
    error: str = ""
    members: tuple[Member, ...] = ()
    least_lease_s: int | None = None
    patroni: dict[str, bytes] | None = None


async def inspect_etcd(settings: EtcdSettings, *, patroni: str = "/service/") -> Inspection:
    """Look at every endpoint and at the cluster; whoever does not answer stands there with the reason."""
    seen = await asyncio.gather(
        *(asyncio.to_thread(_look, settings, address) for address in settings.endpoints)
    )
    try:
        client = await EtcdClient.open(settings)
    except PortError as error:
        return Inspection(tuple(seen), error=str(error))
    try:
        return await client.run(_cluster, client, tuple(seen), patroni)
    except PortError as error:
        return Inspection(tuple(seen), error=str(error))
    finally:
        await client.close()


def _cluster(client: EtcdClient, servers: tuple[Server, ...], patroni: str) -> Inspection:
    members = tuple(
        Member(each.name, tuple(each.clientURLs), tuple(each.peerURLs), each.isLearner)
        for each in client.members()
    )
    found: dict[str, bytes] | None = None
    with suppress(PortError):  # a user of Veltrix' own need not be allowed to read Patroni's keys
        found = {entry.key: entry.value for entry in client.list(patroni).entries}
    lease = uuid.uuid4().int >> 66
    least_s = client.lease_grant(lease, _SHORTEST_S)
    client.lease_revoke(lease)
    return Inspection(servers, "", members, least_s, found)


def _look(settings: EtcdSettings, address: str) -> Server:
    try:
        endpoint = Endpoint(address, credentials_of(settings))
    except PortError as error:
        return Server(address, error=str(error))
    try:
        status = endpoint.ask(STATUS, rpc.StatusRequest(), settings.call_timeout_s, (), repeatable=True)
    except PortError as error:
        return Server(address, error=str(error))
    finally:
        endpoint.close()
    server = Server(
        address, "", status.version, status.leader == status.header.member_id, tuple(status.errors)
    )
    return replace(server, clock_ahead_s=_clock_ahead_s(settings, address))


def _clock_ahead_s(settings: EtcdSettings, address: str) -> float | None:
    """By how much its clock surely differs, as its HTTP answers are dated."""
    connection: http.client.HTTPConnection
    timeout_s = settings.call_timeout_s
    if settings.tls:
        connection = http.client.HTTPSConnection(address, timeout=timeout_s, context=_tls(settings))
    else:
        connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        asked_s = time.time()
        connection.request("GET", "/version")
        dated = connection.getresponse().getheader("Date")
        answered_s = time.time()
        theirs_s = parsedate_to_datetime(dated or "").timestamp()
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        return None
    finally:
        connection.close()
    if theirs_s > answered_s:
        return theirs_s - answered_s
    return min(0.0, theirs_s + _HEADER_STEP_S - asked_s)


def _tls(settings: EtcdSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context
