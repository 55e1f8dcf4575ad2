"""The project's webhooks: create, change, ping, rotate the secret. The JWKS of those that come with a request."""

from __future__ import annotations

from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.hooks.keys import key_of
from batchrun.emulator.hooks.signing import new_secret
from batchrun.emulator.reading import read_body
from batchrun.emulator.resources.paging import page_asked, token_of
from batchrun.emulator.resources.table import Document
from batchrun.emulator.rules import checks
from batchrun.emulator.service import Service
from batchrun.emulator.views import timestamp

_EVENTS = (
    *(f"batch.{end}" for end in ("succeeded", "expired", "failed", "cancelled")),
    *(f"interaction.{end}" for end in ("completed", "failed", "requires_action", "cancelled")),
    "video.generated",
)
_FIELDS = {
    "name": checks.text,
    "uri": checks.web_address,
    "subscribed_events": checks.list_of(checks.one_of(*_EVENTS)),
    "state": checks.one_of("enabled", "disabled"),
}
_GRACE = 86_400.0
_ROTATE = checks.record(
    {"revocation_behavior": checks.one_of("revoke_previous_secrets_after_h24", "revoke_previous_secrets_immediately")}
)


def create(service: Service, call: Call) -> Answer:
    asked = _asked(call, "uri", "subscribed_events")
    now = service.settings.clock()
    service.counts.webhooks += 1
    name = f"webhook-{digest('webhook', service.settings.seed, now, service.counts.webhooks).hex()[:12]}"
    secret = _secret(service, name, now)
    hook = {
        "id": name,
        "state": "enabled",
        **asked,
        "created": now,
        "updated": now,
        "secrets": [{"secret": secret, "expires": None}],
    }
    _keep(service, hook)
    return json_answer(200, {**_view(hook, now), "new_signing_secret": secret})


def get(service: Service, call: Call, name: str) -> Answer:
    return json_answer(200, _view(_find(service, name), service.settings.clock()))


def update(service: Service, call: Call, name: str) -> Answer:
    """Changes the fields that the body holds, or of those only the ones that `update_mask` names."""
    hook, asked = _find(service, name), _asked(call)
    mask = call.query.get("update_mask") or call.query.get("updateMask")
    wanted = {part.strip() for part in mask.split(",")} if mask else set(asked)
    if unknown := wanted - set(_FIELDS) - {"*"}:
        raise invalid(f"Invalid 'update_mask': {min(unknown)!a} cannot be changed.")
    changed = {field: value for field, value in asked.items() if field in wanted or "*" in wanted}
    now = service.settings.clock()
    hook = {**hook, **changed, "updated": now}
    _keep(service, hook)
    return json_answer(200, _view(hook, now))


def delete(service: Service, call: Call, name: str) -> Answer:
    _find(service, name)
    service.hooks.table.delete(name)
    service.hooks.reload()
    return Answer(200, b"{}")


def list_webhooks(service: Service, call: Call) -> Answer:
    size, after = page_asked(call, default=50, most=1000)
    hooks, following = service.hooks.table.page(size, after)
    more = {} if following is None else {"next_page_token": token_of(following)}
    now = service.settings.clock()
    return json_answer(200, {"webhooks": [_view(hook, now) for hook in hooks], **more})


def ping(service: Service, call: Call, name: str) -> Answer:
    service.hooks.ping(_find(service, name), service.settings.clock())
    return Answer(200, b"{}")


def rotate(service: Service, call: Call, name: str) -> Answer:
    """A new secret. The old ones stay valid for a day, so that a receiver can change over, or end at once."""
    hook = _find(service, name)
    asked = read_body(call.body) if call.body.strip() else {}
    _ROTATE(asked, "rotate")
    now = service.settings.clock()
    at_once = asked.get("revocation_behavior") == "revoke_previous_secrets_immediately"
    old = [] if at_once else [{**one, "expires": one["expires"] or now + _GRACE} for one in hook["secrets"]]
    secret = _secret(service, name, now)
    _keep(service, {**hook, "updated": now, "secrets": [{"secret": secret, "expires": None}, *old]})
    return json_answer(200, {"secret": secret})


def jwks(service: Service) -> Answer:
    return json_answer(200, {"keys": [key_of(service.settings.seed).jwk]})


def _asked(call: Call, *required: str) -> dict[str, Any]:
    asked = {name: value for name, value in read_body(call.body).items() if value is not None}
    checks.record(_FIELDS, *required)(asked, "webhook")
    if asked.get("subscribed_events") == []:
        raise invalid("'subscribed_events' must not be empty.")
    return asked


def _secret(service: Service, name: str, now: float) -> str:
    service.counts.secrets += 1
    return new_secret(digest("secret", service.settings.seed, name, now, service.counts.secrets))


def _keep(service: Service, hook: Document) -> None:
    service.hooks.table.put(hook["id"], hook)
    service.hooks.reload()


def _find(service: Service, name: str) -> Document:
    hook = service.hooks.table.get(name)
    if hook is None:
        raise refuse("not_found", f"Webhook {name!a} not found.")
    return hook


def _view(hook: Document, now: float) -> dict[str, Any]:
    """The webhook without its secrets; an old secret is listed until it expires."""
    valid = [one for one in hook["secrets"] if one["expires"] is None or now < one["expires"]]
    shown: Document = {name: hook[name] for name in ("id", "name", "uri", "subscribed_events", "state") if name in hook}
    stamps = {"create_time": timestamp(hook["created"]), "update_time": timestamp(hook["updated"])}
    return {**shown, **stamps, "signing_secrets": [_secret_view(one) for one in valid]}


def _secret_view(one: dict[str, Any]) -> dict[str, str]:
    expires = {} if one["expires"] is None else {"expire_time": timestamp(one["expires"])}
    return {"truncated_secret": f"{one['secret'][:10]}…", **expires}
