"""The ceiling: the same HTTP server with a handler that only parses a registration and answers.

Run as a program it serves on a free port and prints its URL. What it leaves out is all that Veltrix does:
sealing, the log, deciding, the ledger, notices. Its answers have the shape and size of the real ones.
"""

import asyncio
import gc
import itertools
import socket
import sys

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

EVENT = "evt_" + "0" * 32
BACKLOG = 4096
GC_THRESHOLD = (50_000, 20, 100)  # as `veltrix serve` has it


class Contact(msgspec.Struct):
    """As in a registration's body."""

    name: str
    email: str
    locale: str = "en"


class Seat(msgspec.Struct):
    """As in a registration's body."""

    category: str
    attendee: dict[str, str] | None = None


class Body(msgspec.Struct):
    """As in a registration's body."""

    contact: Contact
    seats: list[Seat]
    form_version: int = 1


decoder = msgspec.json.Decoder(Body)
encoder = msgspec.json.Encoder()
numbers = itertools.count(1)


async def register(request: Request) -> Response:
    """Parse and answer; nothing is kept."""
    body = decoder.decode(await request.body())
    number = next(numbers)
    answer = {
        "registration": {
            "id": f"reg_{number:032x}",
            "event": EVENT,
            "status": "confirmed",
            "arrival": f"0.{number}",
            "seats": [
                {
                    "number": number * 64 + index,
                    "category": seat.category,
                    "price": {"amount_minor": 4900, "currency": "EUR"},
                    "status": "active",
                    "ticket": "T1AAAAAAAAAAAAAAAAAAAAAAA",
                }
                for index, seat in enumerate(body.seats)
            ],
            "hold_deadline": None,
            "waitlist_ahead": None,
            "version": 1,
            "decided_at": "2026-01-01T00:00:00.000Z",
        },
        "link": f"r1{number:042x}",
        "url": f"http://127.0.0.1/r/r1{number:042x}",
        "decision": {"partition": 0, "offset": number, "log_time": "2026-01-01T00:00:00.000Z"},
    }
    headers = {"location": f"/v1/registrations/r1{number:042x}"}
    return Response(encoder.encode(answer), 201, headers, "application/json")


async def event(request: Request) -> Response:
    """The one event, with room for everybody."""
    del request
    shown = {
        "id": EVENT,
        "title": "The ceiling",
        "pools": [{"key": "house", "capacity": 10_000_000}],
        "categories": [{"key": "standard", "pools": ["house"]}],
        "seats_per_registration": 4,
    }
    return Response(encoder.encode(shown), 200, media_type="application/json")


app = Starlette(
    routes=[
        Route("/v1/events/{event}", event, methods=["GET"]),
        Route("/v1/events/{event}/registrations", register, methods=["POST"]),
    ]
)


async def serve() -> None:
    """Serve until SIGTERM, as `veltrix serve` configures uvicorn."""
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            loop="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
        )
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    from veltrix.load.crowd import raise_file_limit

    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
