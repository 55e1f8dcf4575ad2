"""Answers that hold media: real files of the size that was asked for, which say that they are emulated."""

from __future__ import annotations

import wave
from base64 import b64decode
from io import BytesIO
from typing import Any

import httpx
import pytest
from google.genai._gaos.types.interactions.interaction import Interaction
from PIL import Image

from batchrun.emulator import Emulator, EmulatorSettings
from batchrun.emulator.makers.h264 import frame
from batchrun.emulator.media.opening import open_bytes
from tests.emulator.in_process import URL, body, finished, json_format, post, talk, text_of

PROMPT = "Generate an image of a futuristic city skyline at sunset"


def made(kind: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
    """The one block of a kind in an answer, and its bytes."""
    interaction = finished(**{"input": PROMPT, **fields})
    (block,) = [block for block in interaction["steps"][-1]["content"] if block["type"] == kind]
    return block, b64decode(block["data"])


def image(**form: str) -> dict[str, str]:
    return {"type": "image", **form}


def tokens_out(interaction: dict[str, Any]) -> dict[str, int]:
    return {item["modality"]: item["tokens"] for item in interaction["usage"]["output_tokens_by_modality"]}


@pytest.mark.parametrize(
    ("form", "size"),
    [
        ({}, (1024, 1024)),
        ({"image_size": "512"}, (512, 512)),
        ({"image_size": "2K"}, (2048, 2048)),
        ({"image_size": "4K", "aspect_ratio": "16:9"}, (5456, 3072)),
        ({"aspect_ratio": "9:16"}, (768, 1360)),
        ({"aspect_ratio": "1:8", "mime_type": "image/jpeg"}, (368, 2896)),
    ],
)
def test_a_picture_has_the_size_and_shape_that_was_asked_for(form: dict[str, str], size: tuple[int, int]) -> None:
    block, content = made("image", model="gemini-3.1-flash-image", response_format=image(**form))
    assert block["mime_type"] == "image/jpeg"
    with Image.open(BytesIO(content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", size)


def test_an_image_model_makes_a_picture_without_being_told() -> None:
    interaction = finished(model="gemini-3-pro-image", input=PROMPT)
    assert interaction["steps"][-1]["content"][0]["type"] == "image"
    assert tokens_out(interaction) == {"image": 1120}


def test_the_older_settings_of_pictures_are_understood() -> None:
    config = {"image_config": {"aspect_ratio": "16:9", "image_size": "512"}}
    _, content = made("image", model="gemini-3.1-flash-image", generation_config=config)
    assert open_bytes("image", "image/jpeg", content).width == 688


def test_the_same_prompt_gives_the_same_picture_and_another_gives_another() -> None:
    model = {"model": "gemini-3.1-flash-image", "response_format": image(image_size="512")}
    first, again, other = (made("image", input=text, **model)[1] for text in ("a cat", "a cat", "a dog"))
    assert first == again != other


def test_text_and_a_picture_can_be_asked_for_together() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    formats = [json_format(schema), image(image_size="512")]
    interaction = finished(model="gemini-3.1-flash-image", input=PROMPT, response_format=formats)
    assert [block["type"] for block in interaction["steps"][-1]["content"]] == ["text", "image"]
    assert set(tokens_out(interaction)) == {"text", "image"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"response_format": image(mime_type="image/png")}, "image/jpeg"),
        ({"response_format": image(aspect_ratio="2:1")}, "aspect_ratio"),
        ({"response_format": image(image_size="8K")}, "image_size"),
        ({"response_format": {"type": "video", "delivery": "uri"}, "store": False, "background": None}, "store=true"),
        ({"response_format": {"type": "video", "duration": "long"}}, "duration"),
        ({"response_format": {"type": "audio", "mime_type": "audio/wav", "bit_rate": 64_000}}, "bit_rate"),
        ({"response_format": {"type": "audio", "sample_rate": 5}}, "sample_rate"),
    ],
)
def test_settings_that_the_service_does_not_take_are_refused(fields: dict[str, Any], said: str) -> None:
    answer = post(**fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_speech_is_a_wav_file_that_lasts_as_long_as_its_text() -> None:
    seconds = []
    for text in ("Have a wonderful day!", "Have a wonderful day! " * 10):
        block, content = made("audio", model="gemini-3.8-flash-tts", input=text)
        assert block["mime_type"] == "audio/wav"
        with wave.open(BytesIO(content)) as sound:
            assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
            assert any(sound.readframes(24_000))
            seconds.append(sound.getnframes() / sound.getframerate())
    assert seconds[0] == pytest.approx(1.47, abs=0.05)
    assert seconds[1] == pytest.approx(14.7, abs=0.1)


def test_speech_is_billed_by_the_second() -> None:
    interaction = finished(model="gemini-3.8-flash-tts", input="Have a wonderful day! " * 10)
    assert tokens_out(interaction)["audio"] == pytest.approx(14.7 * 32, abs=4)


@pytest.mark.parametrize(
    ("mime", "read_as"),
    [
        ("audio/wav", "audio/wav"),
        ("audio/l16", "audio/l16"),
        ("audio/mp3", "audio/mp3"),
        ("audio/ogg_opus", "audio/opus"),
        ("audio/alaw", "audio/alaw"),
        ("audio/mulaw", "audio/mulaw"),
    ],
)
def test_sound_comes_in_the_format_that_was_asked_for(mime: str, read_as: str) -> None:
    block, content = made("audio", response_format={"type": "audio", "mime_type": mime})
    assert block["mime_type"] == mime
    medium = open_bytes("audio", read_as, content)
    assert medium.seconds == pytest.approx(3.8, abs=0.1)


def test_raw_samples_come_at_the_rate_that_was_asked_for() -> None:
    form = {"type": "audio", "mime_type": "audio/l16", "sample_rate": 16_000}
    block, content = made("audio", response_format=form)
    assert block["sample_rate"] == 16_000
    assert len(content) / 32_000 == pytest.approx(3.8, abs=0.1)


def test_a_clip_of_music_lasts_half_a_minute_and_comes_in_both_shapes() -> None:
    interaction = finished(model="lyria-3-clip-preview", input="A waltz")
    block = interaction["steps"][-1]["content"][0]
    assert interaction["outputs"] == [block]
    assert open_bytes("audio", "audio/wav", b64decode(block["data"])).seconds == pytest.approx(30)


def test_a_music_model_that_calls_a_function_has_no_outputs_yet() -> None:
    function = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    interaction = finished(model="lyria-3-clip-preview", input="A waltz", tools=[function])
    assert (interaction["status"], interaction["outputs"]) == ("requires_action", [])


@pytest.mark.parametrize(
    ("form", "size"),
    [
        ({}, (1280, 720)),
        ({"resolution": "360p"}, (640, 360)),
        ({"resolution": "1080p", "aspect_ratio": "9:16"}, (1080, 1920)),
    ],
)
def test_a_video_is_a_small_mp4_file_of_the_size_that_was_asked_for(
    form: dict[str, str], size: tuple[int, int]
) -> None:
    block, content = made("video", model="gemini-omni-1.2-flash", response_format={"type": "video", **form})
    assert block["mime_type"] == "video/mp4"
    assert len(content) < 200_000
    at = content.index(b"avc1", 40)
    assert (
        int.from_bytes(content[at + 28 : at + 30], "big"),
        int.from_bytes(content[at + 30 : at + 32], "big"),
    ) == size
    assert open_bytes("video", "video/mp4", content).seconds == 8


def test_a_video_lasts_as_long_as_it_should() -> None:
    form = {"type": "video", "duration": "4.5s", "resolution": "360p"}
    _, content = made("video", model="gemini-omni-1.2-flash", response_format=form)
    assert open_bytes("video", "video/mp4", content).seconds == 4.5


def test_the_sample_data_of_a_video_are_where_its_index_says() -> None:
    _, content = made("video", model="gemini-omni-1.2-flash", response_format={"type": "video", "resolution": "360p"})
    at = content.index(b"stco") + 12
    offset = int.from_bytes(content[at : at + 4], "big")
    assert content[offset - 4 : offset] == b"mdat"
    sizes = content.index(b"stsz") + 16
    assert int.from_bytes(content[sizes : sizes + 4], "big") == len(content) - offset


def test_no_frame_holds_a_start_code() -> None:
    slices = frame(640, 360, (128, 128))
    at = 0
    while at < len(slices):
        length = int.from_bytes(slices[at : at + 4], "big")
        body = slices[at + 4 : at + 4 + length]
        assert b"\0\0\0" not in body
        assert b"\0\0\1" not in body
        at += 4 + length
    assert at == len(slices)


def test_a_model_that_writes_down_speech_answers_with_text() -> None:
    assert text_of(finished(model="gemini-3.5-transcribe")).startswith("[emulated]")


@pytest.mark.parametrize(
    ("model", "output"),
    [
        ("gemini-3.1-flash-image", "output_image"),
        ("gemini-3.8-flash-tts", "output_audio"),
        ("lyria-3-clip-preview", "output_audio"),
        ("gemini-omni-1.2-flash", "output_video"),
    ],
)
def test_the_vendors_own_client_finds_the_medium(model: str, output: str) -> None:
    interaction = Interaction.model_validate(finished(model=model, input=PROMPT))
    found = getattr(interaction, output)
    assert b64decode(found.data)
    assert found.mime_type


def test_a_stream_carries_the_picture_in_one_piece() -> None:
    answer = post(model="gemini-3.1-flash-image", input=PROMPT, background=None, stream=True)
    pieces = [line for line in answer.text.split("\n") if '"mime_type":"image/jpeg"' in line]
    assert len(pieces) == 1


def test_what_was_made_can_be_sent_back() -> None:
    block, _ = made("image", model="gemini-3.1-flash-image", response_format=image(image_size="512"))
    steps = [
        {"type": "user_input", "content": PROMPT},
        {"type": "model_output", "content": [block]},
        {"type": "user_input", "content": "Make it blue"},
    ]
    assert finished(model="gemini-3.1-flash-image", input=steps)["usage"]["total_input_tokens"] > 258


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_medium_can_be_delivered_by_address(kind: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> tuple[dict[str, Any], httpx.Response]:
        asked = body(background=None, response_format={"type": kind, "delivery": "uri"})
        again = [await client.post(URL, json=asked) for _ in range(2)]
        first, second = (answer.json()["steps"][-1]["content"][0] for answer in again)
        assert first == second
        return first, await client.get(first["uri"])

    block, answer = talk(EmulatorSettings(), conversation)
    assert "data" not in block
    assert answer.headers["content-type"] == block["mime_type"]
    assert open_bytes(kind, block["mime_type"], answer.content)


def test_what_was_made_by_address_can_be_named_in_a_later_request() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        asked = body(background=None, response_format=image(delivery="uri", image_size="2K"))
        block = (await client.post(URL, json=asked)).json()["steps"][-1]["content"][0]
        uri = block["uri"].partition(":download")[0]
        named = {"type": "image", "mime_type": block["mime_type"], "uri": uri}
        return await client.post(URL, json=body(background=None, input=[named]))

    answer = talk(EmulatorSettings(), conversation)
    assert {"modality": "image", "tokens": 9 * 258} in answer.json()["usage"]["input_tokens_by_modality"]


def test_a_video_stays_inline_whatever_delivery_says() -> None:
    form = {"type": "video", "resolution": "360p", "delivery": "uri"}
    assert made("video", model="gemini-omni-1.2-flash", response_format=form)
