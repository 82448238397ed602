"""Sinks that cost next to nothing: a mail server and a receiver of webhooks, each a process of its own.

`python -m benchmarks.notify_sinks smtp|http` listens on a free port, prints it, and ends when its standard
input does. What they answer is right as far as a sender can tell, and that is all: they measure senders.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import uvloop

_GREETING = b"220 sink.test\r\n"
_OFFERS = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 50000000\r\n"
_FINE = b"250 2.1.0 fine\r\n"
_GO_ON = b"354 go on\r\n"
_KEPT = b"250 2.0.0 kept\r\n"
_END = b"\r\n.\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_SLOW = re.compile(rb"post /slow(\d+)")


class SmtpSink(asyncio.Protocol):
    """Takes MAIL, RCPT and DATA, as one group or one by one, and every message."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._write = transport.write  # type: ignore[attr-defined]  # uvloop's is one in all but its class
        self._tail = b""
        self._in_message = False
        self._write(_GREETING)

    def data_received(self, data: bytes) -> None:
        """Look for ends alone."""
        if self._in_message:
            if not data.endswith(_END) and not (self._tail + data[:5]).endswith(_END):
                self._tail = data[-4:]
                return
            self._in_message, self._tail = False, b""
            self._write(_KEPT)
        elif data.endswith(b"DATA\r\n"):
            self._in_message = True
            self._write(_FINE * (data.count(b"\n") - 1) + _GO_ON)
        elif data.startswith((b"EHLO", b"HELO")):
            self._write(_OFFERS)
        elif data.startswith(b"QUIT"):
            self._write(b"221 2.0.0 bye\r\n")
        else:
            self._write(b"250 2.0.0 fine\r\n")


class HttpSink(asyncio.Protocol):
    """Answers 200 to every POST; to one whose path begins with /slow10, after ten seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Headers and body by their length."""
        self._seen = self._seen + data if self._seen else data
        while True:
            end = self._seen.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._seen[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._seen) < end + 4 + length:
                return
            slow = _SLOW.match(head)
            self._seen = self._seen[end + 4 + length :]
            if slow:
                asyncio.get_running_loop().call_later(float(slow.group(1)), self._say)
            else:
                self._say()
            if not self._seen:
                return

    def _say(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)  # type: ignore[attr-defined]  # as above


async def _serve(kind: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(SmtpSink if kind == "smtp" else HttpSink, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink that listens."""

    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """What it has used of a core so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def sink(kind: str) -> Iterator[Sink]:
    """A sink in a process of its own, ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.notify_sinks", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield Sink(int(process.stdout.readline()), psutil.Process(process.pid))
    finally:
        process.communicate()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
