"""Webhooks: who hears of what, how it is signed, when it comes again, and that nobody else is called."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, parse_latency
from batchrun.emulator.hooks.keys import key_of
from batchrun.emulator.hooks.sending import is_loopback, send_due
from tests.emulator.in_process import KEY, URL, Clock, body

HOOK = "http://127.0.0.1:9000/hook"
ALL = ["interaction.completed", "interaction.failed", "interaction.requires_action", "interaction.cancelled"]
Answers = Callable[[httpx.Request], int]


class World:
    """An emulator with a clock of its own, a client on it, and a receiver of its messages."""

    def __init__(self, answers: Answers = lambda request: 200, state: Path | None = None) -> None:
        self.clock = Clock()
        self.got: list[httpx.Request] = []
        self._answers = answers
        self.emulator = Emulator(EmulatorSettings(clock=self.clock, latency=parse_latency("20s"), state=state))
        transport = httpx.ASGITransport(app=self.emulator.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://emulator", headers=KEY)

    def _receive(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self._answers(request))

    async def pass_time(self, seconds: float) -> list[httpx.Request]:
        """Let time pass, then send what is due; what the receiver got."""
        self.clock.now += seconds
        before = len(self.got)
        async with httpx.AsyncClient(transport=httpx.MockTransport(self._receive)) as sender:
            await send_due(self.emulator.service, sender)
        return self.got[before:]

    async def create(self, **fields: Any) -> str:
        answer = await self.client.post(URL, json=body(**fields))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def hook(self, events: list[str] | None = None, uri: str = HOOK) -> Any:
        asked = {"uri": uri, "subscribed_events": events or ALL, "name": "mine"}
        answer = await self.client.post("/v1/webhooks", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


def run(story: Callable[[World], Awaitable[Any]], world: World | None = None) -> Any:
    world = world or World()

    async def told() -> Any:
        try:
            return await story(world)
        finally:
            await world.client.aclose()
            world.emulator.close()

    return asyncio.run(told())


def is_signed(request: httpx.Request, secret: str) -> bool:
    """What a receiver checks by the Standard Webhooks specification."""
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.content
    hashed = hmac.digest(b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    return f"v1,{b64encode(hashed).decode()}" in headers["webhook-signature"].split(" ")


def test_a_static_webhook_hears_of_the_end_when_it_comes() -> None:
    async def story(world: World) -> None:
        secret = (await world.hook())["new_signing_secret"]
        name = await world.create()
        assert await world.pass_time(19) == []
        (request,) = await world.pass_time(1)
        assert await world.pass_time(3600) == []
        assert json.loads(request.content) == {
            "type": "interaction.completed",
            "version": "v1",
            "timestamp": "2027-01-15T08:00:20Z",
            "data": {"id": name},
        }
        assert is_signed(request, secret)
        assert not is_signed(request, "whsec_c29tZXRoaW5nIGVsc2U=")

    run(story)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"labels": {"emulate-fault": "failed"}}, "interaction.failed"),
        ({"tools": [{"type": "function", "name": "look"}]}, "interaction.requires_action"),
    ],
)
def test_each_end_has_its_event(fields: dict[str, Any], kind: str) -> None:
    async def story(world: World) -> None:
        await world.hook()
        await world.create(**fields)
        (request,) = await world.pass_time(20)
        assert json.loads(request.content)["type"] == kind

    run(story)


def test_only_what_was_subscribed_to_is_told() -> None:
    async def story(world: World) -> None:
        await world.hook(["interaction.failed"])
        await world.create()
        await world.create(labels={"emulate-fault": "incomplete"})
        assert await world.pass_time(100) == []

    run(story)


@pytest.mark.parametrize(
    "fields",
    [{}, {"labels": {"emulate-fault": "stuck"}}, {"webhook_config": {"uris": [HOOK]}}],
    ids=["project", "stuck", "own"],
)
def test_a_cancel_is_told_instead_of_the_end(fields: dict[str, Any]) -> None:
    async def story(world: World) -> None:
        await world.hook()
        name = await world.create(**fields)
        await world.client.post(f"{URL}/{name}/cancel")
        (request,) = await world.pass_time(0)
        assert json.loads(request.content)["type"] == "interaction.cancelled"
        assert await world.pass_time(100) == []

    run(story)


def test_a_message_that_is_not_taken_comes_again_later_each_time() -> None:
    times: list[float] = []
    world = World(lambda request: 200 if len(times) == 4 else 503)

    async def story(world: World) -> None:
        await world.hook()
        await world.create()
        for _ in range(100):
            if await world.pass_time(1):
                times.append(world.clock.now)

    run(story, world)
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits == [5, 10, 20, 40]
    assert len({request.headers["webhook-id"] for request in world.got}) == 1


def test_after_a_day_of_failures_a_webhook_is_disabled() -> None:
    async def story(world: World) -> str:
        hook = await world.hook()
        await world.create()
        for _ in range(40):
            await world.pass_time(3600)
        return str((await world.client.get(f"/v1/webhooks/{hook['id']}")).json()["state"])

    world = World(lambda request: 500)
    assert run(story, world) == "disabled_due_to_failed_deliveries"
    assert 20 < len(world.got) < 40


def test_a_receiver_that_cannot_be_reached_is_tried_again() -> None:
    def fails(request: httpx.Request) -> int:
        raise httpx.ConnectError("nobody there")

    async def story(world: World) -> None:
        await world.hook()
        await world.create()
        await world.pass_time(20)
        assert len(await world.pass_time(5)) == 1

    run(story, World(fails))


def test_a_dynamic_webhook_gets_a_token_that_the_jwks_verifies() -> None:
    async def story(world: World) -> None:
        config = {"uris": [HOOK], "user_metadata": {"row": "r1"}}
        name = await world.create(webhook_config=config)
        (request,) = await world.pass_time(20)
        jwks = (await world.client.get("/.well-known/jwks.json", headers={"x-goog-api-key": ""})).json()
        claims = verified(request.headers["webhook-signature"], jwks["keys"][0])
        assert json.loads(request.content)["data"] == {"id": name, "user_metadata": {"row": "r1"}}
        assert claims["body_sha256"] == hashlib.sha256(request.content).hexdigest()
        assert (claims["aud"], claims["jti"]) == (HOOK, request.headers["webhook-id"])
        assert claims["exp"] - claims["iat"] == 300

    run(story)


def verified(token: str, jwk: dict[str, str]) -> Any:
    """The claims of a JWT, checked by a library that the emulator does not use."""
    padding = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding")
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.hashes import SHA256

    modulus, exponent = (int.from_bytes(_plain(jwk[name])) for name in ("n", "e"))
    signed, _, signature = token.rpartition(".")
    key = RSAPublicNumbers(exponent, modulus).public_key()
    key.verify(_plain(signature), signed.encode(), padding.PKCS1v15(), SHA256())
    header, claims = (json.loads(_plain(part)) for part in signed.split("."))
    assert (header["alg"], header["kid"]) == ("RS256", jwk["kid"])
    return claims


def _plain(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_key_belongs_to_the_seed_and_has_2048_bits() -> None:
    assert key_of(7).modulus.bit_length() == 2048
    assert key_of(7).modulus != key_of(8).modulus


def test_a_request_with_its_own_addresses_is_not_told_to_the_project() -> None:
    async def story(world: World) -> list[str]:
        await world.hook()
        uris = ["http://localhost:9001/a", "http://[::1]:9002/b"]
        await world.create(webhook_config={"uris": uris})
        return sorted(str(request.url) for request in await world.pass_time(20))

    assert run(story) == ["http://[::1]:9002/b", "http://localhost:9001/a"]


@pytest.mark.parametrize(
    "uri",
    ["https://example.com/hook", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "http://0x7f.1/"],
)
def test_nobody_outside_this_machine_is_called(uri: str) -> None:
    assert not is_loopback(uri)

    async def story(world: World) -> None:
        await world.create(webhook_config={"uris": [uri]})
        assert await world.pass_time(20) == []

    run(story)


def test_a_ping_is_sent_at_once() -> None:
    async def story(world: World) -> None:
        hook = await world.hook()
        assert (await world.client.post(f"/v1/webhooks/{hook['id']}:ping", json={})).json() == {}
        (request,) = await world.pass_time(0)
        assert json.loads(request.content)["type"] == "webhook.ping"
        assert is_signed(request, hook["new_signing_secret"])

    run(story)


@pytest.mark.parametrize("route", [":rotateSigningSecret", "/rotate_secret"])
def test_a_rotated_secret_is_valid_beside_the_old_one_for_a_day(route: str) -> None:
    async def story(world: World) -> list[tuple[bool, bool]]:
        hook = await world.hook()
        old = hook["new_signing_secret"]
        new = (await world.client.post(f"/v1/webhooks/{hook['id']}{route}", json={})).json()["secret"]
        found = []
        for seconds in (0, 86_400):
            world.clock.now += seconds
            await world.create()
            (request,) = await world.pass_time(20)
            found.append((is_signed(request, old), is_signed(request, new)))
        return found

    assert run(story) == [(True, True), (False, True)]


def test_a_rotation_can_end_the_old_secret_at_once() -> None:
    async def story(world: World) -> bool:
        hook = await world.hook()
        asked = {"revocation_behavior": "revoke_previous_secrets_immediately"}
        await world.client.post(f"/v1/webhooks/{hook['id']}:rotateSigningSecret", json=asked)
        await world.create()
        (request,) = await world.pass_time(20)
        return is_signed(request, hook["new_signing_secret"])

    assert run(story) is False


def test_the_secret_is_shown_only_once() -> None:
    async def story(world: World) -> None:
        hook = await world.hook()
        shown = (await world.client.get(f"/v1/webhooks/{hook['id']}")).text
        assert hook["new_signing_secret"] not in shown
        assert hook["new_signing_secret"][:10] in shown

    run(story)


def test_a_delete_does_not_stop_an_interaction_so_its_end_is_told() -> None:
    async def story(world: World) -> None:
        await world.hook()
        name = await world.create()
        assert (await world.client.delete(f"{URL}/{name}")).status_code == 200
        (request,) = await world.pass_time(20)
        assert json.loads(request.content)["data"] == {"id": name}

    run(story)


def test_a_webhook_can_be_changed_listed_and_deleted() -> None:
    async def story(world: World) -> None:
        path = f"/v1/webhooks/{(await world.hook())['id']}"
        changes = {"state": "disabled", "name": "other"}
        changed = (await world.client.patch(path, params={"update_mask": "state"}, json=changes)).json()
        assert (changed["state"], changed["name"]) == ("disabled", "mine")
        await world.create()
        assert await world.pass_time(20) == []
        assert (await world.client.patch(path, params={"update_mask": "secrets"}, json={})).status_code == 400
        assert [hook["id"] for hook in (await world.client.get("/v1/webhooks")).json()["webhooks"]] == [changed["id"]]
        statuses = [(await world.client.request(method, path)).status_code for method in ("DELETE", "GET")]
        assert statuses == [200, 404]

    run(story)


@pytest.mark.parametrize(
    "hook",
    [
        {},
        {"uri": HOOK},
        {"uri": HOOK, "subscribed_events": []},
        {"uri": HOOK, "subscribed_events": ["interaction.dreamt"]},
        {"uri": "ftp://x", "subscribed_events": ALL},
        {"uri": HOOK, "subscribed_events": ALL, "secret": "mine"},
    ],
)
def test_a_webhook_that_cannot_be_is_refused(hook: dict[str, Any]) -> None:
    async def story(world: World) -> int:
        return (await world.client.post("/v1/webhooks", json=hook)).status_code

    assert run(story) == 400


def test_a_restarted_emulator_still_has_its_webhooks_and_messages(tmp_path: Path) -> None:
    state = tmp_path / "state.db"

    async def before(world: World) -> None:
        await world.hook()
        await world.create()

    async def after(world: World) -> list[httpx.Request]:
        await world.create(input="Another")
        return await world.pass_time(20)

    run(before, World(state=state))
    assert len(run(after, World(state=state))) == 2
