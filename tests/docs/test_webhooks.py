"""docs/webhooks.md does what it says: its receiver verifies what a real platform posts."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import sys
import time

import pytest
from cryptography.exceptions import InvalidSignature

from tests.docs import pages
from tests.docs.test_examples import compare, run, unexpected, with_stand_in
from tests.e2e.running import Platform
from tests.notification.stage import Dice
from tests.webhook.receiver import SECRET
from veltrix.adapters.webhook.signing import signatures
from veltrix.ports.outreach import Scheme
from veltrix.registration.signing_secrets import for_receiver, new_secret

PAGE = pages.DOCS / "webhooks.md"
BODY = b'{"type":"x"}'


def code(name: str) -> str:
    """The block of Python code of that name."""
    (found,) = [block.text for block in pages.blocks(pages.read(PAGE)) if block.info == ("python", name)]
    return found


def signed(secret: str) -> dict[str, str]:
    """Headers of a post that was signed just now."""
    at_s = int(time.time())
    signature = signatures([secret], "ntc_1", at_s, BODY)
    return {"webhook-id": "ntc_1", "webhook-timestamp": str(at_s), "webhook-signature": signature}


class Allowing(Platform):
    """A platform that may post to this machine."""

    def environment(self) -> dict[str, str]:
        """With the network allowed."""
        return super().environment() | {"VELTRIX_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
async def platform(tmp_path):
    """A platform on an empty directory, stopped at the end whatever happened."""
    running = Allowing(tmp_path / "data")
    await running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.returncode is None:
            await running.stop()


@pytest.fixture
async def hook(tmp_path):
    """The page's own receiver, listening; its URL, and what it printed so far."""
    (tmp_path / "receiver.py").write_text(code("receiver.py"), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "receiver.py", str(port), cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    yield f"http://127.0.0.1:{port}/hooks", process.stdout
    process.kill()
    await process.wait()


async def test_the_page_does_what_it_says(platform, hook, tmp_path):
    """Every example works in order on a real platform, and its receiver verifies both pings."""
    url, printed = hook
    variables = {"URL": platform.url, "KEY": await platform.key(), "HOOK": url}
    if shutil.which("curl") is None:
        variables |= with_stand_in(tmp_path)
    outputs = await run(PAGE, platform, tmp_path, variables)
    assert unexpected(PAGE, outputs) == []
    compare(PAGE, outputs)
    async with asyncio.timeout(30):
        for _ in range(2):
            assert (await printed.readline()).decode().strip() == "veltrix.endpoint.ping.v1"


def test_the_library_verifies():
    """The snippet with the reference library returns the fact, and raises for a forged body."""
    given = {"secret": SECRET, "body": BODY, "headers": signed(SECRET)}
    exec(code("verify"), given)
    assert given["fact"] == json.loads(BODY)
    with pytest.raises(Exception, match="signature"):
        exec(code("verify"), {**given, "body": BODY + b" "})


def test_the_public_key_verifies():
    """The snippet for v1a accepts what was signed, and raises for a forged body."""
    secret = new_secret(Scheme.V1A, Dice())
    public_key = for_receiver(secret)
    given = {"public_key": public_key, "body": BODY, "headers": signed(secret)}
    exec(code("verify-v1a"), given)
    with pytest.raises(InvalidSignature):
        exec(code("verify-v1a"), {**given, "body": BODY + b" "})
    assert len(base64.b64decode(public_key.removeprefix("whpk_"))) == 32
