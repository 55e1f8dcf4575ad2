"""Whatever is sent to whichever route: never a 500, and an error is always in an envelope."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings, MovableClock
from tests.emulator.in_process import URL, Clock, body, talk

#: What is there before a request comes; `made` fills in their names.
MADE = ("{interaction}", "{agent}", "{webhook}", "{environment}", "{file}")
ROUTES = """
    POST /interactions | GET /interactions/{interaction} | POST /interactions/{interaction}/cancel
    DELETE /interactions/{interaction} | GET /files | GET /{file} | DELETE /{file}
    GET /models | GET /models/gemini-3.5-flash | POST /models/gemini-3.5-flash:countTokens
    GET /agents | POST /agents | GET /agents/{agent} | DELETE /agents/{agent}
    GET /environments | POST /environments | GET /environments/{environment} | DELETE /environments/{environment}
    GET /environments/{environment}/files | GET /environments/{environment}/files/a/b
    GET /webhooks | POST /webhooks | GET /webhooks/{webhook} | PATCH /webhooks/{webhook} | DELETE /webhooks/{webhook}
    POST /webhooks/{webhook}:ping | POST /webhooks/{webhook}:rotateSigningSecret
    POST /webhooks/{webhook}/rotate_secret
"""
KNOWN_ROUTES = [tuple(route.split()) for line in ROUTES.strip().splitlines() for route in line.split("|")]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ODD = st.text(max_size=8) | st.sampled_from(["..", "%2e%2e", "%00", "%ff", "a" * 3000, "ä", "🦆", "{agent}", "a:b"])
VERSIONS = st.sampled_from(["/v1beta"] * 4 + ["/v1"] * 4 + ["/v2", ""])
ROOMS = ("/interactions/", "/files/", "/models/", "/agents/", "/environments/", "/webhooks/", "/upload/", "/")
UPLOADS = ("/upload/v1beta/files", "/upload/v1/files", "/upload/v1/files?upload_id={upload}", "/upload/v1/other")
OTHERS = ("/", "", "/emulator/clock", "/.well-known/jwks.json", "/v1beta", "//v1//interactions")
TARGETS = st.one_of(
    st.builds(lambda version, route: (route[0], version + route[1]), VERSIONS, st.sampled_from(KNOWN_ROUTES)),
    st.builds(lambda version, route: (route[0], version + route[1]), VERSIONS, st.sampled_from(KNOWN_ROUTES)),
    st.builds(
        lambda method, *path: (method, "".join(path)), st.sampled_from(METHODS), VERSIONS, st.sampled_from(ROOMS), ODD
    ),
    st.tuples(st.sampled_from(["POST", "PUT"]), st.sampled_from(UPLOADS)),
    st.tuples(st.sampled_from(METHODS), st.sampled_from(OTHERS)),
)
PARAMETERS = (
    "alt stream last_event_id include_input fields key pageSize page_size pageToken page_token parent update_mask "
    "updateMask upload_id recursive"
)
VALUES = st.text(max_size=6) | st.sampled_from(
    ["true", "-1", "0", "1e9", "999999999999999999999", "000002", "*", "uri"]
)
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS.split()), VALUES, max_size=3)
UPLOAD = {
    "x-goog-upload-protocol": st.sampled_from(["resumable", "multipart", "raw", ""]),
    "x-goog-upload-command": st.sampled_from(
        ["start", "upload", "upload, finalize", "finalize", "query", "cancel", "x"]
    ),
    "x-goog-upload-offset": st.sampled_from(["0", "1", "-1", "x", "9" * 30]),
    "x-goog-upload-header-content-length": st.sampled_from(["0", "4", "-1", "x", "9" * 30]),
    "x-goog-upload-header-content-type": st.sampled_from(["text/plain", "", "image/png", "x"]),
    "content-type": st.sampled_from(["application/json", "text/plain", ""]),
}
HEADERS = st.fixed_dictionaries({}, optional=UPLOAD)
FIELDS = (
    "id name model agent base_agent input steps contents file display_name displayName mime_type size_bytes uri uris "
    "subscribed_events state environment environment_id sources network from_environment tools agent_config advance "
    "description previous_interaction_id background stream store labels text parts revocation_behavior"
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(MADE)
KNOWN = st.sampled_from(FIELDS.split()) | st.sampled_from(["type", "content", "data"])
JSON = st.recursive(
    LEAVES | st.sampled_from(["text", "user_input", "remote", "inline", "http://localhost/hook"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner, max_size=4),
    max_leaves=10,
)
#: Bodies that are right for a part of a path; what is sent is one of them with some fields changed.
RIGHT: dict[str, list[dict[str, Any]]] = {
    "countTokens": [{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}],
    "interactions": [
        body(),
        body(model=None, agent="{agent}", background=None),
        body(model=None, agent="antigravity-preview-09-2026", environment="{environment}"),
        body(previous_interaction_id="{interaction}", tools=[{"type": "google_search"}]),
        body(input=[{"type": "document", "uri": "http://emulator/v1/{file}", "mime_type": "text/csv"}]),
    ],
    "agents": [{"id": "other", "base_agent": "antigravity-preview-09-2026", "base_environment": "{environment}"}],
    "environments": [{"sources": [{"type": "inline", "target": "a", "content": "b"}], "network": "disabled"}],
    "webhooks": [{"uri": "http://127.0.0.1:1/hook", "subscribed_events": ["interaction.completed"]}],
    "upload": [{"file": {"display_name": "a", "mime_type": "text/plain", "size_bytes": "4"}}],
    "clock": [{"advance": 3600}],
}
CHANGES = st.dictionaries(st.sampled_from(FIELDS.split()), JSON, max_size=2)


def requests_to(target: tuple[str, str]) -> st.SearchStrategy[Any]:
    right = next((bodies for part, bodies in RIGHT.items() if part in target[1]), [{}])
    documents = st.builds(lambda document, changes: {**document, **changes}, st.sampled_from(right), CHANGES)
    bodies = documents.map(json.dumps).map(str.encode) | st.just(b"") | st.binary(max_size=40)
    return st.tuples(st.just(target), QUERIES, HEADERS, bodies)


REQUESTS = TARGETS.flatmap(requests_to)


async def made(client: httpx.AsyncClient) -> dict[str, str]:
    """One of everything, by the name that stands for it."""
    posts: dict[str, tuple[str, dict[str, Any]]] = {
        "{interaction}": (URL, body()),
        "{agent}": ("/v1/agents", {"id": "helper", "base_agent": "antigravity-preview-09-2026"}),
        "{webhook}": (
            "/v1/webhooks",
            {"uri": "http://127.0.0.1:1/hook", "subscribed_events": ["interaction.completed"]},
        ),
        "{environment}": ("/v1/environments", {}),
    }
    names = {}
    for stand_in, (url, request) in posts.items():
        answer = await client.post(url, json=request)
        assert answer.status_code == 200, answer.text
        names[stand_in] = answer.json()["id"]
    names["{upload}"] = await upload_begun(client)
    finished = await upload_begun(client)
    last = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
    answer = await client.post("/upload/v1/files", params={"upload_id": finished}, headers=last, content=b"a,b\n")
    return {**names, "{file}": answer.json()["file"]["name"]}


async def upload_begun(client: httpx.AsyncClient) -> str:
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "4",
        "x-goog-upload-header-content-type": "text/csv",
    }
    answer = await client.post("/upload/v1/files", headers=headers, json={"file": {"display_name": "totals"}})
    return httpx.URL(answer.headers["x-goog-upload-url"]).params["upload_id"]


def filled(text: str, names: dict[str, str]) -> str:
    for stand_in, name in names.items():
        text = text.replace(stand_in, name)
    return text


@given(st.lists(REQUESTS, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_request_makes_any_route_stumble(requests: list[Any]) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        names = await made(client)
        for (method, path), query, headers, content in requests:
            raw = filled(content.decode("latin-1"), names).encode("latin-1")
            try:
                url = httpx.URL("http://emulator" + filled(path, names), params=query)
            except httpx.InvalidURL:
                continue
            check(await client.request(method, url, headers=headers, content=raw))

    talk(EmulatorSettings(clock=MovableClock(Clock())), conversation)


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        document = answer.json()
        envelope = document[0] if isinstance(document, list) else document
        assert envelope["error"]["message"]
        assert envelope["error"]["code"]
