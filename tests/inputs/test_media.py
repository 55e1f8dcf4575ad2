"""Media come from inside the root, whole, regular and of the right type, or the row fails and nothing hangs."""

from __future__ import annotations

import os
import socket
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.errors import RowError
from batchrun.inputs import media
from batchrun.inputs.media import attach
from batchrun.inputs.media_types import media_type
from batchrun.spec.blocks import MediaRef
from batchrun.spec.requests import Rendered

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
PDF = b"%PDF-1.7\n" + b"\x00" * 20

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


def attached(root: Path, *refs: MediaRef, base: Path | None = None) -> list[Any]:
    body = {"model": "m", "input": [{"type": "text", "text": "Read"}, *refs]}
    blocks: list[Any] = attach(Rendered(body, media=True), base or root, root)["input"]
    assert blocks[0] == {"type": "text", "text": "Read"}
    assert body["input"][1:] == [*refs]
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


def test_a_body_without_media_is_left_alone(root: Path) -> None:
    body = {"input": "x"}
    assert attach(Rendered(body, media=False), root, root) is body


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
    read = os.read

    def reading_slowly(descriptor: int, size: int) -> bytes:
        piece = read(descriptor, min(size, 10))
        (root / "a.png").write_bytes(change)
        os.utime(root / "a.png", ns=(0, 0))
        return piece

    monkeypatch.setattr("batchrun.inputs.media.os.read", reading_slowly)
    assert failure(root, image("a.png")).kind == "media_changed"


def test_a_pdf_and_a_request_have_size_limits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_PDF_BYTES", len(PDF) - 1)
    assert failure(root, document("a.pdf")).kind == "media_too_large"
    assert attached(root, image("a.png"))
    monkeypatch.setattr(media, "MAX_REQUEST_BYTES", 60)
    assert attached(root, image("a.png"))
    assert failure(root, image("a.png"), image("a.png")).kind == "media_too_large"


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
    ],
)
def test_types_are_told_by_content_and_then_by_name(head: bytes, suffix: str, mime: str | None) -> None:
    assert media_type(head, suffix) == mime


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.text() | st.lists(st.sampled_from(["..", ".", "a.png", "job", "/", "", "~", "secret.png"])).map("/".join))
def test_no_path_reaches_outside_the_root(root: Path, path: str) -> None:
    (root.parent / "secret.png").write_bytes(PNG + b"secret")
    try:
        (block,) = attached(root, image(path))
    except RowError:
        return
    assert b64decode(block["data"]) == PNG
