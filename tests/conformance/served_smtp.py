"""The channel to a mail server, with a server of its own to speak to."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from tests.notification.mail_server import MailServer, serving
from veltrix.adapters.smtp import Security, SmtpChannel
from veltrix.ports.channel import Attempt, Mail


class ServedSmtp:
    """An `SmtpChannel` whose other side accepts all that it should."""

    def __init__(self, channel: SmtpChannel, stack: AsyncExitStack) -> None:
        self._channel = channel
        self._stack = stack
        self.name = channel.name

    @classmethod
    async def open(cls, directory: Path) -> ServedSmtp:
        """Start the server, on a free port, and a channel to it."""
        stack = AsyncExitStack()
        server = await stack.enter_async_context(serving(MailServer()))
        return cls(SmtpChannel("127.0.0.1", server.port, Security.NONE), stack)

    async def send(self, mail: Mail) -> Attempt:
        """Send."""
        return await self._channel.send(mail)

    async def forget(self, notices: list[str]) -> None:
        """Forget."""
        await self._channel.forget(notices)

    async def close(self) -> None:
        """Close the channel, and then its server."""
        await self._channel.close()
        await self._stack.aclose()
