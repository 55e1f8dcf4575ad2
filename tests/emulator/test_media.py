"""Media that come with a request are opened: counted by what is in them, turned down if they are not what they say."""

from __future__ import annotations

import json
import struct
import zipfile
from base64 import b64encode
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.emulator.media import opening
from batchrun.emulator.media import pdf as pdf_module
from batchrun.emulator.media.medium import Unusable
from batchrun.emulator.media.opening import open_block, open_bytes
from tests.emulator.in_process import finished, json_format, post, text_of
from tests.emulator.media_files import block, document, pdf, picture, wav


def tokens_in(*blocks: dict[str, Any]) -> dict[str, int]:
    usage = finished(input=list(blocks))["usage"]
    return {item["modality"]: item["tokens"] for item in usage["input_tokens_by_modality"]}


def refusal(content: dict[str, Any]) -> str:
    answer = post(input=[content])
    assert answer.status_code == 400, answer.text
    message: str = answer.json()["error"]["message"]
    assert "input[0].data" in message
    return message


@pytest.mark.parametrize("pages", [1, 3, 12])
def test_a_page_of_a_pdf_costs_258_tokens(pages: int) -> None:
    assert tokens_in(document(*["Hello"] * pages)) == {"document": pages * 258}


@pytest.mark.parametrize(("resolution", "tokens"), [("low", 280), ("medium", 560), ("high", 1120)])
def test_resolution_sets_the_price_of_pages_and_images(resolution: str, tokens: int) -> None:
    image = block("image", "image/png", picture(2000, 1000), resolution=resolution)
    assert tokens_in(image, document("a", "b", resolution=resolution)) == {"image": tokens, "document": 2 * tokens}


@pytest.mark.parametrize(
    ("width", "height", "tiles"), [(1, 1, 1), (384, 384, 1), (385, 100, 1), (768, 769, 2), (1000, 1000, 4)]
)
def test_a_large_image_is_counted_in_tiles(width: int, height: int, tiles: int) -> None:
    assert tokens_in(block("image", "image/png", picture(width, height))) == {"image": tiles * 258}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_the_size_of_an_image_is_read_from_its_header(form: str) -> None:
    medium = open_bytes("image", f"image/{form.lower()}", picture(321, 123, form))
    assert (medium.width, medium.height) == (321, 123)


def test_the_size_of_a_phone_picture_is_that_of_its_largest_part() -> None:
    sizes = b"".join(b"ispe" + struct.pack(">III", 0, *size) for size in [(512, 512), (4032, 3024), (320, 240)])
    medium = open_bytes("image", "image/heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1" + sizes)
    assert (medium.width, medium.height) == (4032, 3024)


def test_a_second_of_sound_costs_32_tokens() -> None:
    assert tokens_in(block("audio", "audio/wav", wav(2.5))) == {"audio": 80}


def test_raw_samples_are_measured_by_their_rate_and_channels() -> None:
    raw = block("audio", "audio/l16", bytes(64_000), sample_rate=8_000, channels=2)
    assert tokens_in(raw) == {"audio": 64}


def test_the_frame_count_of_an_mp3_goes_before_its_bit_rate() -> None:
    frame = bytes.fromhex("fffb94c4") + bytes(32) + b"Xing" + struct.pack(">II", 1, 500) + bytes(2_000)
    assert open_bytes("audio", "audio/mp3", frame).seconds == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (block("document", "application/pdf", b"%PDF-1.7\nnothing"), "broken"),
        (block("document", "application/pdf", b"Hello"), "no PDF"),
        (block("document", "application/pdf", pdf("secret", password="x")), "encrypted"),
        (block("document", "application/pdf", b""), "empty"),
        (block("image", "image/png", picture(9, 9, "JPEG")), "image/jpeg, not image/png"),
        (block("image", "image/png", picture(9, 9)[:40]), "broken"),
        (block("image", "image/jpeg", picture(900, 900, "JPEG")[:-10]), "broken"),
        (block("image", "image/png", b"not an image"), "cannot be read"),
        (block("audio", "audio/wav", b"ID3 not a wav"), "no audio/wav"),
        (block("audio", "audio/wav", wav(1)[:30]), "broken"),
        (block("video", "video/mp4", b"\0\0\0\x08ftyp"), "broken"),
        (block("video", "video/mp4", b"Hello, World"), "no video/mp4"),
        (block("document", "application/msword", b"Hello"), "no application/msword"),
        (block("document", "text/csv", b"\xff\0\xfe"), "no text"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(content: dict[str, Any], said: str) -> None:
    assert said in refusal(content)


def test_a_pdf_with_too_many_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "_MOST_PAGES", 2)
    assert "3 pages" in refusal(document("one", "two", "three"))


def test_a_refused_file_is_refused_again() -> None:
    broken = block("document", "application/pdf", b"%PDF-1.7 twice")
    assert refusal(broken) == refusal(broken)


def test_a_file_that_comes_again_is_not_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    content = document("once and only once")
    first = open_block(content)
    monkeypatch.setattr(pdf_module, "opened", None)
    assert open_block(content) is first


def test_the_same_bytes_under_another_type_are_judged_anew() -> None:
    data = picture(5, 5)
    assert open_block(block("image", "image/png", data)).width == 5
    with pytest.raises(Unusable):
        open_block(block("image", "image/webp", data))


def test_the_text_of_all_pages_is_read() -> None:
    assert open_bytes("document", "application/pdf", pdf("first page", "second page")).text.split("\n") == [
        "first page",
        "second page",
    ]


def test_the_text_of_an_office_file_is_read() -> None:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<w:p><w:t>Total &amp; tax</w:t></w:p><w:p><w:t>12.50</w:t></w:p>")
    mime = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert open_bytes("document", mime, file.getvalue()).text == "Total & tax\n12.50\n"


def test_an_answer_depends_on_what_is_in_the_document() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    question = {"type": "text", "text": "City: Nowhere. Which city is it?"}
    cities = [
        text_of(finished(input=[document(text), question], response_format=json_format(schema)))
        for text in ("City: Tabriz", "City: Porto")
    ]
    assert cities == ['{"city":"Tabriz"}', '{"city":"Porto"}']


def test_a_scan_without_text_gets_invented_values_and_none_from_the_instructions() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    question = {"type": "text", "text": "City: Nowhere. Which city is it?"}
    answer = text_of(finished(input=[document(""), question], response_format=json_format(schema)))
    assert "[emulated] city" in answer


KINDS = st.sampled_from(
    [
        ("image", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("image", "image/jpeg", b"\xff\xd8\xff"),
        ("image", "image/webp", b"RIFF\0\0\0\0WEBP"),
        ("image", "image/tiff", b"II*\0"),
        ("image", "image/heic", b"\0\0\0\x18ftypheicispe"),
        ("image", "image/gif", b"GIF89a"),
        ("image", "image/bmp", b"BM"),
        ("audio", "audio/wav", b"RIFF\0\0\0\0WAVEfmt "),
        ("audio", "audio/aiff", b"FORM\0\0\0\0AIFFCOMM"),
        ("audio", "audio/flac", b"fLaC"),
        ("audio", "audio/mp3", b"\xff\xfb\x90"),
        ("audio", "audio/mp3", b"ID3"),
        ("audio", "audio/ogg", b"OggS"),
        ("audio", "audio/m4a", b"\0\0\0\0ftypmvhd"),
        ("video", "video/mp4", b"\0\0\0\0ftypmvhd"),
        ("video", "video/webm", b"\x1aE\xdf\xa3"),
        ("document", "application/pdf", b"%PDF-1.4\n"),
        ("document", "text/csv", b""),
        ("document", "application/vnd.oasis.opendocument.text", b"PK\x03\x04"),
    ]
)


@given(KINDS, st.binary(max_size=120))
@settings(max_examples=400, deadline=None)
def test_no_bytes_make_opening_stumble(kind: tuple[str, str, bytes], rest: bytes) -> None:
    name, mime, start = kind
    data = b64encode(start + rest).decode()
    with suppress(Unusable):
        open_block({"type": name, "mime_type": mime, "data": data})


def test_a_document_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_DOCUMENT_LIMIT", 1_000)
    assert "at most 50 MB" in refusal(block("document", "text/csv", b"a,b\n" * 500))


def test_inline_media_above_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_INLINE_LIMIT", 1_000)
    assert "Files API" in refusal(block("audio", "audio/wav", wav(0.25)))


@pytest.mark.parametrize(
    ("options", "number", "total"),
    [
        ({}, "A-100", 30),
        ({"start_page": 2, "end_page": 2}, "B-200", 20),
        ({"start_page": 3}, "C-300", 30),
        ({"end_page": 1}, "A-100", 10),
        ({"start_page": 2, "end_page": 2, "content_layers": ["page_image", "page_text"]}, "B-200", 20),
    ],
)
def test_only_the_pages_that_are_looked_at_fill_the_answer(options: Any, number: str, total: float) -> None:
    pages = [f"Invoice number: {n}\nTotal: {t}.00 EUR" for n, t in [("A-100", 10), ("B-200", 20), ("C-300", 30)]]
    fields = {"invoice_number": {"type": "string"}, "total": {"type": "number"}}
    form = json_format({"type": "object", "properties": fields, "required": list(fields)})
    content = document(*pages, processing={"type": "static", "page_options": options})
    assert json.loads(text_of(finished(input=[content], response_format=form))) == {
        "invoice_number": number,
        "total": total,
    }


@pytest.mark.parametrize("options", [{"start_page": 2}, {"content_layers": ["page_image"]}])
def test_pages_without_a_text_that_is_looked_at_fill_nothing(options: Any) -> None:
    form = json_format({"type": "object", "properties": {"invoice_number": {"type": "string"}}})
    content = document("Invoice number: A-100", processing={"type": "static", "page_options": options})
    assert "A-100" not in text_of(finished(input=[content], response_format=form))


def test_a_long_document_is_taken_in_parts() -> None:
    content = pdf(*["x"] * 1001)
    assert "1001 pages" in refusal(block("document", "application/pdf", content))
    options = [{"start_page": 1, "end_page": 1000}, {"start_page": 1001, "end_page": 1001}]
    parts = [{"type": "static", "page_options": each} for each in options]
    blocks = [block("document", "application/pdf", content, processing=part) for part in parts]
    assert tokens_in(*blocks)["document"] == 1001 * 258
