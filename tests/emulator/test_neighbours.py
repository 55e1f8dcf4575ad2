"""Models, token counts, and routes that do not exist."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.emulator.agents.charts import chart
from tests.emulator.in_process import finished, talk


def call(method: str, path: str, **options: Any) -> httpx.Response:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        return await client.request(method, path, **options)

    answer: httpx.Response = talk(EmulatorSettings(), conversation)
    return answer


def test_models_are_listed_in_pages() -> None:
    first = call("GET", "/v1beta/models", params={"pageSize": 3}).json()
    assert next(model["name"] for model in first["models"]) == "models/gemini-2.5-flash"
    rest = call("GET", "/v1beta/models", params={"pageSize": 1000, "pageToken": first["nextPageToken"]}).json()
    assert len(first["models"]) == 3
    assert len(rest["models"]) > 20
    assert "nextPageToken" not in rest


def test_latest_aliases_are_only_in_v1beta() -> None:
    names = {v: [m["name"] for m in call("GET", f"/{v}/models").json()["models"]] for v in ("v1", "v1beta")}
    assert "models/gemini-flash-latest" in names["v1beta"]
    assert "models/gemini-flash-latest" not in names["v1"]


def test_a_model_tells_its_limits() -> None:
    model = call("GET", "/v1/models/gemini-3.5-flash").json()
    assert (model["inputTokenLimit"], model["outputTokenLimit"]) == (1_048_576, 65_536)
    assert call("GET", "/v1/models/gpt-1").status_code == 404


def test_tokens_are_counted_as_an_interaction_counts_them() -> None:
    part = {"inline_data": {"mime_type": "image/png", "data": chart(b"key")["data"]}}
    counted = call(
        "POST",
        "/v1beta/models/gemini-3.5-flash:countTokens",
        json={"contents": [{"role": "user", "parts": [{"text": "x" * 400}, part]}]},
    )
    assert counted.json()["totalTokens"] == 358


def test_text_tokens_are_counted_in_either_shape() -> None:
    contents = [{"parts": [{"text": "How many paws are in my house?"}]}]
    path = "/v1/models/gemini-3.5-flash:countTokens"
    plain = call("POST", path, json={"contents": contents}).json()
    nested = call("POST", path, json={"generateContentRequest": {"contents": contents}}).json()
    assert plain == nested
    assert plain["totalTokens"] == finished()["usage"]["total_input_tokens"]
    assert plain["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": plain["totalTokens"]}]


@pytest.mark.parametrize(
    "asked", [{}, {"contents": []}, {"contents": [{"parts": [{"thing": 1}]}]}, {"contents": "text"}]
)
def test_nothing_to_count_is_refused(asked: Any) -> None:
    assert call("POST", "/v1/models/gemini-3.5-flash:countTokens", json=asked).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/files"),
        ("GET", "/v1/files/"),
        ("POST", "/v1/models/gemini-3.5-flash:sing"),
        ("GET", "/v1/webhooks/x:ping"),
        ("GET", "/upload/v1/files"),
        ("POST", "/upload/v2/files"),
    ],
)
def test_a_method_that_does_not_exist_is_not_found(method: str, path: str) -> None:
    assert call(method, path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/triggers"),
        ("POST", "/v1beta/triggers/x/executions"),
        ("POST", "/v1/credentials"),
        ("DELETE", "/v1beta/credentials/x"),
        ("GET", "/v1beta/fileSearchStores"),
        ("POST", "/v1beta/models/gemini-3.5-flash:generateContent"),
    ],
)
def test_what_only_the_service_has_is_refused_by_name(method: str, path: str) -> None:
    answer = call(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "unimplemented")
    assert path in answer.json()["error"]["message"]
    assert call(method, path, headers={"x-goog-api-key": ""}).status_code == 403


@pytest.mark.parametrize("path", ["files", "models", "agents", "environments", "webhooks"])
def test_every_resource_wants_a_key(path: str) -> None:
    assert call("GET", f"/v1beta/{path}", headers={"x-goog-api-key": ""}).status_code == 403
    assert call("GET", f"/v1beta/{path}").status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id base_agent tools system_instruction base_environment agent_config uri subscribed_events name state sources "
    "network from_environment contents generateContentRequest revocation_behavior"
)
ROUTES = (
    "agents environments webhooks models/gemini-3.5-flash:countTokens webhooks/{hook}:rotateSigningSecret "
    "webhooks/{hook}:ping agents/é files"
)


@given(
    st.sampled_from(ROUTES.split()),
    st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
    st.dictionaries(st.sampled_from(FIELDS.split()), JSON, max_size=4) | JSON,
)
@settings(max_examples=300, deadline=None)
def test_no_request_makes_a_neighbour_stumble(route: str, method: str, asked: Any) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        made = await client.post(
            "/v1/webhooks", json={"uri": "http://localhost/", "subscribed_events": ["video.generated"]}
        )
        path = route.format(hook=made.json()["id"])
        return await client.request(
            method, f"/v1beta/{path}", json=asked, params={"page_size": "3", "update_mask": "é"}
        )

    answer = talk(EmulatorSettings(), conversation)
    assert answer.status_code < 500
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


PARTS = st.recursive(
    st.sampled_from(["x", "image/png", "application/pdf", "aGk=", "https://a.example/", ""]) | JSON,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["text", "inline_data", "inlineData", "fileData", "mime_type", "mimeType", "data", "fileUri"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.lists(PARTS, max_size=3))
@settings(max_examples=200, deadline=None)
def test_no_parts_make_the_counting_stumble(parts: list[Any]) -> None:
    answer = call("POST", "/v1/models/gemini-3.5-flash:countTokens", json={"contents": [{"parts": parts}]})
    assert answer.status_code in (200, 400, 403)


@given(
    st.dictionaries(
        st.sampled_from(["command", "protocol", "offset", "header-content-length", "header-content-type"]),
        st.sampled_from(
            ["start", "resumable", "upload", "finalize", "query", "0", "-1", "7", "9" * 30, "é", "", "a/b"]
        ),
    ),
    JSON,
)
@settings(max_examples=200, deadline=None)
def test_no_headers_make_an_upload_stumble(told: dict[str, str], file: Any) -> None:
    headers = {f"x-goog-upload-{name}": value.encode("utf-8") for name, value in told.items()}
    answer = call("POST", "/upload/v1beta/files", headers=headers, json={"file": file})
    assert answer.status_code < 500
