"""Media come from inside the root, whole, regular and of the right type, or the row fails and nothing hangs."""

from __future__ import annotations

import json
import os
import socket
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.engine.file_bodies import built
from batchrun.engine.request import Draft, Request
from batchrun.errors import RowError
from batchrun.inputs import media
from batchrun.inputs.media import Library, file_blocks, opened, to_upload
from batchrun.inputs.media_types import media_type, part_for
from batchrun.spec.blocks import MediaRef

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
PDF = b"%PDF-1.7\n" + b"\x00" * 20
OOXML, ODF = "application/vnd.openxmlformats-officedocument", "application/vnd.oasis.opendocument"

Files = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A media root with a few files, beside a file that no row may reach."""
    inside = tmp_path / "job"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (inside / "a.png").write_bytes(PNG)
    (inside / "a.pdf").write_bytes(PDF)
    (inside / "a.txt").write_bytes("\ufeffgrüß".encode())
    (inside / "a.csv").write_bytes(b"a,b\n1,2\n")
    return inside


def request(root: Path, *refs: MediaRef, base: Path | None = None) -> Request:
    """The request of a text and some files, all inline."""
    body = {"model": "m", "input": [{"type": "text", "text": "Read"}, *refs]}
    with closing(Library(base or root, root)) as library:
        found = opened(body, library, {})
    assert body["input"][1:] == [*refs]
    return built(Draft(body, {}), found, {})


def attached(root: Path, *refs: MediaRef, base: Path | None = None) -> list[Any]:
    blocks: list[Any] = json.loads(bytes(request(root, *refs, base=base).core))["input"]
    assert blocks[0] == {"type": "text", "text": "Read"}
    return blocks[1:]


def image(path: str, **fields: Any) -> MediaRef:
    return MediaRef("image", path, **fields)


def document(path: str, **fields: Any) -> MediaRef:
    return MediaRef("document", path, **fields)


def failure(root: Path, *refs: MediaRef) -> RowError:
    with pytest.raises(RowError) as caught:
        attached(root, *refs)
    return caught.value


def test_files_become_base64_blocks_in_their_places(root: Path) -> None:
    first, second = attached(root, document("a.pdf"), image("a.png", passed_on={"resolution": "low"}))
    assert (first["type"], first["mime_type"], b64decode(first["data"])) == ("document", "application/pdf", PDF)
    assert "resolution" not in first
    assert (second["type"], second["mime_type"], second["resolution"]) == ("image", "image/png", "low")


def test_text_files_become_text_blocks_and_csv_a_document(root: Path) -> None:
    text, table = attached(root, document("a.txt"), document("a.csv"))
    assert text == {"type": "text", "text": "grüß"}
    assert table["mime_type"] == "text/csv"


def test_the_root_may_lie_beside_the_job_file(root: Path) -> None:
    base = root.parent / "elsewhere"
    base.mkdir()
    assert attached(root, image("../job/a.png"), base=base)


def test_links_are_judged_by_where_they_lead(root: Path) -> None:
    (root / "in.png").symlink_to("a.png")
    (root / "out.png").symlink_to("../secret.png")
    (root / "updir").symlink_to("..")
    (root / "loop").symlink_to("loop")
    assert attached(root, image("in.png"))
    assert failure(root, image("out.png")).kind == "media_forbidden"
    assert failure(root, image("updir/secret.png")).kind == "media_forbidden"
    assert failure(root, image("loop")).kind in ("media_unreadable", "media_missing")


def test_a_root_that_is_a_link_is_followed(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert attached(link, image("a.png"))


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "a/../../secret.png",
        "/etc/passwd",
        "a\0.png",
        "..",
        "../job-other/x",
        "//etc/passwd",
        "/dev/zero",
    ],
)
def test_a_path_that_leads_out_is_forbidden(root: Path, path: str) -> None:
    (root.parent / "job-other").mkdir()
    (root.parent / "job-other" / "x").write_bytes(PNG)
    assert failure(root, image(path)).kind == "media_forbidden"


@pytest.mark.parametrize("path", ["", "none.png", "a.png/b", "x" * 5000, "\ud800.png", "file:///etc/passwd"])
def test_a_path_to_nothing_is_missing(root: Path, path: str) -> None:
    assert failure(root, image(path)).kind in ("media_missing", "media_unreadable")


def test_what_is_no_regular_file_is_refused_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo.png")
    (root / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # a socket's path must be short
        listener.bind("socket.png")
        for name in ("fifo.png", "folder.png", "socket.png", "."):
            assert failure(root, image(name)).kind == "media_unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_unreadable(root: Path) -> None:
    (root / "a.png").chmod(0)
    assert failure(root, image("a.png")).kind == "media_unreadable"


def test_an_empty_file_is_an_error(root: Path) -> None:
    (root / "a.png").write_bytes(b"")
    assert failure(root, image("a.png")).kind == "media_empty"


@pytest.mark.parametrize("change", [b"", PNG + b"more", b"\x89PNG\r\n\x1a\n" + b"\x01" * 20])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    root: Path, change: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.pread

    def reading_slowly(descriptor: int, size: int, offset: int) -> bytes:
        piece = read(descriptor, min(size, 10), offset)
        (root / "a.png").write_bytes(change)
        os.utime(root / "a.png", ns=(0, 0))
        return piece

    monkeypatch.setattr("batchrun.inputs.media_files.os.pread", reading_slowly)
    assert failure(root, image("a.png")).kind == "media_changed"


def test_a_pdf_a_file_and_the_text_of_a_request_have_size_limits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_PDF_BYTES", len(PDF) - 1)
    assert failure(root, document("a.pdf")).kind == "media_too_large"
    assert attached(root, image("a.png"))
    monkeypatch.setattr(media, "MAX_REQUEST_BYTES", 10)
    assert attached(root, document("a.txt"))
    assert failure(root, document("a.txt"), document("a.txt")).kind == "media_too_large"
    monkeypatch.setattr(media, "MAX_FILE_BYTES", len(PNG) - 1)
    assert failure(root, image("a.png")).kind == "media_too_large"


def uploaded(root: Path, limit: int, *names: str) -> list[str]:
    """Which of these files, of 1 to 9 kB as their names say, are uploaded."""
    for name in names:
        (root / name).write_bytes(PNG + b"\0" * (1000 * int(name[0]) - len(PNG)))
    with closing(Library(root, root)) as library:
        blocks = file_blocks(opened([image(name) for name in names], library, {}))
    return sorted(file.shown for file, _ in to_upload(blocks, limit))


@pytest.mark.parametrize(
    ("limit", "names", "expected"),
    [
        (6000, ["1.png", "2.png", "3.png"], []),
        (5999, ["1.png", "2.png", "3.png"], ["3.png"]),
        (2999, ["1.png", "2.png", "3.png"], ["2.png", "3.png"]),
        (0, ["1.png", "2.png"], ["1.png", "2.png"]),
        (3000, ["1.png", "1.png", "1.png", "1.png", "2.png"], ["1.png", "2.png"]),
    ],
    ids=["all fit", "the largest goes", "the larger ones go", "none inline", "a repeated file counts each time"],
)
def test_the_largest_files_are_uploaded_until_the_rest_fits(
    root: Path, limit: int, names: list[str], expected: list[str]
) -> None:
    assert uploaded(root, limit, *names) == expected


def test_what_goes_inline_never_makes_a_request_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_REQUEST_BYTES", 4000)
    assert uploaded(root, 10**9, "1.png", "2.png") == []
    assert uploaded(root, 10**9, "2.png", "2b.png") == ["2.png"]


def test_a_request_has_only_so_many_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST_FILES", 2)
    assert len(attached(root, image("a.png"), image("a.png"))) == 2
    assert failure(root, *[image("a.png")] * 3).kind == "media_too_many"


def test_a_sparse_giant_is_refused_without_reading_it(root: Path) -> None:
    with (root / "a.png").open("r+b") as file:
        file.truncate(10**12)
    assert failure(root, image("a.png")).kind == "media_too_large"


def test_a_file_in_the_wrong_kind_of_part_names_the_right_one(root: Path) -> None:
    assert "use a part of `type: image`" in str(failure(root, document("a.png")))
    assert "use a part of `type: document`" in str(failure(root, image("a.pdf")))
    assert "use a part of `type: document`" in str(failure(root, image("a.txt")))


def test_unknown_content_is_refused(root: Path) -> None:
    (root / "a.bin").write_bytes(b"\x01\x02\x00")
    (root / "a.zip").write_bytes(b"PK\x03\x04\x00")
    (root / "latin.txt").write_bytes(b"gr\xfc\xdf")
    for name in ("a.bin", "a.zip", "latin.txt"):
        assert failure(root, document(name)).kind == "media_type"


def test_a_given_mime_type_wins_over_the_content(root: Path) -> None:
    assert attached(root, document("a.txt", mime_type="text/csv"))[0]["mime_type"] == "text/csv"
    assert attached(root, document("a.csv", mime_type="text/plain"))[0]["type"] == "text"
    assert failure(root, image("a.png", mime_type="application/pdf")).kind == "media_type"
    assert failure(root, image("a.png", mime_type="image/x-unknown")).kind == "media_type"


@pytest.mark.parametrize(
    ("head", "suffix", "mime"),
    [
        (b"\xff\xd8\xff\xe0", ".pdf", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "image/webp"),
        (b"GIF89a", "", "image/gif"),
        (b"BM\x46\x00\x00\x00\x00\x00\x00\x00", "", "image/bmp"),
        (b"II*\x00", "", "image/tiff"),
        (b"MM\x00*", "", "image/tiff"),
        (b"\x00\x00\x00\x18ftypheic", "", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1", "", "image/heif"),
        (b"junk\n%PDF-1.4", ".txt", "application/pdf"),
        (b"PK\x03\x04", ".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (b"PK\x03\x04", ".odt", "application/vnd.oasis.opendocument.text"),
        (b"PK\x03\x04", ".png", None),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".doc", "application/msword"),
        (b"BMW is a car maker", ".txt", "text"),
        (b"# Title", ".md", "text"),
        (b"\x00", ".txt", None),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "", "audio/wav"),
        (b"ID3\x04\x00", "", "audio/mp3"),
        (b"\xff\xfb\x90\x00", "", "audio/mp3"),
        (b"FORM\x00\x00\x00\x00AIFF", "", "audio/aiff"),
        (b"\xff\xf1\x50\x80", "", "audio/aac"),
        (b"OggS" + b"\x00" * 24 + b"\x01vorbis", "", "audio/ogg"),
        (b"OggS" + b"\x00" * 24 + b"OpusHead", "", "audio/opus"),
        (b"fLaC\x00", "", "audio/flac"),
        (b"\x00\x00\x00\x20ftypM4A ", "", "audio/m4a"),
        (b"\x00\x00\x00\x20ftypisom", ".mp4", "video/mp4"),
        (b"\x00\x00\x00\x20ftypisom", ".m4a", "audio/m4a"),
        (b"\x00\x00\x00\x14ftypqt  ", "", "video/mov"),
        (b"\x00\x00\x00\x08wide", "", "video/mov"),
        (b"\x00\x00\x00\x18ftyp3gp4", "", "video/3gpp"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "", "video/avi"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "", "video/webm"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", ".mkv", "video/x-matroska"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", ".wmv", "video/wmv"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", ".wma", "audio/x-ms-wma"),
        (b"FLV\x01\x05", "", "video/x-flv"),
        (b"\x00\x00\x01\xba\x44", "", "video/mpeg"),
        (b"\x00\x00\x00\x1cftypavif", "", "image/avif"),
        (b"PK\x03\x04" + b"\x00" * 26 + b"word/document.xml", "", f"{OOXML}.wordprocessingml.document"),
        (b"PK\x03\x04" + b"\x00" * 26 + b"mimetypeapplication/vnd.oasis.opendocument.textPK", ".zip", f"{ODF}.text"),
        (b"{\\rtf1\\ansi", ".rtf", "application/rtf"),
        (b"The free world, and mdat", ".txt", "text"),
        (b"<html>", ".html", "text"),
        (b'{"a": 1}', ".json", "text"),
        (b"def f(): ...", ".py", "text"),
    ],
)
def test_types_are_told_by_content_and_then_by_name(head: bytes, suffix: str, mime: str | None) -> None:
    assert media_type(head, suffix) == mime


@pytest.mark.parametrize(
    ("head", "part", "mime"),
    [
        (b"\x00\x00\x00\x20ftypisom", "audio", "audio/m4a"),
        (b"\x00\x00\x00\x20ftypM4A ", "video", "video/mp4"),
        (b"\x1aE\xdf\xa3\x42\x82\x84webm", "audio", "audio/webm"),
        (b"\x1aE\xdf\xa3\x42\x82\x84webm", "video", "video/webm"),
    ],
)
def test_a_container_is_what_its_part_says(head: bytes, part: str, mime: str) -> None:
    assert media_type(head, "", part) == mime
    assert part_for(mime) == part


def test_a_type_goes_by_its_name_in_the_api_s_list(root: Path) -> None:
    (root / "a.raw").write_bytes(b"\x00\x01" * 10)
    (block,) = attached(root, MediaRef("audio", "a.raw", "audio/L16;rate=16000", passed_on={"sample_rate": 16000}))
    assert (block["mime_type"], block["sample_rate"]) == ("audio/l16", 16000)
    (root / "a.mov").write_bytes(b"\x00\x00\x00\x14ftypqt  ")
    assert attached(root, MediaRef("video", "a.mov", "video/quicktime"))[0]["mime_type"] == "video/mov"


@pytest.mark.parametrize(
    ("name", "head", "part", "advice"),
    [
        ("a.docm", b"PK\x03\x04" + b"\x00" * 26 + b"word/document.xml", "document", "convert it to PDF"),
        ("a.rtf", b"{\\rtf1", "document", "convert it to PDF"),
        ("a.avif", b"\x00\x00\x00\x1cftypavif", "image", "convert it to PNG or JPEG"),
        ("a.mkv", b"\x1aE\xdf\xa3", "video", "convert it to MP4"),
        ("a.amr", b"#!AMR\n", "audio", "convert it to WAV or MP3"),
        ("a.mp3", b"ID3\x04", "video", "use a part of `type: audio`"),
        ("a.mp4", b"\x00\x00\x00\x20ftypisom", "document", "use a part of `type: video`"),
    ],
)
def test_a_file_that_cannot_be_sent_comes_with_advice(
    root: Path, name: str, head: bytes, part: Any, advice: str
) -> None:
    (root / name).write_bytes(head)
    error = failure(root, MediaRef(part, name))
    assert error.kind == "media_type"
    assert advice in str(error)


def test_a_pattern_stands_for_one_block_a_file(root: Path) -> None:
    (root / "b.png").write_bytes(PNG + b"b")
    blocks = attached(root, image("*.png"))
    assert [b64decode(block["data"]) for block in blocks] == [PNG, PNG + b"b"]


def test_a_request_is_named_by_what_is_asked_and_not_by_how_it_is_sent(root: Path) -> None:
    (root / "copy.png").write_bytes(PNG)
    (root / "other.png").write_bytes(PNG + b"b")
    first, copy, other = (request(root, image(name)).sha for name in ("a.png", "copy.png", "other.png"))
    assert first == copy != other
    text, changed = (request(root, document("a.txt")).sha, (root / "a.txt").write_text("other"))
    assert changed
    assert request(root, document("a.txt")).sha != text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.text() | st.lists(st.sampled_from(["..", ".", "a.png", "job", "/", "", "~", "secret.png"])).map("/".join))
def test_no_path_reaches_outside_the_root(root: Path, path: str) -> None:
    (root.parent / "secret.png").write_bytes(PNG + b"secret")
    try:
        (block,) = attached(root, image(path))
    except RowError:
        return
    assert b64decode(block["data"]) == PNG
