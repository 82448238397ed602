"""A small server that keeps the API's contract in memory, with a switch for each way to break it.

It decides at once, in the order in which requests are read, and forgets everything at the end.
"""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools

KEY = "vk_test_secret"
Json = dict[str, Any]


@dataclass
class Faults:
    """Each number n breaks the promise at every n-th occasion; 0 keeps it."""

    oversell: bool = False
    oversell_quietly: bool = False  # the pools' numbers look right
    pools_lie: bool = False
    double_duplicate: int = 0
    double_person: bool = False
    same_seat: int = 0
    accept_other_body: bool = False
    other_answer_on_retry: bool = False
    lose: int = 0
    swap_name: int = 0
    forget_cancel: bool = False
    offsets_fall: bool = False
    swap_offsets: int = 0
    overtake: int = 0
    wrong_promotion: bool = False
    refuse_with_room: int = 0
    undecided: int = 0
    undecided_forever: bool = False
    throttle: int = 0
    unavailable: int = 0
    hang: int = 0
    reset: int = 0
    error: int = 0
    garbage: int = 0
    close_after: int = 0
    in_small_pieces: bool = False


@dataclass
class Party:
    """One registration."""

    id: str
    offset: int
    status: str
    email: str
    name: str
    seats: list[Json]
    need: Counter[str]


@dataclass
class FakeServer:
    """The state of the one event, and what was asked."""

    faults: Faults = field(default_factory=Faults)
    one_per_email: bool = True
    strict: bool = True
    spec: Json = field(default_factory=dict)
    next_offset: int = 1
    next_seat: int = 1
    parties: Json = field(default_factory=dict)
    answers: Json = field(default_factory=dict)
    later: Json = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    locales: set[str] = field(default_factory=set)
    listener: asyncio.Server | None = None

    def nth(self, name: str) -> bool:
        """Whether the fault of that name strikes now."""
        n: int = getattr(self.faults, name)
        if not n:
            return False
        self.asked[name] += 1
        return self.asked[name] % n == 0

    def capacity(self, pool: str) -> int:
        """A pool's capacity, as the decisions see it."""
        real: int = next(each["capacity"] for each in self.spec["pools"] if each["key"] == pool)
        return real * 2 if self.faults.oversell or self.faults.oversell_quietly else real

    def taken(self) -> Counter[str]:
        """Seats taken in each pool."""
        taken: Counter[str] = Counter()
        for party in self.parties.values():
            if party.status == "confirmed":
                taken.update(party.need)
        return taken

    def fits(self, need: Counter[str]) -> bool:
        """Whether there is room."""
        taken = self.taken()
        return all(taken[pool] + seats <= self.capacity(pool) for pool, seats in need.items())

    def waiting(self) -> list[Party]:
        """The waitlist in order of arrival."""
        waits = [party for party in self.parties.values() if party.status == "waitlisted"]
        return sorted(waits, key=lambda party: party.offset)

    def offset(self) -> int:
        """The next command's place."""
        self.next_offset += 1
        if self.faults.offsets_fall:
            return 1_000_000 - self.next_offset
        if self.nth("swap_offsets"):
            self.next_offset += 3
            return self.next_offset - 1
        if self.faults.swap_offsets and self.asked["swap_offsets"] % self.faults.swap_offsets < 3:
            return self.next_offset - 2
        return self.next_offset

    def register(self, body: Json) -> tuple[int, Json]:
        """Decide a registration."""
        offset = self.offset()
        contact, email = body["contact"], body["contact"]["email"]
        need: Counter[str] = Counter()
        for seat in body["seats"]:
            category = next(each for each in self.spec["categories"] if each["key"] == seat["category"])
            need.update(category["pools"])
        active = [p for p in self.parties.values() if p.email == email and p.status != "cancelled"]
        if self.one_per_email and active and not self.faults.double_person:
            return self.refused("already_registered", offset)
        queue = [each for each in self.waiting() if self.strict and set(each.need) & set(need)]
        if self.nth("refuse_with_room"):
            return self.refused("full", offset)
        if (self.fits(need) and not queue) or self.nth("overtake"):
            status = "confirmed"
        elif self.spec["waitlist"] is None or any(self.capacity(pool) < need[pool] for pool in need):
            return self.refused("full", offset)
        elif len(self.waiting()) >= self.spec["waitlist"]["size"]:
            return self.refused("waitlist_full", offset)
        else:
            status = "waitlisted"
        seats = []
        for seat in body["seats"]:
            number = self.next_seat - 1 if self.next_seat > 1 and self.nth("same_seat") else self.next_seat
            seats.append({"number": number, "category": seat["category"], "status": "active"})
            self.next_seat += 1
        party = Party(f"reg_{offset:032x}", offset, status, email, contact["name"], seats, need)
        answer = self.accepted(party, offset)
        if not self.nth("lose"):
            self.parties[party.id] = party
        if self.nth("swap_name"):
            party.name = "Somebody Else"
        return 201, answer

    def accepted(self, party: Party, offset: int) -> Json:
        """An answer that names a registration."""
        return {
            "registration": {
                "id": party.id,
                "event": self.spec["id"],
                "status": party.status,
                "arrival": f"0.{party.offset}",
                "seats": party.seats,
                "version": 1,
            },
            "link": f"r1{party.id[4:]}",
            "decision": {"partition": 0, "offset": offset},
        }

    @staticmethod
    def refused(refusal: str, offset: int) -> tuple[int, Json]:
        """A decided refusal."""
        problem = {"type": f"urn:veltrix:problem:{refusal}", "title": refusal, "status": 409}
        return 409, {**problem, "refusal": refusal, "decision": {"partition": 0, "offset": offset}}

    def cancel(self, link: str) -> tuple[int, Json]:
        """Cancel, and promote who waits."""
        offset = self.offset()
        party = self.parties.get("reg_" + link[2:])
        if party is None:
            return self.refused("unknown_registration", offset)
        answer = self.accepted(
            Party(party.id, party.offset, "cancelled", "", "", party.seats, party.need), offset
        )
        if not self.faults.forget_cancel:
            party.status = "cancelled"
        self.promote()
        return 200, answer

    def promote(self) -> None:
        """Something was given back: offer what is free to who waits."""
        waiting = self.waiting()
        for waits in reversed(waiting) if self.faults.wrong_promotion else waiting:
            if self.fits(waits.need):
                waits.status = "confirmed"

    def post(self, path: str, headers: Json, body: Json) -> tuple[int, Json]:
        """A command under its key."""
        key, said = headers.get("idempotency-key", ""), json.dumps(body)
        if "contact" in body:
            self.locales.add(body["contact"]["locale"])
        if key in self.answers and not (path.endswith("registrations") and self.nth("double_duplicate")):
            before, status, answer = self.answers[key]
            if before != said and not self.faults.accept_other_body:
                return 422, {"type": "urn:veltrix:problem:key_reused", "title": "key reused", "status": 422}
            if self.faults.other_answer_on_retry and "registration" in answer:
                answer = {**answer, "registration": {**answer["registration"], "status": "held"}}
            return status, answer
        if path.endswith("/cancel"):
            status, answer = self.cancel(path.split("/")[3])
        else:
            status, answer = self.register(body)
        self.answers[key] = (said, status, answer)
        return status, answer

    def export(self) -> bytes:
        """Every registration, one a line."""
        rows = [
            {
                "id": party.id,
                "arrival": f"0.{party.offset}",
                "status": party.status,
                "seats": party.seats,
                "contact": {"name": party.name, "email": party.email},
            }
            for party in sorted(self.parties.values(), key=lambda party: party.offset)
        ]
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    def seats(self) -> Json:
        """The pools' numbers."""
        taken = self.taken()
        pools = []
        for pool in self.spec["pools"]:
            number = taken[pool["key"]] - (1 if self.faults.pools_lie else 0)
            if self.faults.oversell_quietly:
                number = min(number, pool["capacity"])
            free = max(0, pool["capacity"] - number)
            pools.append({"key": pool["key"], "capacity": pool["capacity"], "taken": number, "free": free})
        as_of = {"partition": 0, "offset": 2_000_000 if self.faults.offsets_fall else self.next_offset}
        return {"event": self.spec["id"], "as_of": as_of, "pools": pools, "waiting": len(self.waiting())}

    def answer(self, method: str, path: str, headers: Json, body: bytes) -> tuple[int, Json | bytes, Json]:
        """Status, body and header fields for a request; status 0 resets, -1 never answers."""
        path = path.partition("?")[0]
        if path.startswith("/v1/decisions/"):
            if self.faults.undecided_forever:
                return 202, {"status": "undecided"}, {"Location": path}
            return (*self.later[path], {})
        public = path.endswith(("/registrations", "/cancel")) or (method == "GET" and "export" not in path)
        if not public and headers.get("authorization") != f"Bearer {KEY}":
            return 401, {"title": "unauthorized", "status": 401}, {}
        if path == "/v1/events":
            self.spec = {**json.loads(body), "id": "evt_" + "0" * 32}
            self.spec["one_per_email"] = self.one_per_email = bool(self.spec["one_per_email"])
            return 201, {"event": self.spec}, {}
        if path.endswith("/open"):
            return 200, {"event": self.spec}, {}
        if path.endswith("/export"):
            return 200, self.export(), {}
        if path.endswith("/seats"):
            return 200, self.seats(), {}
        if method == "GET":
            return 200, self.spec, {}
        for name, status in (
            ("reset", 0),
            ("hang", -1),
            ("throttle", 429),
            ("unavailable", 503),
            ("error", 500),
        ):
            if self.nth(name):
                return status, {"title": name, "status": status}, {"Retry-After": "1"}
        if self.nth("garbage"):
            return 201, b"<html>", {}
        status, answer = self.post(path, headers, json.loads(body))
        if self.nth("undecided"):
            location = f"/v1/decisions/d1{len(self.later)}"
            self.later[location] = (200 if status == 201 else status, answer)
            return 202, {"status": "undecided", "location": location}, {"Location": location}
        return status, answer, {}


class Speaker(asyncio.Protocol):
    """One connection of the server."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections += 1

    def on_message_begin(self):
        self.headers, self.body = {}, b""

    def on_url(self, url):
        self.path = url.decode()

    def on_header(self, name, value):
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        method = self.parser.get_method().decode()
        status, answer, extra = self.server.answer(method, self.path, self.headers, self.body)
        if status == 0:
            self.transport.abort()
        if status <= 0:
            return
        close = method == "POST" and self.server.nth("close_after")
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        head += "Connection: close\r\n" if close else ""
        if self.server.faults.in_small_pieces:
            pieces = [body[at : at + 50] for at in range(0, len(body), 50)]
            chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
            whole = (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunks + b"0\r\n\r\n"
            self.write_slowly(whole)
        else:
            self.transport.write((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        if close:
            self.transport.close()

    def write_slowly(self, whole):
        """Seven bytes at a time for the head, then the rest: no part of an answer ends where a read does."""
        self.transport.write(whole[:7])
        self.transport.write(whole[7:60])
        asyncio.get_running_loop().call_soon(self.transport.write, whole[60:])

    def data_received(self, data):
        self.parser.feed_data(data)


@asynccontextmanager
async def serving(faults: Faults | None = None, **state):
    """The server on a free port: yields it and its base URL."""
    server = FakeServer(faults or Faults(), **state)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Speaker(server), "127.0.0.1", 0, backlog=1024
    )
    server.listener = listener
    port = listener.sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        listener.close()
        if hasattr(listener, "close_clients"):
            listener.close_clients()
