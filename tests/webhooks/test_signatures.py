"""Only who has the secret, or the service's own key, can sign a message; an independent library agrees on which."""

from __future__ import annotations

import asyncio
import json
import pickle
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from batchrun.emulator.hooks.keys import base64url, key_of
from batchrun.emulator.hooks.signing import token
from batchrun.webhooks.message import Message
from batchrun.webhooks.standard import Secrets, secrets_of
from batchrun.webhooks.tokens import Keys, Unknown, claims_of, keys_in

NOW = 1_795_352_400
OLD, NEW = (f"whsec_{b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
URI = "https://me.example/hook"
KEY = key_of(0)
JWKS = json.dumps({"keys": [KEY.jwk]}).encode()


def secrets(*texts: str) -> Secrets:
    found = secrets_of(" ".join(texts))
    assert found is not None
    return found


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40), st.text(max_size=200))
def test_another_implementation_signs_and_checks_as_we_do(name: str, text: str) -> None:
    theirs = Webhook(OLD).sign(name, datetime.fromtimestamp(NOW, UTC), text)
    ours = secrets(OLD).sign(name, NOW, text.encode())
    assert ours == theirs
    assert secrets(OLD).signed(Message(name, NOW, theirs, text.encode()))


def test_what_we_sign_is_taken_by_another_implementation_and_what_is_altered_by_neither() -> None:
    now = int(datetime.now(UTC).timestamp())  # noqa: TID251
    body = b'{"type":"interaction.completed"}'
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": secrets(OLD).sign("msg_1", now, body),
    }
    assert Webhook(OLD).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body + b" ", headers)
    assert not secrets(OLD).signed(Message("msg_1", now, headers["webhook-signature"], body + b" "))


ALTERED: list[Callable[[Message], Message]] = [
    lambda m: Message(m.id + "0", m.timestamp, m.signature, m.body),
    lambda m: Message(m.id, m.timestamp + 1, m.signature, m.body),
    lambda m: Message(m.id, m.timestamp, m.signature, m.body + b" "),
    lambda m: Message(m.id, m.timestamp, m.signature[:-2] + "A=", m.body),
    lambda m: Message(m.id, m.timestamp, m.signature.replace("v1,", "v1a,"), m.body),
    lambda m: Message(m.id, m.timestamp, m.signature.removeprefix("v1,"), m.body),
    lambda m: Message(m.id, m.timestamp, "v1,", m.body),
    lambda m: Message(m.id, m.timestamp, "v1," + m.signature, m.body),
    lambda m: Message(m.id, m.timestamp, "v1,é", m.body),
    lambda m: Message(m.id, m.timestamp, "v1,x " * 16 + m.signature, m.body),  # one too many to be looked at
]


@pytest.mark.parametrize("alter", ALTERED)
def test_a_message_that_was_altered_is_not_signed(alter: Callable[[Message], Message]) -> None:
    whole = Message("msg_1", NOW, secrets(OLD).sign("msg_1", NOW, b"{}"), b"{}")
    assert secrets(OLD).signed(whole)
    assert not secrets(OLD).signed(alter(whole))


def test_while_a_secret_is_rotated_both_are_good_and_afterwards_the_old_one_is_not() -> None:
    by_both = Message("m", NOW, secrets(OLD, NEW).sign("m", NOW, b"{}"), b"{}")
    by_old = Message("m", NOW, secrets(OLD).sign("m", NOW, b"{}"), b"{}")
    assert secrets(NEW).signed(by_both)
    assert secrets(OLD).signed(by_both)
    assert secrets_of(f"{OLD}, {NEW}").signed(by_old)  # type: ignore[union-attr]
    assert not secrets(NEW).signed(by_old)


@pytest.mark.parametrize(
    "text", ["hunter2", "whsec_", "whsec_AAAA", "whsec_!!!!", OLD.removeprefix("whsec_"), f"{OLD} x"]
)
def test_what_is_no_secret_is_not_taken_for_one(text: str) -> None:
    assert secrets_of(text) is None


def test_secrets_do_not_show_themselves() -> None:
    assert repr(secrets(OLD, NEW)) == "Secrets(2)"
    assert not secrets_of("")
    with pytest.raises(TypeError):
        pickle.dumps(secrets(OLD))


# -- tokens ----------------------------------------------------------------------------------------------------------


def claimed(signature: str, body: bytes = b"{}", *, now: float = NOW, uri: str = URI, jwks: bytes | None = JWKS) -> Any:
    async def fetch() -> bytes | None:
        return jwks

    return asyncio.run(claims_of(Message("msg_1", NOW, signature, body), Keys(fetch), uri, now))


def signed(claims: Any, header: dict[str, Any] | None = None) -> str:
    """A token by the service's key with whatever claims."""
    parts = [json.dumps(each).encode() for each in (header or {"alg": "RS256", "kid": KEY.name}, claims)]
    content = ".".join(map(base64url, parts))
    return f"{content}.{base64url(KEY.sign(content.encode()))}"


GOOD = token(KEY, URI, "msg_1", NOW, b"{}")


def test_the_service_s_own_token_is_believed() -> None:
    assert claimed(GOOD)["aud"] == URI
    assert claimed(signed({"iat": NOW, "aud": "projects/123"})) is not None  # what we cannot know is not asked for
    assert claimed(signed({"exp": NOW + 60, "aud": [URI, "https://other.example"]})) is not None


def test_a_token_for_other_bytes_another_address_or_another_time_is_refused() -> None:
    assert claimed(GOOD, b"{ }") is None
    assert claimed(GOOD, uri="https://other.example/hook") is None
    assert claimed(GOOD, now=NOW + 301) is None
    assert claimed(GOOD, now=NOW - 301) is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iat": None},
        {"iat": str(NOW)},
        {"iat": True},
        {"iat": 10**400},
        {"iat": float("nan")},
        {"iat": NOW, "exp": NOW - 1},
        {"iat": NOW - 301, "exp": NOW + 60},
        {"iat": NOW, "body_sha256": 7},
        {"iat": NOW, "aud": "http://127.0.0.1/"},
        [NOW],
        "iat",
    ],
)
def test_claims_that_are_not_true_or_have_no_time_are_refused(claims: Any) -> None:
    assert claimed(signed(claims)) is None


def test_no_other_key_and_no_other_way_of_signing_will_do() -> None:
    claims = {"iat": NOW}
    assert claimed(token(key_of(1), URI, "msg_1", NOW, b"{}")) is None  # its id is unknown
    other = key_of(1)
    content = ".".join(base64url(json.dumps(e).encode()) for e in ({"alg": "RS256", "kid": KEY.name}, claims))
    assert claimed(f"{content}.{base64url(other.sign(content.encode()))}") is None
    assert claimed(signed(claims, {"alg": "none", "kid": KEY.name})) is None
    assert claimed(jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": KEY.name})) is None
    assert claimed(signed(claims, {"alg": "RS256"})) is None
    assert claimed(signed(claims, {"alg": "RS256", "kid": 7})) is None
    assert claimed(GOOD[:-4]) is None
    assert claimed("x.y.z") is None
    assert claimed("x" * 9000) is None


def test_another_library_agrees_with_the_emulator_s_signature() -> None:
    key = jwt.PyJWK.from_dict(KEY.jwk)
    claims = jwt.decode(
        GOOD, key.key, algorithms=["RS256"], audience=URI, options={"verify_exp": False, "verify_iat": False}
    )
    assert claims["jti"] == "msg_1"


@pytest.mark.parametrize("jwks", [None, b"", b"[]", b'{"keys": 1}', b"\xff", b'{"keys": []}'])
def test_without_the_service_s_keys_nobody_can_tell(jwks: bytes | None) -> None:
    with pytest.raises(Unknown):
        claimed(GOOD, jwks=jwks)


def test_a_key_that_cannot_be_used_does_not_spoil_the_others() -> None:
    listed = [
        {"kty": "RSA", "kid": "a"},
        {"kty": "EC", "kid": "b"},
        7,
        {"kty": "RSA", "kid": "c", "n": "!", "e": "AQAB"},
    ]
    assert list(keys_in(json.dumps({"keys": [*listed, KEY.jwk]}).encode()) or ()) == [KEY.name]


def test_forged_tokens_do_not_make_us_ask_for_keys_again_and_again() -> None:
    asked: list[int] = []

    async def fetch() -> bytes | None:
        asked.append(1)
        return JWKS

    async def many() -> None:
        keys = Keys(fetch)
        for number in range(50):
            forged = signed({"iat": NOW}, {"alg": "RS256", "kid": f"k{number}"})
            assert await claims_of(Message("m", NOW, forged, b"{}"), keys, URI, NOW) is None

    asyncio.run(many())
    assert len(asked) == 1
