"""The port `Outreach`: what organizers and people chose, and orders that are seen once and in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.conformance.adapters import Subject
from veltrix.domain import limits
from veltrix.ports.deliveries import Wanted
from veltrix.ports.errors import Rejected, Unavailable
from veltrix.ports.notices import NoticeStatus
from veltrix.ports.outreach import (
    Endpoint,
    NoticeTemplate,
    OnUnknown,
    Order,
    OrderKind,
    Outreach,
    Reason,
    Scheme,
    SigningSecret,
    Suppression,
)

ENDPOINT = Endpoint(
    "ep_1",
    "org",
    "https://example.org/hook",
    frozenset({"registration.confirmed", "event.cancelled"}),
    True,
    OnUnknown.HOLD,
    "the box office",
    True,
    100,
    200,
    2.5,
)


def secret(name: str, created_ms: int, scheme: Scheme = Scheme.V1, endpoint: str = "ep_1") -> SigningSecret:
    """A sealed secret."""
    return SigningSecret(name, endpoint, scheme, b"\x01" + name.encode(), created_ms)


def template(version: int, locale: str = "en", kind: str = "confirmed") -> NoticeTemplate:
    """A text."""
    return NoticeTemplate("org", kind, locale, version, f"subject {version}", "text", "<p>", 100)


async def test_endpoints_come_back_as_they_were_put(outreach: Subject[Outreach]):
    """Whole, by id, by organizer; a second put replaces all but the organizer."""
    other = Endpoint("ep_0", "another", "https://example.net/")
    await outreach.it.put_endpoint(ENDPOINT)
    await outreach.it.put_endpoint(other)
    assert await outreach.it.endpoint("ep_1") == ENDPOINT
    assert await outreach.it.endpoint("ep_9") is None
    assert await outreach.it.endpoints() == [other, ENDPOINT]
    assert await outreach.it.endpoints("org") == [ENDPOINT]
    changed = replace(ENDPOINT, kinds=frozenset(), enabled=False, changed_ms=300)
    await outreach.it.put_endpoint(changed)
    assert await outreach.it.endpoints("org") == [changed]
    with pytest.raises(Rejected):
        await outreach.it.put_endpoint(replace(ENDPOINT, organizer="another"))
    assert await outreach.it.endpoint("ep_1") == changed


async def test_an_organizer_has_so_many_endpoints(outreach: Subject[Outreach]):
    """One more is refused, and replacing one is not; others are not concerned."""
    for number in range(limits.ENDPOINTS_PER_ORGANIZER_MAX):
        await outreach.it.put_endpoint(replace(ENDPOINT, id=f"ep_{number}"))
    with pytest.raises(Rejected):
        await outreach.it.put_endpoint(replace(ENDPOINT, id="ep_more"))
    await outreach.it.put_endpoint(replace(ENDPOINT, url="https://example.org/other"))
    await outreach.it.put_endpoint(replace(ENDPOINT, id="ep_more", organizer="another"))


async def test_secrets_overlap_until_the_old_one_ends(outreach: Subject[Outreach]):
    """A new secret lets those of its scheme end then and no later, and one that has ended makes room."""
    await outreach.it.put_endpoint(ENDPOINT)
    await outreach.it.add_secret(secret("a", 100))
    await outreach.it.add_secret(secret("x", 110, Scheme.V1A))
    await outreach.it.add_secret(secret("b", 200), others_end_ms=300)
    assert await outreach.it.secrets(["ep_1", "ep_9"]) == [
        secret("b", 200),
        secret("x", 110, Scheme.V1A),
        replace(secret("a", 100), ends_ms=300),
    ]
    await outreach.it.add_secret(secret("c", 250), others_end_ms=400)
    ends = {each.id: each.ends_ms for each in await outreach.it.secrets(["ep_1"])}
    assert ends == {"c": None, "b": 400, "x": None, "a": 300}
    await outreach.it.add_secret(secret("d", 350))
    assert [each.id for each in await outreach.it.secrets(["ep_1"])] == ["d", "c", "b", "x"]
    with pytest.raises(Rejected):
        await outreach.it.add_secret(secret("d", 360))
    with pytest.raises(Rejected):
        await outreach.it.add_secret(secret("e", 360, endpoint="ep_9"))
    assert await outreach.it.end_secret("x", 1_000)
    assert not await outreach.it.end_secret("y", 1_000)


async def test_a_removed_endpoint_takes_its_secrets_along(outreach: Subject[Outreach]):
    """Nothing is left to sign with; removing it again says that there is none."""
    await outreach.it.put_endpoint(ENDPOINT)
    await outreach.it.add_secret(secret("a", 100))
    assert await outreach.it.remove_endpoint("ep_1")
    assert not await outreach.it.remove_endpoint("ep_1")
    assert await outreach.it.secrets(["ep_1"]) == []


async def test_suppressions_are_by_organizer_address_and_category(outreach: Subject[Outreach]):
    """The first one of a category stays as it is; others are found by their pair alone, and page by page."""
    first = Suppression("org", "a1", "reminder", Reason.UNSUBSCRIBE, 100, "by link")
    every = Suppression("org", "a1", "*", Reason.BOUNCE, 200)
    others = [
        Suppression("org", "b2", "*", Reason.MANUAL, 300),
        Suppression("x", "a1", "*", Reason.MANUAL, 1),
    ]
    assert await outreach.it.suppress([first, every, *others]) == 4
    assert await outreach.it.suppress([replace(first, reason=Reason.MANUAL)]) == 0
    assert await outreach.it.suppressed([("org", "a1"), ("org", "c3"), ("x", "a1")]) == {
        ("org", "a1"): frozenset({"reminder", "*"}),
        ("x", "a1"): frozenset({"*"}),
    }
    assert await outreach.it.suppressed([]) == {}
    page = await outreach.it.suppressions("org", None, 2)
    assert page == [every, first]
    assert await outreach.it.suppressions("org", ("a1", "reminder"), 5) == [others[0]]
    assert await outreach.it.unsuppress("org", "a1", "*")
    assert not await outreach.it.unsuppress("org", "a1", "*")
    assert await outreach.it.suppressed([("org", "a1")]) == {("org", "a1"): frozenset({"reminder"})}


async def test_templates_count_up(outreach: Subject[Outreach]):
    """The last version counts, older ones can be read, and of two who save the same version one does."""
    await outreach.it.save_template(template(1))
    await outreach.it.save_template(template(2))
    await outreach.it.save_template(template(1, "de"))
    saves = [outreach.it.save_template(template(2, "de")) for _ in range(3)]
    done = await asyncio.gather(*saves, return_exceptions=True)
    assert sum(isinstance(each, Rejected) for each in done) == 2
    with pytest.raises(Rejected):
        await outreach.it.save_template(template(9, "fr"))
    assert await outreach.it.template("org", "confirmed", "en") == template(2)
    assert await outreach.it.template("org", "confirmed", "en", 1) == template(1)
    assert await outreach.it.template("org", "confirmed", "fr") is None
    assert await outreach.it.templates("org") == [template(2, "de"), template(2)]
    assert await outreach.it.templates() == [template(2, "de"), template(2)]
    assert await outreach.it.drop_template("org", "confirmed", "en")
    assert not await outreach.it.drop_template("org", "confirmed", "en")
    assert await outreach.it.templates("other") == []


async def test_orders_have_numbers_without_a_gap(outreach: Subject[Outreach]):
    """Whoever gives them at once; they come back whole and in order."""
    wanted = Wanted("org", ("ntc_1",), "evt", None, frozenset({NoticeStatus.DEAD}), "webhook", "ep_1")
    order = Order(OrderKind.REPLAY, "org", 100, wanted, "ep_1", ("a1", "b2"), b"\x00sealed", "key_1")
    numbers = await asyncio.gather(*(outreach.it.give(order) for _ in range(5)))
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert await outreach.it.give(Order(OrderKind.PING, "org", 200, target="ep_1")) == 6
    assert await outreach.it.orders(4, 10) == [
        replace(order, seq=5),
        Order(OrderKind.PING, "org", 200, target="ep_1", seq=6),
    ]
    assert len(await outreach.it.orders(0, 3)) == 3


async def test_a_repeated_request_gives_no_second_order(outreach: Subject[Outreach]):
    """Orders of one request are one, whoever repeats it and when; those of no request are one each."""
    order = Order(OrderKind.REPLAY, "org", 100, target="ep_1", request="cmd_1")
    numbers = await asyncio.gather(*(outreach.it.give(order) for _ in range(5)))
    assert numbers == [1] * 5
    assert await outreach.it.give(replace(order, request="cmd_2")) == 2
    assert await outreach.it.give(replace(order, created_ms=300)) == 1
    assert [each.request for each in await outreach.it.orders(0, 10)] == ["cmd_1", "cmd_2"]
    assert await outreach.it.give(replace(order, request="")) == 3
    assert await outreach.it.give(replace(order, request="")) == 4


async def test_the_revision_tells_of_changes(outreach: Subject[Outreach]):
    """It rises with what is cached elsewhere, and not with what is asked each time."""
    seen = [await outreach.it.revision()]

    async def step() -> None:
        seen.append(await outreach.it.revision())

    await outreach.it.put_endpoint(ENDPOINT)
    await step()
    await outreach.it.add_secret(secret("a", 100))
    await step()
    await outreach.it.save_template(template(1))
    await step()
    await outreach.it.remove_endpoint("ep_1")
    await step()
    assert seen == sorted(set(seen))
    await outreach.it.suppress([Suppression("org", "a1", "*", Reason.MANUAL, 1)])
    await outreach.it.give(Order(OrderKind.PING, "org", 1))
    assert await outreach.it.revision() == seen[-1]
    assert await outreach.it.counts() == {
        "endpoints": 0,
        "secrets": 0,
        "suppressions": 1,
        "templates": 1,
        "orders": 1,
    }


async def test_everything_outlives_a_close(lasting_outreach: Subject[Outreach]):
    """Reopened, all of it is there, and goes on where it was."""
    await lasting_outreach.it.put_endpoint(ENDPOINT)
    await lasting_outreach.it.add_secret(secret("a", 100))
    await lasting_outreach.it.give(Order(OrderKind.PING, "org", 1))
    revision = await lasting_outreach.it.revision()
    again = await lasting_outreach.reopen()
    assert await again.endpoints() == [ENDPOINT]
    assert await again.secrets(["ep_1"]) == [secret("a", 100)]
    assert await again.revision() == revision
    assert await again.give(Order(OrderKind.PING, "org", 1)) == 2


async def test_a_closed_store_says_so(outreach: Subject[Outreach]):
    """Not a result that could be taken for one."""
    await outreach.it.close()
    with pytest.raises(Unavailable):
        await outreach.it.revision()
    with pytest.raises(Unavailable):
        await outreach.it.put_endpoint(ENDPOINT)
