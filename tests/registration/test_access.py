"""API keys, and how much one address may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registration.house import a_house, quick
from veltrix.adapters.memory import MemoryAccess
from veltrix.adapters.system import SystemClock, SystemEntropy
from veltrix.ports.access import Scope
from veltrix.registration.access import Doorkeeper, new_api_key, require
from veltrix.registration.calls import Call, Trace
from veltrix.registration.problems import Problem
from veltrix.registration.rates import Rates


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now_ms(self):
        """Its time."""
        return round(self.now_s * 1000)

    def monotonic_s(self):
        """Its time."""
        return self.now_s


def call_with(authorization: bytes | None) -> Call:
    """A call that carries a key."""
    headers = [] if authorization is None else [(b"authorization", authorization)]
    return Call({"method": "GET", "headers": headers}, None, {}, Trace("", ""))  # type: ignore[arg-type]  # no body


def a_key(*scopes: Scope):
    """A new key of acme."""
    return new_api_key("acme", scopes, SystemEntropy(), SystemClock(), "laptop")


def test_a_key_is_stored_as_a_hash():
    """What is stored does not hold the secret; what its owner gets names the key and holds the secret."""
    stored, text = a_key(Scope.READ)
    identity, secret = text.removeprefix("vk_").split("_", 1)
    assert stored.id == f"key_{identity}"
    assert secret not in repr(stored)
    assert len(secret) >= 43
    assert (stored.organizer, stored.scopes, stored.label) == ("acme", {Scope.READ}, "laptop")
    assert a_key(Scope.READ)[1] != text


@pytest.mark.parametrize(
    ("has", "wanted", "may"),
    [
        (Scope.READ, Scope.READ, True),
        (Scope.WRITE, Scope.READ, True),
        (Scope.WRITE, Scope.WRITE, True),
        (Scope.READ, Scope.WRITE, False),
        (Scope.CHECK_IN, Scope.READ, False),
        (Scope.WRITE, Scope.CHECK_IN, False),
        (Scope.CHECK_IN, Scope.CHECK_IN, True),
    ],
)
def test_scopes(has, wanted, may):
    """Write includes read; check-in stands alone. What is missing is named."""
    stored, _ = a_key(has)
    if may:
        assert require(stored, wanted) is stored
        return
    with pytest.raises(Problem, match="forbidden") as caught:
        require(stored, wanted)
    assert caught.value.params == {"scope": wanted.value}


async def test_a_key_is_found_by_its_text_alone():
    """The right secret opens; a wrong one, an unknown id and another kind of authorization do not."""
    access = MemoryAccess()
    stored, text = a_key(Scope.READ)
    await access.add(stored)
    door = Doorkeeper(access, Watch())
    assert await door.identify(call_with(None)) is None
    assert await door.identify(call_with(f"Bearer {text}".encode())) == stored
    assert await door.identify(call_with(f"bearer  {text} ".encode())) == stored
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    other = "vk_" + "0" * 32 + text[35:]
    for value in (f"Bearer {wrong}", f"Bearer {other}", f"Basic {text}", "Bearer", "Bearer vk_", text):
        with pytest.raises(Problem, match="unauthorized") as caught:
            await door.identify(call_with(value.encode()))
        assert dict(caught.value.headers)[b"www-authenticate"].startswith(b"Bearer")


@given(st.binary(max_size=200))
async def test_no_bytes_are_a_key(value):
    """Hostile bytes in Authorization are refused like any other wrong key."""
    with pytest.raises(Problem, match="unauthorized"):
        await Doorkeeper(MemoryAccess(), Watch()).identify(call_with(value))


async def test_a_revoked_key_ends_soon():
    """A key that was revoked opens for two seconds at the most."""
    access, watch = MemoryAccess(), Watch()
    stored, text = a_key(Scope.READ)
    await access.add(stored)
    door = Doorkeeper(access, watch)
    call = call_with(f"Bearer {text}".encode())
    assert await door.identify(call)
    await access.revoke(stored.id)
    assert await door.identify(call)
    watch.now_s = 2.1
    with pytest.raises(Problem, match="unauthorized"):
        await door.identify(call)


def test_an_address_may_ask_its_rate():
    """A burst goes through, then the rate; who waits as long as told may ask again."""
    watch = Watch()
    rates = Rates(watch, rate_per_s=2.0, burst=3.0, trusted=())
    assert [rates.take("a") for _ in range(4)] == [0, 0, 0, 1]
    assert rates.take("b") == 0
    watch.now_s = 0.5
    assert [rates.take("a"), rates.take("a")] == [0, 1]
    watch.now_s = 1_000.0
    assert [rates.take("a") for _ in range(4)] == [0, 0, 0, 1]


def test_the_table_of_addresses_is_bounded():
    """However many addresses ask, the table keeps the latest; one household of IPv6 is one address."""
    rates = Rates(Watch(), rate_per_s=1.0, burst=1.0, trusted=(), most=10)
    for number in range(100):
        rates.take(f"10.0.0.{number}")
    assert len(rates._buckets) == 10
    assert rates.take("2001:db8::1") == 0
    assert rates.take("2001:db8::2") == 1
    assert rates.take("2001:db8:0:1::1") == 0
    assert rates.take("not an address:") == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "rubbish", "rubbish"),
    ],
)
def test_only_our_own_proxies_are_believed(peer, forwarded, expected):
    """The client is the last address before our proxies; what others write into the header does not count."""
    rates = Rates(Watch(), 1.0, 1.0, trusted=("10.0.0.0/8",))
    headers = {b"x-forwarded-for": forwarded.encode()} if forwarded else {}
    assert rates.address({"client": (peer, 1)}, headers) == expected
    assert rates.address({"client": None}, {}) == ""


async def test_a_flood_from_one_address_is_told_to_wait():
    """Past its rate an address gets 429 with Retry-After; probes are answered all the same."""
    async with a_house(quick(rate_per_address_per_s=0.5, rate_burst_per_address=3.0)) as house:
        answers = [await house.public.get("/v1/decisions/x") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        assert (await house.public.get("/livez")).status_code == 200
