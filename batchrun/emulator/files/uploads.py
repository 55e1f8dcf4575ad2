"""The two-step resumable upload: `start` hands out an address, the bytes go there in chunks, without a key.

The chunks go to disk as they come in; a connection that breaks leaves what has arrived, and a `query` tells how much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchrun.emulator.answers import Answer, Headers, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.draws import digest
from batchrun.emulator.envelopes import Refusal, classic
from batchrun.emulator.files.shelf import File
from batchrun.emulator.files.views import file_view, is_file_id
from batchrun.emulator.reading import read_body
from batchrun.emulator.service import Service

#: Chunks before the last are multiples of this many bytes.
GRANULARITY = 256 * 1024


def start(service: Service, call: Call, version: str) -> Answer:
    """Step one. Raises `Refusal` where the file may not be uploaded."""
    call.check_key(service.settings.bad_keys)
    service.outages.check(service.settings.clock(), post=False)
    if call.header("x-goog-upload-protocol") != "resumable" or call.header("x-goog-upload-command") != "start":
        raise _bad("Upload with X-Goog-Upload-Protocol: resumable and X-Goog-Upload-Command: start.")
    told = _metadata(call)
    size = _whole_number(call.header("x-goog-upload-header-content-length") or _either(told, "size_bytes", "sizeBytes"))
    now = service.settings.clock()
    _check_room(service, size, now)
    file = _file(service, call, told, size, version)
    service.files.begin(file)
    return replace(Answer(200, b""), headers=_start_headers(call, file, version))


def _metadata(call: Call) -> dict[str, Any]:
    told = read_body(call.body).get("file") or {} if call.body.strip() else {}
    if not isinstance(told, dict):
        raise _bad("Invalid value at 'file': expected an object.")
    return told


def _check_room(service: Service, size: int, now: float) -> None:
    limits = service.settings.files
    service.files.purge(now - limits.kept)
    if size > limits.per_file:
        raise _bad(f"The file has {size} bytes; a file is at most {limits.per_file} bytes.")
    if service.files.bytes_held() + size > limits.per_project:
        raise classic(429, f"File storage quota of {limits.per_project} bytes per project exceeded. (emulated)")


def _file(service: Service, call: Call, told: dict[str, Any], size: int, version: str) -> File:
    now = service.settings.clock()
    service.counts.uploads += 1
    upload = digest("upload", service.settings.seed, now, service.counts.uploads, call.body).hex()
    name = _name(service, _either(told, "name", "name"), upload)
    mime = call.header("x-goog-upload-header-content-type") or _either(told, "mime_type", "mimeType")
    if not mime:
        raise _bad("The MIME type is missing: set X-Goog-Upload-Header-Content-Type or file.mime_type.")
    shown = _either(told, "display_name", "displayName") or call.header("x-goog-upload-file-name")
    return File(name, upload, shown[:512], mime, f"{call.origin}/{version}", size, now, None, "")


def _name(service: Service, asked: str, upload: str) -> str:
    name = asked.removeprefix("files/") or upload[:12]
    if not is_file_id(name):
        raise _bad(f"Invalid file name {asked!r}: lowercase letters, digits and inner dashes, at most 40.")
    if service.files.taken(name):
        raise classic(409, f"File {name} already exists.")
    return name


def _start_headers(call: Call, file: File, version: str) -> Headers:
    address = f"{call.origin}/upload/{version}/files?upload_id={file.upload}&upload_protocol=resumable"
    return (
        (b"x-goog-upload-status", b"active"),
        (b"x-goog-upload-url", address.encode("latin-1", "replace")),
        (b"x-goog-upload-control-url", address.encode("latin-1", "replace")),
        (b"x-goog-upload-chunk-granularity", b"%d" % GRANULARITY),
    )


class Intake:
    """Step two, one request of it: checked before the first byte, fed piece by piece, answered at the end."""

    def __init__(self, service: Service, call: Call) -> None:
        self._service = service
        self._file = _upload(service, call)
        self._commands = {part.strip() for part in call.header("x-goog-upload-command").lower().split(",")}
        if not self._commands or not self._commands <= {"upload", "finalize", "query", "cancel"}:
            raise _bad("X-Goog-Upload-Command must be upload, finalize, query or cancel.")
        self._held = service.files.received(self._file)
        self._known = 0
        if "upload" in self._commands:
            self._known = self._overlap(call)
            self._content = service.files.append(self._file)

    def _overlap(self, call: Call) -> int:
        """Bytes at the start of the chunk that are here already. A gap is refused."""
        offset = _whole_number(call.header("x-goog-upload-offset") or "0")
        if self._file.finished is not None or offset > self._held:
            raise self._refusal(f"The offset is {offset}, but {self._held} bytes have been received.")
        return self._held - offset

    def take(self, piece: bytes) -> None:
        if "upload" not in self._commands:
            return
        fresh = piece[self._known :]
        self._known -= len(piece) - len(fresh)
        self._held += len(fresh)
        if self._held > self._file.declared:
            self._content.close()
            raise self._refusal(f"More bytes came than the {self._file.declared} that were announced.")
        self._content.write(fresh)

    def broken(self) -> None:
        """The client went away in the middle."""
        if "upload" in self._commands:
            self._content.close()
            self._service.files.cut(self._file, self._held - self._held % GRANULARITY)

    def finish(self) -> Answer:
        if "upload" in self._commands:
            self._content.close()
        if "cancel" in self._commands:
            self._service.files.delete(self._file)
            return replace(Answer(200, b""), headers=((b"x-goog-upload-status", b"cancelled"),))
        if "finalize" in self._commands:
            return self._final()
        if "upload" in self._commands and self._held % GRANULARITY:
            kept = self._held - self._held % GRANULARITY
            self._service.files.cut(self._file, kept)
            raise self._refusal(f"A chunk that is not the last must be a multiple of {GRANULARITY} bytes.")
        return replace(Answer(200, b""), headers=self._headers())

    def _final(self) -> Answer:
        if self._file.finished is None and self._held != self._file.declared:
            raise self._refusal(f"{self._held} bytes came, {self._file.declared} were announced.")
        if self._file.finished is None:
            self._file = self._service.files.finish(self._file, self._service.settings.clock())
        shown = file_view(self._file, self._service.settings.files, self._service.settings.clock())
        return replace(json_answer(200, {"file": shown}), headers=self._headers())

    def _headers(self) -> Headers:
        status = b"active" if self._file.finished is None else b"final"
        received = self._service.files.received(self._file)
        return ((b"x-goog-upload-status", status), (b"x-goog-upload-size-received", b"%d" % received))

    def _refusal(self, message: str) -> Refusal:
        return Refusal(replace(_bad(message).answer, headers=self._headers()))


def _upload(service: Service, call: Call) -> File:
    file = service.files.of_upload(call.query.get("upload_id", ""))
    if file is None:
        raise classic(404, "Upload not found: it was cancelled, has expired or never began.")
    return file


def _either(told: dict[str, Any], snake: str, camel: str) -> str:
    value = told.get(snake, told.get(camel))
    return str(value) if isinstance(value, str | int) else ""


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _bad(f"Invalid number of bytes: {ascii(text)[:40]}.")
    return int(text)


def _bad(message: str) -> Refusal:
    return classic(400, message)
