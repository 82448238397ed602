"""Signatures, with the `standardwebhooks` package and `cryptography` as oracles."""

from __future__ import annotations

import base64
import re
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from tests.notification.stage import Dice
from veltrix.adapters.webhook.signing import BadSecret, signatures
from veltrix.ports.outreach import Scheme
from veltrix.registration.signing_secrets import for_receiver, new_secret

NOTICE = "ntc_00112233445566778899aabbccddeeff"


def headers(signature: str, at_s: int) -> dict[str, str]:
    """What a receiver gets beside the body."""
    return {"webhook-id": NOTICE, "webhook-timestamp": str(at_s), "webhook-signature": signature}


@given(st.binary(min_size=1, max_size=64), st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_a_symmetric_signature_is_the_one_that_the_package_verifies(key, text):
    """Whatever the secret and the body, the reference package verifies what was signed here."""
    secret = "whsec_" + base64.b64encode(key).decode()
    at_s, body = int(time.time()), text.encode()
    signed = headers(signatures([secret], NOTICE, at_s, body), at_s)
    Webhook(secret).verify(body, signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b"!", signed, json_parse=False)


def test_a_known_signature():
    """The example of Standard Webhooks' own libraries gives the signature that they give."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_asymmetric_signature_verifies_with_the_public_key_alone():
    """What the owner of an endpoint is shown verifies what its posts carry, and no other body."""
    secret = new_secret(Scheme.V1A, Dice())
    public = for_receiver(secret)
    assert public.startswith("whpk_")
    assert secret.startswith("whsk_")
    kind, _, encoded = signatures([secret], NOTICE, 1_700_000_000, b'{"a":1}').partition(",")
    assert kind == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    key.verify(base64.b64decode(encoded), NOTICE.encode() + b'.1700000000.{"a":1}')
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(encoded), NOTICE.encode() + b'.1700000000.{"a":2}')


def test_every_secret_in_force_signs():
    """During an overlap a post carries a signature by each secret, and each of its receivers is content."""
    old, new = new_secret(Scheme.V1, Dice(1)), new_secret(Scheme.V1, Dice(2))
    pair = new_secret(Scheme.V1A, Dice(3))
    at_s = int(time.time())
    made = signatures([new, old, pair], NOTICE, at_s, b"{}")
    assert [part.split(",")[0] for part in made.split(" ")] == ["v1", "v1", "v1a"]
    for secret in (old, new):
        Webhook(secret).verify(b"{}", headers(made, at_s))
    stranger = new_secret(Scheme.V1, Dice(4))
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(stranger).verify(b"{}", headers(made, at_s))


def test_new_secrets_have_the_shape_that_the_standard_asks_for():
    """A symmetric secret has between 24 and 64 random bytes; the receiver of it gets the very secret."""
    secret = new_secret(Scheme.V1, Dice())
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+=*", secret)
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    assert for_receiver(secret) == secret
    assert secret != new_secret(Scheme.V1, Dice(8))


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_***", "whsk_AAAA", "secret", "whpk_" + "A" * 43 + "="]
)
def test_what_is_no_secret_is_refused_without_showing_it(secret):
    """A text that nothing can be signed with raises, and the error does not repeat it."""
    with pytest.raises(BadSecret) as raised:
        signatures([secret], NOTICE, 1, b"{}")
    body = secret.partition("_")[2]
    assert not body or body not in str(raised.value)
