"""Endpoints over HTTP: made, listed, changed, taken away; their secrets; and orders."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest

from tests.registration.house import a_house
from veltrix.adapters.webhook import WebhookDestinations
from veltrix.domain import limits
from veltrix.domain.identifiers import notice_id
from veltrix.ports.fulfilment import ORDERED
from veltrix.ports.notices import WEBHOOK
from veltrix.ports.outreach import OrderKind
from veltrix.sealing import open_secret

URL = "https://crm.example.org/hooks"


@pytest.fixture
async def house():
    """A house that need not decide anything."""
    async with a_house(deciding=False) as made:
        yield made


async def made(house, key="one", **body):
    """A new endpoint, as it is answered."""
    answer = await house.organizer.post(
        "/v1/endpoints", json={"url": URL} | body, headers={"idempotency-key": key}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def errors(answer):
    """What is wrong, by field."""
    assert answer.status_code == 422, answer.text
    return {each["field"]: f"{each['fault']}; {each['remedy']}" for each in answer.json()["errors"]}


async def test_an_endpoint_is_made_with_a_secret_that_is_shown_once(house):
    """The secret stands in the answer that made it, is kept sealed alone, and in no later answer."""
    answer = await made(house, kinds=["registration.confirmed"], description="CRM")
    endpoint, secret = answer["endpoint"], answer["secret"]
    assert secret.startswith("whsec_")
    assert endpoint["enabled"] is True
    assert endpoint["kinds"] == ["registration.confirmed"]
    assert endpoint["contact"]["state"] == "closed"
    (stored,) = await house.outreach.secrets([endpoint["id"]])
    assert secret.encode() not in stored.sealed
    assert open_secret(stored.sealed, b"t" * 32, endpoint["id"], stored.id).decode() == secret
    for path in ("/v1/endpoints", f"/v1/endpoints/{endpoint['id']}"):
        assert "whsec_" not in (await house.organizer.get(path)).text


async def test_of_a_key_pair_only_the_public_half_is_told(house):
    """With v1a the answer has the public key, also later, and the private one nowhere."""
    answer = await made(house, scheme="v1a")
    assert answer["secret"].startswith("whpk_")
    assert len(base64.b64decode(answer["secret"].removeprefix("whpk_"))) == 32
    read = (await house.organizer.get(f"/v1/endpoints/{answer['endpoint']['id']}")).json()
    assert read["secrets"][0]["public_key"] == answer["secret"]
    assert "whsk_" not in str(read) + str(answer)


async def test_secrets_of_another_master_key_are_told_as_gone(house):
    """Where the master key was replaced, endpoints are still listed, and a new secret can be made."""
    answer = await made(house, scheme="v1a")
    async with a_house(deciding=False) as other:
        other.outreach._endpoints, other.outreach._secrets = (
            house.outreach._endpoints,
            {
                name: replace(secret, sealed=secret.sealed[:-1] + b"\x00")
                for name, secret in house.outreach._secrets.items()
            },
        )
        path = f"/v1/endpoints/{answer['endpoint']['id']}"
        read = (await other.organizer.get(path)).json()
        assert "public_key" not in read["secrets"][0]
        assert (await other.organizer.post(f"{path}/secrets")).json()["secret"].startswith("whpk_")


async def test_the_same_request_makes_one_endpoint(house):
    """Repeated under its key it is answered the same, secret included; another body under the key is not."""
    first = await made(house)
    again = await house.organizer.post("/v1/endpoints", json={"url": URL}, headers={"idempotency-key": "one"})
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["secret"] == first["secret"]
    assert len(await house.outreach.endpoints("acme")) == 1
    other = await house.organizer.post(
        "/v1/endpoints", json={"url": URL + "/other"}, headers={"idempotency-key": "one"}
    )
    assert other.json()["type"].endswith("key_reused")
    assert len(await house.outreach.endpoints("acme")) == 1


async def test_what_a_crash_left_half_done_is_completed_by_repeating(house):
    """An endpoint whose secret was never stored is not enabled, and the same request completes it."""
    add, house.outreach.add_secret = house.outreach.add_secret, None
    request = {"url": "/v1/endpoints", "json": {"url": URL}, "headers": {"idempotency-key": "one"}}
    assert (await house.organizer.post(**request)).status_code == 500
    assert [each.enabled for each in await house.outreach.endpoints("acme")] == [False]
    house.outreach.add_secret = add
    answer = await house.organizer.post(**request)
    assert answer.status_code == 201
    assert answer.json()["endpoint"]["enabled"] is True
    assert answer.json()["secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"url": "https://127.0.0.1/"}, "/url", "127.0.0.1 (loopback)"),
        ({"url": URL + "x" * 5_000}, "/url", "too long"),
        ({"url": ""}, "/url", "too short"),
        ({"url": URL, "kinds": ["registration.exploded"]}, "/kinds/0", "registration.confirmed"),
        ({"url": URL, "kinds": ["rules.adopted"]}, "/kinds/0", "give one of"),
        ({"url": URL, "description": "a\nb"}, "/description", "cannot be shown"),
        ({"url": URL, "on_unknown": "guess"}, "/on_unknown", "give"),
        ({"url": URL, "rate_per_s": -1}, "/rate_per_s", "give"),
        ({"url": URL, "secret": "mine"}, "/secret", "not known"),
        ({}, "/url", "is missing"),
    ],
)
async def test_what_is_wrong_is_named(house, body, field, says):
    """Each fault is told with its field, what is wrong and what to do, and nothing is stored."""
    answer = await house.organizer.post("/v1/endpoints", json=body)
    assert says in errors(answer)[field]
    assert await house.outreach.endpoints() == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://0x7f.1/", "https://2130706433/", "https://[::ffff:127.0.0.1]/",
        "https://localhost:8443/hooks", "https://10.1.2.3/", "https://169.254.169.254/latest", "http://8.8.8.8/",
        "https://user:secret@8.8.8.8/", "https://8.8.8.8/#fragment", "gopher://8.8.8.8/", "8.8.8.8",
    ],
)  # fmt: skip
async def test_urls_are_judged_by_the_adapter_that_sends(url):
    """Over HTTP, with the real judge: each bad URL is a fault of /url with a remedy, in both languages."""
    destinations = WebhookDestinations()
    async with a_house(deciding=False, destinations=destinations) as house:
        for language in ("en", "de"):
            answer = await house.organizer.post(
                "/v1/endpoints", json={"url": url}, headers={"accept-language": language}
            )
            assert list(errors(answer)) == ["/url"]
        assert await house.outreach.endpoints() == []
    await destinations.close()


async def test_an_endpoint_changes_by_what_is_named(house):
    """A change touches what it names, is checked like a new endpoint, and repeated changes nothing more."""
    endpoint = (await made(house, ordered=True))["endpoint"]
    path = f"/v1/endpoints/{endpoint['id']}"
    changed = (await house.organizer.patch(path, json={"enabled": False, "kinds": ["event.opened"]})).json()
    assert (changed["enabled"], changed["kinds"], changed["ordered"]) == (False, ["event.opened"], True)
    assert (await house.organizer.patch(path, json={"enabled": False})).json() == changed
    wrong = await house.organizer.patch(path, json={"url": "https://127.0.0.1/"})
    assert "/url" in errors(wrong)
    assert (await house.organizer.get(path)).json() == changed


async def test_endpoints_belong_to_their_organizer(house):
    """Another organizer's endpoint does not exist for anybody else, whatever is asked of it."""
    path = f"/v1/endpoints/{(await made(house))['endpoint']['id']}"
    stranger = house.client(await house.new_key("write", organizer="other"))
    answers = [
        await stranger.get(path), await stranger.delete(path), await stranger.patch(path, json={}),
        await stranger.post(f"{path}/secrets", json={}), await stranger.post(f"{path}/ping"),
        await stranger.post(f"{path}/enable"), await stranger.get("/v1/endpoints/ep_1"),
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    assert (await stranger.get("/v1/endpoints")).json() == {"items": []}
    assert (await house.organizer.get(path)).status_code == 200


async def test_scopes_are_kept(house):
    """A key that may read cannot write, and without a key nothing is told."""
    reader = house.client(await house.new_key("read"))
    assert (await reader.get("/v1/endpoints")).status_code == 200
    assert (await reader.post("/v1/endpoints", json={"url": URL})).status_code == 403
    assert (await house.public.get("/v1/endpoints")).status_code == 401
    assert (await house.public.get("/v1/notices")).status_code == 401
    assert (await house.public.get("/v1/facts")).status_code == 401


async def test_an_endpoint_is_taken_away_with_its_secrets(house):
    """After DELETE there is neither endpoint nor secret; a second one finds nothing."""
    endpoint = (await made(house))["endpoint"]["id"]
    assert (await house.organizer.delete(f"/v1/endpoints/{endpoint}")).status_code == 204
    assert await house.outreach.secrets([endpoint]) == []
    assert (await house.organizer.delete(f"/v1/endpoints/{endpoint}")).status_code == 404


async def test_the_number_of_endpoints_is_bounded(house):
    """One more than the most is refused with the number."""
    for number in range(limits.ENDPOINTS_PER_ORGANIZER_MAX):
        await made(house, key=f"key-{number}")
    answer = await house.organizer.post("/v1/endpoints", json={"url": URL})
    assert answer.status_code == 409
    assert str(limits.ENDPOINTS_PER_ORGANIZER_MAX) in answer.json()["detail"]


async def test_a_new_secret_overlaps_the_old(house):
    """Rotation adds a secret and lets the others end after the overlap; repeated, it is one rotation."""
    first = await made(house)
    path = f"/v1/endpoints/{first['endpoint']['id']}/secrets"
    headers = {"idempotency-key": "turn"}
    answer = (await house.organizer.post(path, json={"overlap_s": 60}, headers=headers)).json()
    assert answer["secret"] not in (None, first["secret"])
    secrets = answer["endpoint"]["secrets"]
    assert sorted(each["ends_at"] is None for each in secrets) == [False, True]
    again = await house.organizer.post(path, json={"overlap_s": 60}, headers=headers)
    assert again.json()["secret"] == answer["secret"]
    assert len(again.json()["endpoint"]["secrets"]) == 2


async def test_changing_the_scheme_lets_the_other_end_too(house):
    """After a change over to key pairs the symmetric secret signs until the overlap ends, and no longer."""
    endpoint = (await made(house))["endpoint"]["id"]
    answer = await house.organizer.post(
        f"/v1/endpoints/{endpoint}/secrets", json={"scheme": "v1a", "overlap_s": 60}
    )
    by_scheme = {each["scheme"]: each for each in answer.json()["endpoint"]["secrets"]}
    assert by_scheme["v1"]["ends_at"] is not None
    assert by_scheme["v1a"]["ends_at"] is None
    at_once = await house.organizer.post(f"/v1/endpoints/{endpoint}/secrets", json={"overlap_s": 0})
    assert [each["scheme"] for each in at_once.json()["endpoint"]["secrets"]] == ["v1a"]


async def test_the_number_of_secrets_is_bounded(house):
    """One more secret in force than there may be is refused, and the others stay as they were."""
    endpoint = (await made(house))["endpoint"]["id"]
    path = f"/v1/endpoints/{endpoint}/secrets"
    for _ in range(limits.WEBHOOK_SECRETS_MAX - 1):
        assert (await house.organizer.post(path)).status_code == 201
    answer = await house.organizer.post(path)
    assert answer.json()["type"].endswith("too_many_secrets")
    assert len(await house.outreach.secrets([endpoint])) == limits.WEBHOOK_SECRETS_MAX


async def test_a_secret_ends_at_once_unless_it_is_the_last(house):
    """A leaked secret is ended by its id; the last one that lasts cannot be."""
    first = (await made(house))["endpoint"]
    old = first["secrets"][0]["id"]
    path = f"/v1/endpoints/{first['id']}/secrets"
    assert (await house.organizer.delete(f"{path}/{old}")).json()["type"].endswith("last_secret")
    await house.organizer.post(path)
    left = (await house.organizer.delete(f"{path}/{old}")).json()["secrets"]
    assert old not in {each["id"] for each in left}
    assert len(left) == 1
    assert (await house.organizer.delete(f"{path}/{old}")).json()["type"].endswith("unknown_secret")


async def test_a_ping_is_ordered_once_and_its_notice_named(house):
    """A ping appends one order, however often it is repeated, and tells the notice that it will make."""
    endpoint = (await made(house))["endpoint"]["id"]
    headers = {"idempotency-key": "try"}
    answers = [await house.organizer.post(f"/v1/endpoints/{endpoint}/ping", headers=headers) for _ in "ab"]
    (order,) = await house.outreach.orders(0, 10)
    assert (order.kind, order.target, order.organizer) == (OrderKind.PING, endpoint, "acme")
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["notice"] == notice_id(ORDERED, order.seq, endpoint, WEBHOOK)


async def test_enabling_gives_an_order_and_sets_the_will(house):
    """Enable turns the organizer's switch on again, and orders what notification holds against it to end."""
    endpoint = (await made(house))["endpoint"]["id"]
    await house.organizer.patch(f"/v1/endpoints/{endpoint}", json={"enabled": False})
    assert (await house.organizer.post(f"/v1/endpoints/{endpoint}/enable")).status_code == 200
    (order,) = await house.outreach.orders(0, 10)
    assert (order.kind, order.target) == (OrderKind.ENABLE, endpoint)
    assert (await house.outreach.endpoint(endpoint)).enabled


async def test_repeating_at_the_same_time_is_one_endpoint(house):
    """Ten requests under one key at once make one endpoint with one secret."""
    answers = await asyncio.gather(
        *(
            house.organizer.post("/v1/endpoints", json={"url": URL}, headers={"idempotency-key": "at-once"})
            for _ in range(10)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    (endpoint,) = await house.outreach.endpoints("acme")
    assert len(await house.outreach.secrets([endpoint.id])) == 1
    assert len({answer.json()["secret"] for answer in answers}) == 1
