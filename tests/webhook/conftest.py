"""What the tests of webhooks share."""

from __future__ import annotations

import ssl

import pytest
from aiohttp import web

from tests.conformance.certificates import Authority


@pytest.fixture
async def tls_receiver(tmp_path):
    """(URL, authority's file, what arrived) of a receiver behind a certificate for 127.0.0.1."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    arrived: list[str] = []

    async def take(request: web.Request) -> web.Response:
        arrived.append(request.headers["webhook-id"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/", authority.file, arrived
    await runner.cleanup()
