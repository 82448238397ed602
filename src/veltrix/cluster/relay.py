"""Holds up what passes between two network devices, for kernels that cannot do it themselves (sch_netem).

Run as a process: python -m veltrix.cluster.relay DEVICE DEVICE MILLISECONDS
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from typing import Final

_ALL_PROTOCOLS: Final = 3
_SOL_PACKET: Final = 263
# With each frame goes what the kernel has left undone of it: checksums, and cutting it into packets.
_PACKET_VNET_HDR: Final = 15
_PACKET_IGNORE_OUTGOING: Final = 23
_FRAME_MAX_BYTES: Final = 70_000
_BUFFER_BYTES: Final = 16 * 1024 * 1024


def opened(device: str) -> socket.socket:
    """A socket that hears and says whole frames on a device."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    made.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    made.bind((device, _ALL_PROTOCOLS))
    made.setblocking(False)
    return made


def relay(one: socket.socket, other: socket.socket, delay_s: float) -> None:
    """Pass on what each hears to the other, so much later, in order; never returns."""
    across = {one: other, other: one}
    held: deque[tuple[float, socket.socket, bytes]] = deque()  # the delay is constant, so first in, first out
    while True:
        timeout_s = max(0.0, held[0][0] - time.monotonic()) if held else None
        ready, _, _ = select.select([one, other], [], [], timeout_s)
        due_s = time.monotonic() + delay_s
        for heard in ready:
            try:
                held.append((due_s, across[heard], heard.recv(_FRAME_MAX_BYTES)))
            except OSError:
                continue  # the device went down for a moment
        while held and held[0][0] <= time.monotonic():
            _, to, frame = held.popleft()
            try:
                to.send(frame)
            except OSError:
                continue  # lost, as on a network


if __name__ == "__main__":
    relay(opened(sys.argv[1]), opened(sys.argv[2]), int(sys.argv[3]) / 1000)
