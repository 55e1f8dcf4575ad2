"""Media in answers: onto the disk as files that open, and back into the answer exactly as they came."""

from __future__ import annotations

import json
import os
import stat
import struct
import threading
import wave
from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchrun.errors import StoreError
from batchrun.interactions.models import Interaction
from batchrun.outputs.media import addresses, attached, attached_steps, complete, detach, media_of

Block = dict[str, Any]


def picture(form: str = "png", colour: str = "red") -> bytes:
    file = BytesIO()
    Image.new("RGB", (20, 10), colour).save(file, form)
    return file.getvalue()


def block(content: bytes, mime_type: Any = "image/png", kind: str = "image", **fields: Any) -> Block:
    return {"type": kind, "mime_type": mime_type, "data": b64encode(content).decode(), **fields}


def answer(*blocks: Any, **fields: Any) -> bytes:
    steps = [{"type": "thought", "signature": "s1g"}, {"type": "model_output", "content": list(blocks)}]
    return json.dumps({"id": "v1_a", "status": "completed", "steps": steps, **fields}).encode()


def kept(raw: bytes, directory: Path, stem: str = "row-1") -> Interaction:
    found = Interaction.parse(detach(raw, directory, stem))
    assert found is not None
    return found


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_picture_becomes_a_file_that_opens_and_the_answer_tells_which(tmp_path: Path) -> None:
    content = picture()
    found = kept(answer({"type": "text", "text": "here:"}, block(content)), tmp_path / "media")
    (medium,) = media_of(found)
    assert (medium.type, medium.mime_type, medium.bytes) == ("image", "image/png", len(content))
    assert (medium.step, medium.found_in) == (1, "model_output")
    assert medium.sha256 == sha256(content).hexdigest()
    assert medium.name == f"row-1-{medium.sha256[:12]}.png"
    with Image.open(tmp_path / "media" / medium.name) as opened:
        assert opened.size == (20, 10)
    assert b64encode(content) not in json.dumps(found.data).encode()


def test_files_and_their_directory_are_for_the_user_alone(tmp_path: Path) -> None:
    detach(answer(block(picture())), tmp_path / "media", "a")
    (path,) = (tmp_path / "media").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "raw",
    [
        answer({"type": "text", "text": 'the word "data" in a text'}),
        answer({"type": "image", "uri": "https://example.com/a.png"}),
        b'{"data": ',
        b"\xff",
        b'["data"]',
        answer(data="outside of any step"),
        answer({"type": "hologram", "data": "QUJD"}),
    ],
)
def test_an_answer_without_media_stays_the_same_object(tmp_path: Path, raw: bytes) -> None:
    assert detach(raw, tmp_path / "media", "a") is raw
    assert not (tmp_path / "media").exists()


@pytest.mark.parametrize(
    "data",
    ["", "QUJ", "QUJDR", "Q Q==", "QUI", "QQ=A", "QR==", "QUJD\n", "-_-_", "====", "سلام", 7, None, []],
)
def test_data_that_is_not_exact_base64_stays_where_it_is(tmp_path: Path, data: object) -> None:
    raw = answer({"type": "image", "mime_type": "image/png", "data": data})
    assert detach(raw, tmp_path, "a") is raw
    assert names(tmp_path) == []


def test_padding_inside_the_data_is_noticed_wherever_it_is_cut(tmp_path: Path) -> None:
    first = b64encode(bytes((1 << 18) * 3 - 1)).decode()
    assert len(first) == 1 << 20
    raw = answer({"type": "image", "data": first + "QUJD"})
    assert detach(raw, tmp_path, "a") is raw


def test_a_medium_larger_than_one_piece_is_whole(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (medium,) = media_of(kept(answer(block(content, "video/mp4", "video")), tmp_path))
    assert (tmp_path / medium.name).read_bytes() == content


@given(st.binary(min_size=1, max_size=200))
def test_what_is_detached_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("media")
    whole = {**block(content, "audio/l16", "audio"), "extra": [1, {"x": None}]}
    (step,) = kept(answer(whole), directory).steps[1:]
    assert step["content"] != [whole]
    (back,) = attached_steps([step], directory)
    assert back["content"] == [whole]
    assert list(back["content"][0]) == list(whole)


def test_the_rest_of_the_answer_is_kept_as_it_is(tmp_path: Path) -> None:
    odd = {"text": "سلام \ud800 \0", "big": 2**80, "float": 0.1, "deep": [[[{}]]]}
    found = kept(answer(block(picture()), odd=odd), tmp_path)
    assert found.data["odd"] == odd
    assert found.steps[0] == {"type": "thought", "signature": "s1g"}


def test_each_block_is_a_file_of_its_own_in_the_order_of_the_answer(tmp_path: Path) -> None:
    sounds = [block(bytes([n]) * 100, "audio/mp3", "audio") for n in range(3)]
    media = media_of(kept(answer(*sounds), tmp_path))
    assert [(tmp_path / medium.name).read_bytes()[0] for medium in media] == [0, 1, 2]


def test_the_same_picture_twice_is_one_file(tmp_path: Path) -> None:
    media = media_of(kept(answer(block(picture()), block(picture())), tmp_path))
    assert media[0] == media[1]
    assert names(tmp_path) == [media[0].name]


def test_pictures_in_thoughts_and_in_results_of_the_services_tools_are_saved_too(tmp_path: Path) -> None:
    steps = [
        {"type": "user_input", "content": [block(picture(colour="blue"))]},
        {"type": "thought", "summary": [block(picture())]},
        {"type": "code_execution_result", "result": [block(picture("jpeg"), "image/jpeg")]},
        {"type": "function_result", "result": [block(picture(colour="green"))]},
    ]
    found = kept(json.dumps({"steps": steps}).encode(), tmp_path)
    assert [(medium.step, medium.found_in) for medium in media_of(found)] == [
        (1, "thought"),
        (2, "code_execution_result"),
    ]
    assert (found.steps[0], found.steps[3]) == (steps[0], steps[3])  # those are ours


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("IMAGE/WebP; charset=x", "webp"),
        ("audio/mp3", "mp3"),
        ("audio/ogg_opus", "ogg"),
        ("video/mp4", "mp4"),
        ("application/pdf", "pdf"),
        ("text/html", "bin"),
        ("image/svg+xml", "bin"),
        ("image/../../x", "bin"),
        ("application/x-sh", "bin"),
        ("", "bin"),
        (None, "bin"),
        (["image/png"], "bin"),
    ],
)
def test_only_known_types_decide_the_extension(tmp_path: Path, mime_type: object, extension: str) -> None:
    kind = "audio" if extension in ("mp3", "ogg") else "image"
    (medium,) = media_of(kept(answer(block(b"content", mime_type, kind)), tmp_path))
    assert medium.name.endswith(f".{extension}")
    assert names(tmp_path) == [medium.name]


@pytest.mark.parametrize(
    ("stem", "beginning"),
    [
        ("invoice 7/2026", "invoice-7-2026-"),
        ("../../etc/passwd", "etc-passwd-"),
        (".hidden", "hidden-"),
        ("-rf *", "rf-"),
        ("سلام", "row-"),
        ("a\0b\nc", "a-b-c-"),
        ("x" * 500, "x" * 60 + "-"),
    ],
)
def test_a_file_is_named_after_its_row_in_characters_that_are_safe_everywhere(
    tmp_path: Path, stem: str, beginning: str
) -> None:
    (medium,) = media_of(kept(answer(block(b"content")), tmp_path / "media", stem))
    assert medium.name == f"{beginning}{medium.sha256[:12]}.png"
    assert names(tmp_path) == ["media"]


# -- bare sound ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime_type", "fields", "rate", "channels"),
    [
        ("audio/l16", {}, 24_000, 1),
        ("audio/l16", {"sample_rate": 16_000, "channels": 2}, 16_000, 2),
        ("audio/L16;codec=pcm;rate=44100; channels=2", {"sample_rate": 8_000}, 44_100, 2),
        ("audio/l16;rate=0;channels=-1", {}, 24_000, 1),
        ("audio/l16;rate=99999999999", {"channels": 10**9}, 24_000, 1),
    ],
)
def test_bare_samples_get_a_header_so_that_players_take_them(
    tmp_path: Path, mime_type: str, fields: Block, rate: int, channels: int
) -> None:
    samples = struct.pack("<8h", *range(8))
    sound = block(samples, mime_type, "audio", **fields)
    found = kept(answer(sound), tmp_path)
    (medium,) = media_of(found)
    with wave.open(str(tmp_path / medium.name)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, channels, 2)
        assert file.readframes(100) == samples
    assert medium.bytes == (tmp_path / medium.name).stat().st_size
    assert medium.sha256 == sha256((tmp_path / medium.name).read_bytes()).hexdigest()
    assert attached(found.steps[1]["content"][0], tmp_path) == sound


def test_a_sound_that_is_a_wav_file_already_gets_no_second_header(tmp_path: Path) -> None:
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(10))
    (medium,) = media_of(kept(answer(block(file.getvalue(), "audio/l16", "audio")), tmp_path))
    assert (tmp_path / medium.name).read_bytes() == file.getvalue()


# -- media by address ------------------------------------------------------------------------------------------------


def test_addresses_are_those_of_media_that_are_not_in_the_answer() -> None:
    blocks = [
        {"type": "video", "uri": "https://service/files/v"},
        {"type": "video", "uri": "https://service/files/v"},
        {"type": "image", "uri": "https://service/files/i", "data": "QUJD"},
        {"type": "image", "uri": 7},
        {"type": "text", "text": "x", "uri": "https://elsewhere"},
    ]
    assert addresses(read(answer(*blocks))) == ["https://service/files/v"]


def test_what_an_address_led_to_becomes_the_blocks_file_and_the_address_stays(tmp_path: Path) -> None:
    (tmp_path / "download").write_bytes(picture())
    by_address = {"type": "image", "mime_type": "image/png", "uri": "https://service/files/i"}
    fetched = {"https://service/files/i": tmp_path / "download"}
    found = read(complete(read(answer(by_address)), tmp_path / "media", "a", fetched) or b"")
    (medium,) = media_of(found)
    assert (tmp_path / "media" / medium.name).read_bytes() == picture()
    assert attached(found.steps[1]["content"][0], tmp_path / "media") == by_address


def test_an_address_that_was_not_fetched_stays_as_it_is(tmp_path: Path) -> None:
    raw = answer({"type": "image", "uri": "https://service/files/i"})
    assert complete(read(raw), tmp_path, "a", {"https://service/files/other": tmp_path}) is None


def read(raw: bytes) -> Interaction:
    found = Interaction.parse(raw)
    assert found is not None
    return found


def test_a_note_that_the_service_itself_writes_is_not_taken_for_ours(tmp_path: Path) -> None:
    note = {"file": "others.png", "sha256": "a" * 64, "bytes": 1}
    kept = read(detach(answer({"type": "image", "mime_type": "image/png", "data": note}), tmp_path, "a"))
    assert media_of(kept) == []
    assert attached_steps(kept.steps, tmp_path) == kept.steps
    assert note in [block.get("data_received") for block in kept.steps[1]["content"]]


# -- what can go wrong -----------------------------------------------------------------------------------------------


def test_a_disk_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "media").write_bytes(b"a file where the directory should be")
    with pytest.raises(StoreError, match="run the same command again"):
        detach(answer(block(picture())), tmp_path / "media", "a")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_a_file_that_is_gone_or_changed_is_never_sent_again(tmp_path: Path, change: Any) -> None:
    found = kept(answer(block(picture())), tmp_path)
    change(next(tmp_path.iterdir()))
    with pytest.raises(StoreError, match="the conversation needs it"):
        attached(found.steps[1]["content"][0], tmp_path)


@pytest.mark.parametrize(
    "note",
    [
        {"file": "../../etc/passwd", "sha256": "a" * 64, "bytes": 1},
        {"file": "/etc/passwd", "sha256": "a" * 64, "bytes": 1},
        {"file": ".hidden", "sha256": "a" * 64, "bytes": 1},
        {"file": "a.png", "sha256": "short", "bytes": 1},
        {"file": "a.png", "sha256": "a" * 64, "bytes": -1},
        {"file": "a.png", "sha256": "a" * 64, "bytes": 1, "header": -1},
        {"file": ["a.png"], "sha256": None},
    ],
)
def test_a_note_that_cannot_be_ours_names_no_file(tmp_path: Path, note: Block) -> None:
    odd = {"type": "image", "mime_type": "image/png", "data": note}
    assert media_of(Interaction({"steps": [{"type": "model_output", "content": [odd]}]})) == []
    assert attached(odd, tmp_path) == odd


def test_rows_of_the_same_name_and_content_can_be_written_at_once(tmp_path: Path) -> None:
    raw = answer(block(os.urandom(500_000)))
    threads = [threading.Thread(target=detach, args=(raw, tmp_path / "media", "a")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(tmp_path / "media")) == 1
    assert detach(raw, tmp_path / "media", "a") == detach(raw, tmp_path / "media", "a")
