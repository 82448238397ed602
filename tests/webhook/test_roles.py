"""In a cluster, registration reads what notification wrote, and can write none of it."""

from __future__ import annotations

import pytest

from tests.conformance.on_postgres import OwnNotices, OwnOutreach, opened_server, postgres_notices
from tests.registration.test_notices import ENDPOINT, a_notice
from veltrix.adapters.postgres.roles import NOTIFICATION, REGISTRATION
from veltrix.ports.deliveries import Wanted
from veltrix.ports.errors import PortError
from veltrix.ports.notices import Planned
from veltrix.ports.outreach import Endpoint


async def test_registration_reads_notices(tmp_path, postgres_server):
    """Lists, attempts and targets are answered under registration's role; recording is refused."""
    own = await postgres_notices(tmp_path, postgres_server)
    await own.record(0, 0, 1, Planned([a_notice(1)]))
    theirs = OwnNotices(await opened_server(tmp_path, postgres_server, REGISTRATION))
    (found,) = await theirs.search(Wanted("acme"), None, 10)
    assert found.notice.recipient == ENDPOINT
    assert await theirs.attempts(found.notice.id) == []
    assert await theirs.targets([ENDPOINT]) == []
    with pytest.raises(PortError):
        await theirs.record(0, 1, 2, Planned([a_notice(2)]))
    await theirs.close()
    await own.close()


async def test_notification_reads_endpoints(tmp_path, postgres_server):
    """Endpoints, secrets and orders are answered under notification's role; a change is refused."""
    outreach = OwnOutreach(await opened_server(tmp_path, postgres_server, NOTIFICATION))
    assert await outreach.endpoints() == []
    assert await outreach.secrets([ENDPOINT]) == []
    assert await outreach.orders(0, 10) == []
    with pytest.raises(PortError):
        await outreach.put_endpoint(Endpoint(ENDPOINT, "acme", "https://example.org/"))
    await outreach.close()
