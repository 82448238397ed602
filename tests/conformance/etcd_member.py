"""A process that owns what it can and says so on standard output, a line each; for tests that stop it.

python tests/conformance/etcd_member.py PREFIX GROUP ENDPOINTS RESOURCE…
"""

from __future__ import annotations

import asyncio
import json
import sys

from veltrix.adapters.etcd import EtcdClient, EtcdCoordinator, EtcdSettings


def say(what: str, resource: str, term: object = "") -> None:
    """One line for whoever started this."""
    sys.stdout.write(json.dumps([what, resource, str(term)]) + "\n")
    sys.stdout.flush()


async def own(coordinator: EtcdCoordinator, resource: str) -> None:
    """Own a resource again and again."""
    while True:
        grant = await coordinator.acquire(resource)
        say("owns", resource, grant.term)
        await grant.lost.wait()
        say("lost", resource, grant.term)
        await coordinator.release(grant)


async def main(prefix: str, group: str, endpoints: str, resources: list[str]) -> None:
    """Until killed."""
    client = await EtcdClient.open(EtcdSettings(tuple(endpoints.split(",")), prefix=prefix))
    coordinator = await EtcdCoordinator.open(client, group=group)
    say("joined", coordinator.member)
    await asyncio.gather(*(own(coordinator, resource) for resource in resources))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
