"""`python -m benchmarks.notify`: how many mails and webhooks a second one core gets out, beside its limits.

The sinks are processes of their own. "A core" is what the sender's process used of the processor, threads
included: figures for a core are pieces divided by CPU seconds, so that what else runs here does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.notify_sinks import Sink, sink
from benchmarks.notify_stage import LOOPBACK, SIGNER, Accepted, Stage, stage
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.adapters.system import SystemEntropy
from veltrix.adapters.webhook import WebhookPoster
from veltrix.domain.event import Event
from veltrix.domain.notices import NoticeKind
from veltrix.notification.letters import Sender
from veltrix.notification.renderer import Material, Renderer
from veltrix.notification.service import NotificationService
from veltrix.notification.texts import shared_texts
from veltrix.ports.channel import Mail, Post, Sent
from veltrix.ports.notices import Notice, NoticeStatus
from veltrix.ports.outreach import Scheme
from veltrix.public import encode_public_fact
from veltrix.registration.signing_secrets import new_secret
from veltrix.sealing import Person, open_box

MAILS_GOAL: Final = 2_000
WEBHOOKS_GOAL: Final = 4_000
_CONNECTIONS: Final = 8
_AT_ONCE: Final = 64
_POLL_S: Final = 0.02
_GIVE_UP_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took."""

    pieces: int
    wall_s: float
    cpu_s: float

    @property
    def a_second(self) -> float:
        """Pieces a second, by the clock."""
        return self.pieces / self.wall_s

    @property
    def a_core(self) -> float:
        """Pieces a second of a core."""
        return self.pieces / self.cpu_s

    @property
    def each_us(self) -> float:
        """Microseconds of a core for each piece."""
        return self.cpu_s / self.pieces * 1e6


Row = tuple[str, str, str, str]


async def measured(pieces: int, work: Callable[[], Awaitable[object]]) -> Spent:
    """Do the work; what it took of the clock, and of this process' share of the processor."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await work()
    return Spent(pieces, time.perf_counter() - wall_s, time.process_time() - cpu_s)


async def spread(pieces: int, at_once: int, one: Callable[[int], Awaitable[object]]) -> None:
    """Do `one` for each number, so many at a time."""
    numbers = iter(range(pieces))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(at_once)))


def row(what: str, spent: Spent, goal: int | None = None, remark: str = "") -> Row:
    """A line of the table."""
    aim = "" if goal is None else f"{'' if spent.a_core >= goal else 'below '}>= {goal:,}"
    return what, f"{spent.a_core:,.0f}", f"{spent.a_second:,.0f}", "; ".join(filter(None, (aim, remark)))


def materials(prepared: Stage, people: dict[str, Person], event: Event) -> list[Material]:
    """What the mails of all registrations are made of, as notification gathers it."""
    made = []
    for numbered in prepared.facts:
        registration = numbered.fact.registration
        if registration is None:
            continue
        notice = Notice(
            f"ntc_{numbered.seq:032x}", numbered.fact.organizer, numbered.fact.event, 0, numbered.seq,
            NoticeKind.CONFIRMED.value, registration.id, registration.person, "email",
            registration.box.key_id, numbered.log_time_ms,
        )  # fmt: skip
        person = people[registration.box.key_id]
        made.append(
            Material(notice, numbered.seq, numbered.fact, registration, registration.box, event, person)
        )
    return made


async def raw_mails(target: Sink, content: bytes, pieces: int) -> tuple[Spent, float]:
    """The sink's own rate: bytes that were made before, by a plain socket in a thread; and the sink's CPU."""
    loop = asyncio.get_running_loop()
    before_s = target.cpu_s()
    group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"

    def blast() -> None:
        with socket.create_connection(("127.0.0.1", target.port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.recv(100)
            link.sendall(b"EHLO x\r\n")
            link.recv(1000)
            for _ in range(pieces):
                link.sendall(group)
                link.recv(1000)
                link.sendall(content + b".\r\n")
                link.recv(1000)

    spent = await measured(pieces, lambda: loop.run_in_executor(None, blast))
    return spent, target.cpu_s() - before_s


async def raw_posts(target: Sink, body: bytes, pieces: int) -> tuple[Spent, float]:
    """The same for webhooks."""
    loop = asyncio.get_running_loop()
    before_s = target.cpu_s()
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def blast() -> None:
        with socket.create_connection(("127.0.0.1", target.port)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(pieces):
                link.sendall(request)
                link.recv(1000)

    spent = await measured(pieces, lambda: loop.run_in_executor(None, blast))
    return spent, target.cpu_s() - before_s


async def mails(prepared: Stage, target: Sink, pieces: int) -> list[Row]:
    """Each step of a mail by itself, and all together."""
    boxes = [each.fact.registration.box for each in prepared.facts if each.fact.registration is not None]
    view = await prepared.ledger.event(prepared.facts[0].fact.event)
    assert view is not None
    keys = await prepared.vault.keys([box.key_id for box in boxes])
    people: dict[str, Person] = {}

    async def opening() -> None:
        for box in boxes:
            person = open_box(box, view.event.id, keys[box.key_id])
            assert person is not None
            people[box.key_id] = person

    opened = await measured(len(boxes), opening)
    renderer = Renderer(
        Sender("Tickets", "no-reply@tickets.example", "https://tickets.example"), SIGNER, shared_texts()
    )
    of = materials(prepared, people, view.event)
    renderer.mail(of[0])
    written: list[Mail] = []

    async def assembling() -> None:
        written.extend(renderer.mail(of[number % len(of)]) for number in range(pieces))

    assembled = await measured(pieces, assembling)
    channel = SmtpChannel("127.0.0.1", target.port, Security.NONE, connections=_CONNECTIONS)

    async def send(number: int) -> None:
        assert (await channel.send(written[number])).sent is Sent.ACCEPTED

    async def assemble_and_send(number: int) -> None:
        assert (await channel.send(renderer.mail(of[number % len(of)]))).sent is Sent.ACCEPTED

    await spread(min(pieces, 100), _CONNECTIONS, send)
    sent = await measured(pieces, lambda: spread(pieces, _CONNECTIONS, send))
    both = await measured(pieces, lambda: spread(pieces, _CONNECTIONS, assemble_and_send))
    await channel.close()
    raw, sink_s = await raw_mails(target, written[0].content, pieces)
    size = len(written[0].content)
    return [
        row("mails: opening a box", opened, None, f"{opened.each_us:.0f} us each"),
        row(
            "mails: assembling",
            assembled,
            None,
            f"{assembled.each_us:.0f} us each, {size:,} bytes, QR and .ics",
        ),
        row("mails: sending (SMTP)", sent, None, f"{sent.each_us:.0f} us each"),
        row("mails: assembling and sending", both, MAILS_GOAL, f"{both.each_us:.0f} us each"),
        row("the mail sink itself", raw, None, f"the sink used {sink_s / pieces * 1e6:.0f} us each"),
    ]


async def webhooks(prepared: Stage, target: Sink, pieces: int) -> list[Row]:
    """Posts with one signature each."""
    poster = WebhookPoster(LOOPBACK)
    body = encode_public_fact(prepared.facts[-1], "https://tickets.example")
    secret, url = new_secret(Scheme.V1, SystemEntropy()), f"http://127.0.0.1:{target.port}/hook"

    async def post(number: int) -> None:
        made = Post(f"ntc_{number:032x}", "ep_" + "0" * 32, url, body, (secret,), int(time.time()))
        assert (await poster.post(made)).sent is Sent.ACCEPTED

    await spread(min(pieces, 100), _CONNECTIONS, post)
    posted = await measured(pieces, lambda: spread(pieces, _CONNECTIONS, post))
    await poster.close()
    raw, sink_s = await raw_posts(target, body, pieces)
    return [
        row(
            "webhooks: signing and posting",
            posted,
            WEBHOOKS_GOAL,
            f"{posted.each_us:.0f} us each, {len(body):,} bytes",
        ),
        row("the webhook sink itself", raw, None, f"the sink used {sink_s / pieces * 1e6:.0f} us each"),
    ]


async def settled(prepared: Stage, accepted: Accepted, pieces: int) -> None:
    """Until so many notices were accepted, and that stands in the store."""
    async with asyncio.timeout(_GIVE_UP_S):
        await accepted.all.wait()
        while (await prepared.notices.counts()).get(NoticeStatus.ACCEPTED, 0) < pieces:  # noqa: ASYNC110 - the last results are recorded within milliseconds, and nothing tells of it
            await asyncio.sleep(_POLL_S)


async def whole(directory: Path, smtp: Sink, pieces: int) -> list[Row]:
    """One event's notices from facts to accepted, through the service on SQLite."""
    async with stage(directory, pieces) as prepared:
        channel = SmtpChannel("127.0.0.1", smtp.port, Security.NONE, connections=_CONNECTIONS)
        poster = WebhookPoster(LOOPBACK)
        accepted = Accepted(pieces)
        service = prepared.service([channel], poster, _AT_ONCE, accepted)

        spent = await measured(pieces, partial(_started, service, prepared, accepted, pieces))
        await service.stop()
        await channel.close()
        await poster.close()
    remark = f"{pieces:,} in {spent.wall_s:.1f} s, {spent.each_us:.0f} us each, planning to finishing"
    return [row("notices by mail, facts to accepted", spent, MAILS_GOAL, remark)]


async def slow_beside_fast(directory: Path, http: Sink, pieces: int, slow_s: int) -> list[Row]:
    """Endpoints that answer at once, without and with one beside them that takes long for each."""
    rows = []
    for label, with_slow in (
        ("no slow one beside them", False),
        (f"one of {slow_s} s each beside them", True),
    ):
        async with stage(directory / label.replace(" ", "-"), pieces) as prepared:
            for number in range(3):
                await prepared.endpoint(number + 1, f"http://127.0.0.1:{http.port}/fast{number}")
            if with_slow:
                await prepared.endpoint(9, f"http://127.0.0.1:{http.port}/slow{slow_s}")
            poster = WebhookPoster(LOOPBACK)
            fast = 3 * len(prepared.facts)
            accepted = Accepted(fast)
            service = prepared.service([], poster, _AT_ONCE, accepted)

            spent = await measured(fast, partial(_started, service, prepared, accepted, fast))
            await service.stop()
            await poster.close()
            rows.append(
                row(
                    f"webhooks of 3 fast endpoints, {label}", spent, None, f"{fast:,} in {spent.wall_s:.1f} s"
                )
            )
    return rows


async def _started(service: NotificationService, prepared: Stage, accepted: Accepted, pieces: int) -> None:
    await service.start()
    await settled(prepared, accepted, pieces)


async def run(quick: bool) -> list[Row]:
    """All of it, in one run."""
    pieces, notices, hooks = (200, 200, 50) if quick else (10_000, 10_000, 1_000)
    with (
        tempfile.TemporaryDirectory(prefix="veltrix-bench-") as folder,
        sink("smtp") as smtp,
        sink("http") as http,
    ):
        directory = Path(folder)
        async with stage(directory / "steps", min(pieces, 2_000)) as prepared:
            rows = await mails(prepared, smtp, pieces)
            rows += await webhooks(prepared, http, pieces)
        rows += await whole(directory / "whole", smtp, notices)
        rows += await slow_beside_fast(directory / "slow", http, hooks, 1 if quick else 10)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notify", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small: shows that it works, not how fast")
    chosen = parser.parse_args()
    before = machine.facts()
    rows = uvloop.run(run(chosen.quick))
    console = Console()
    for name, value in before:
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("what")
    table.add_column("a second of a core", justify="right")
    table.add_column("a second here", justify="right")
    table.add_column("goal; remark", overflow="fold")
    for each in rows:
        table.add_row(*each)
    console.print(table)


if __name__ == "__main__":
    main()
