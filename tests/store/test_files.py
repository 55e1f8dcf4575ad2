"""The list of uploads: shared by processes, private, and no loss when it is lost."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batchrun.errors import StoreError
from batchrun.store.files import Content, FileRegistry, Upload, state_directory

CONTENT = Content("ab" * 32, "image/png", "owner", "https://service")
UPLOAD = Upload(CONTENT, "files/a", 1000, "a.png", 100.0, 200.0, session="https://service/upload", received=10)


def test_an_upload_is_kept_changed_and_forgotten(tmp_path: Path) -> None:
    with closing(FileRegistry(tmp_path)) as registry:
        assert registry.find(CONTENT) is None
        registry.keep(UPLOAD)
        assert registry.find(CONTENT) == UPLOAD
        assert registry.received(UPLOAD, 500).received == 500
        done = registry.keep(replace(UPLOAD, uri="https://service/files/a", session=None))
    with closing(FileRegistry(tmp_path)) as registry:
        assert registry.all() == [done]
        registry.forget(CONTENT)
        assert registry.all() == []


def test_the_state_of_an_upload(tmp_path: Path) -> None:
    done = replace(UPLOAD, uri="https://service/files/a")
    assert [UPLOAD.state(150), done.state(150), done.state(200)] == ["uploading", "uploaded", "expired"]


def test_bytes_are_counted_for_each_key_and_service_until_they_expire(tmp_path: Path) -> None:
    with closing(FileRegistry(tmp_path)) as registry:
        registry.keep(UPLOAD)
        registry.keep(replace(UPLOAD, content=replace(CONTENT, sha256="cd" * 32), size=500))
        registry.keep(replace(UPLOAD, content=replace(CONTENT, owner="other")))
        registry.keep(replace(UPLOAD, content=replace(CONTENT, target="other")))
        assert registry.bytes_held("owner", "https://service", 150) == 1500
        assert registry.bytes_held("owner", "https://service", 200) == 0


def test_it_is_its_user_s_alone_and_has_a_salt_that_stays(tmp_path: Path) -> None:
    where = tmp_path / "new" / "state"
    with closing(FileRegistry(where)) as registry, closing(FileRegistry(where)) as other:
        assert registry.salt == other.salt
        assert len(registry.salt) == 16
    assert where.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in where.iterdir()} == {0}


CLAIM = """
import sys
from pathlib import Path
from batchrun.store.files import Content, FileRegistry
uploads = FileRegistry(Path(sys.argv[1]))
print(uploads.claim(Content("ab" * 32, "image/png", "owner", "https://service")), flush=True)
sys.stdin.read()
"""


def test_an_upload_is_one_process_s_until_it_ends(tmp_path: Path) -> None:
    with closing(FileRegistry(tmp_path)) as registry:
        command = [sys.executable, "-c", CLAIM, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "True\n"
            assert not registry.claim(CONTENT)
            assert registry.claim(replace(CONTENT, sha256="cd" * 32))
            other.kill()
            other.wait()
        assert registry.claim(CONTENT)
        registry.release(CONTENT)


def test_a_list_that_is_broken_or_newer_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "files.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="may be deleted"):
        FileRegistry(tmp_path)
    (tmp_path / "files.db").unlink()
    with closing(FileRegistry(tmp_path)) as registry:
        registry._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer batchrun"):
        FileRegistry(tmp_path)


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use the list of uploaded files"):
        FileRegistry(tmp_path / "file" / "state")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"BATCHRUN_STATE": "/var/own", "XDG_STATE_HOME": "/var/xdg"}, Path("/var/own")),
        ({"XDG_STATE_HOME": "/var/xdg"}, Path("/var/xdg/batchrun")),
        ({"XDG_STATE_HOME": "relative"}, Path.home() / ".local/state/batchrun"),
        ({}, Path.home() / ".local/state/batchrun"),
    ],
)
def test_where_it_is_kept(environment: dict[str, str], expected: Path) -> None:
    assert state_directory(environment) == expected
