"""Values that are of the right type and still nothing that a service can work with; and a disk that is full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, MovableClock, load_faults, load_replies
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, json_format, post, talk
from tests.emulator.media_files import block, document, wav

AGENT = {"model": None, "agent": "antigravity-preview-09-2026", "input": "Hello"}


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    message: str = answer.json()["error"]["message"]
    return message


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"seed": 2**31}, "seed"),
        ({"max_output_tokens": 10**30}, "max_output_tokens"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(config: dict[str, Any], place: str) -> None:
    assert f"generation_config.{place}" in said(post(generation_config=config))


@pytest.mark.parametrize("config", [{"temperature": 2, "top_p": 1}, {"temperature": 0, "top_p": 0, "seed": -(2**31)}])
def test_the_ends_of_a_range_belong_to_it(config: dict[str, Any]) -> None:
    assert post(generation_config=config).status_code == 200


@pytest.mark.parametrize("fields", [{"sample_rate": -1}, {"bit_rate": 0}])
def test_sound_cannot_be_asked_for_at_no_rate(fields: dict[str, Any]) -> None:
    form = {"type": "audio", "mime_type": "audio/mp3", **fields}
    assert "a positive integer" in said(post(model="gemini-3.8-flash-tts", response_format=form))


@pytest.mark.parametrize("fields", [{"sample_rate": -1}, {"channels": 0}])
def test_sound_cannot_come_at_no_rate(fields: dict[str, Any]) -> None:
    assert "a positive integer" in said(post(input=block("audio", "audio/l16", b"\0\0" * 8, **fields)))


def test_a_number_beyond_all_numbers_is_no_json() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> str:
        content = json.dumps(body(labels={})).replace("{}", '{"a": 1e999}')
        return said(await client.post(URL, content=content))

    assert "too large for a number" in talk(EmulatorSettings(), conversation)


@pytest.mark.parametrize("uri", ["files/abc", "file:///etc/passwd", "", "/v1/files/abc"])
def test_a_file_is_named_by_its_uri(uri: str) -> None:
    pdf = {"type": "document", "mime_type": "application/pdf", "uri": uri}
    assert "'uri' of an uploaded file, not its name" in said(post(input=pdf))


@pytest.mark.parametrize("name", ["", "../etc", "a\0", "a/b", "x" * 129])
@pytest.mark.parametrize("named", [lambda name: name, lambda name: {"type": "remote", "environment_id": name}])
def test_an_environment_has_an_id_that_fits_into_a_path(name: str, named: Any) -> None:
    assert "no id of an environment" in said(post(**AGENT, environment=named(name)))


@pytest.mark.parametrize("uri", ["", "ftp://localhost/", "http://", "http://[", "http://localhost:99999999/"])
def test_a_webhook_has_an_address(uri: str) -> None:
    assert "webhook_config.uris[0]" in said(post(webhook_config={"uris": [uri]}))


def nested(outer: int, inner: int) -> dict[str, Any]:
    rows = {"type": "array", "maxItems": inner, "items": {"type": "string"}}
    row = {"type": "object", "properties": {"rows": rows}}
    return {"type": "object", "properties": {"pages": {"type": "array", "maxItems": outer, "items": row}}}


def test_nested_arrays_of_very_many_items_are_too_complex() -> None:
    assert "too complex" in said(post(response_format=json_format(nested(100_000, 100_000))))
    assert post(response_format=json_format(nested(100, 100))).status_code == 200
    assert post(response_format=json_format(nested(1, 10**9))).status_code == 200


@pytest.mark.parametrize(
    ("content", "modality", "tokens"),
    [
        (
            document("a", "b", "c", processing={"type": "static", "page_options": {"start_page": 2}}),
            "document",
            2 * 258,
        ),
        (document("a", "b", "c", processing={"page_options": {"start_page": 2, "end_page": 2}}), "document", 258),
        (document("a", processing={"page_options": {"start_page": 5, "end_page": 9}}), "document", 258),
        (document("a", processing="static"), "document", 258),
        (block("audio", "audio/wav", wav(10), processing={"start_offset": "1.5s", "end_offset": "4s"}), "audio", 80),
        (block("audio", "audio/wav", wav(10), processing={"start_offset": "8s"}), "audio", 64),
    ],
)
def test_only_the_part_that_is_looked_at_is_counted(content: dict[str, Any], modality: str, tokens: int) -> None:
    usage = post(input=[content], background=None).json()["usage"]
    assert usage["input_tokens_by_modality"] == [{"modality": modality, "tokens": tokens}]


@pytest.mark.parametrize(
    "processing",
    [
        [1],
        "agentic",
        {"page_options": {"start_page": 0}},
        {"page_options": {"start_page": 3, "end_page": 2}},
        {"page_options": []},
        {"type": "x"},
        {"start_offset": "1s"},
    ],
)
def test_processing_is_checked(processing: Any) -> None:
    assert "input[0].processing" in said(post(input=[document("a", processing=processing)]))


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"mode": "verbatim", "language_codes": ["de"]}, 200),
        ({"mode": {"type": "verbatim", "diarization_mode": "speaker", "timestamp_granularities": ["word"]}}, 200),
        ({"mode": "careful"}, 400),
        ({"diarization": True}, 400),
        ({"mode": {"type": "smart", "speed": 2}}, 400),
    ],
)
def test_transcription_has_its_own_settings(config: dict[str, Any], status: int) -> None:
    asked = post(model="gemini-3.5-transcribe", generation_config={"transcription_config": config})
    assert asked.status_code == status


@pytest.mark.parametrize("offset", ["1", "-1s", "infs", "nans", "", 1])
def test_an_offset_is_written_in_seconds(offset: Any) -> None:
    assert "input[0].processing" in said(
        post(input=[block("audio", "audio/wav", wav(1), processing={"start_offset": offset})])
    )


def test_a_part_of_an_interaction_cannot_be_had() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        url = f"{URL}/{(await client.post(URL, json=body())).json()['id']}"
        assert "X-Goog-FieldMask" in said(await client.get(url, headers={"X-Goog-FieldMask": "id"}))
        assert (await client.get(url, headers={"X-Goog-FieldMask": "*"})).status_code == 200
        for wrong in ("abc", "1", "0000001", "٠٠٠٠٠١"):
            answer = await client.get(url, params={"stream": "true", "last_event_id": wrong})
            assert "the id of no event" in said(answer)

    talk(EmulatorSettings(), conversation)


def test_the_clock_does_not_leave_the_calendar() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        for seconds in (1e308, -1, 10**12):
            assert "'advance'" in said(await client.post("/emulator/clock", json={"advance": seconds}))
        assert (await client.post("/emulator/clock", json={"advance": 10**9})).status_code == 200

    talk(EmulatorSettings(clock=MovableClock(Clock())), conversation)


def test_what_cannot_be_counted_says_why() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> str:
        part = {"inlineData": {"mimeType": "image/png", "data": "!"}}
        asked = {"contents": [{"parts": [part]}]}
        return said(await client.post("/v1/models/gemini-3.5-flash:countTokens", json=asked))

    message = talk(EmulatorSettings(), conversation)
    assert message == "Invalid contents: Invalid value at 'input[0].data': base64 decoding failed."


def test_a_full_disk_is_told_in_an_envelope() -> None:
    answer = post(EmulatorSettings(ledger=Path("/dev/full")))
    assert answer.status_code == 503
    assert "cannot keep its books" in answer.json()["error"]["message"]


def test_ledger_and_state_are_two_files(tmp_path: Path) -> None:
    file = tmp_path / "one"
    with pytest.raises(SpecError, match="choose two files"):
        Emulator(EmulatorSettings(ledger=file, state=tmp_path / "." / "one"))
    assert not file.exists()


@pytest.mark.parametrize(
    ("plan", "message"),
    [("429@", "'label' is a mapping"), ("429=5s", "'429' takes no duration"), ("reset_after=1s", "takes no duration")],
)
def test_a_plan_says_nothing_in_vain(plan: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_faults(plan)


def test_a_rule_for_no_call_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("- {kind: 429, nth: []}\n")
    with pytest.raises(SpecError, match="names no call"):
        load_faults(plan)


@pytest.mark.parametrize("address", ["http://[bad", "http://localhost:999999/v1", "http:///v1"])
def test_a_model_server_has_an_address(address: str) -> None:
    with pytest.raises(SpecError, match="write an address such as"):
        load_replies(f"openai:{address}")
