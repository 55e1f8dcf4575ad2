"""GET, list and DELETE of uploaded files."""

from __future__ import annotations

from typing import Any

from batchrun.emulator.answers import Answer, json_answer
from batchrun.emulator.calls import Call
from batchrun.emulator.envelopes import Refusal, classic
from batchrun.emulator.files.shelf import File
from batchrun.emulator.files.views import file_view
from batchrun.emulator.resources.paging import page_asked, token_of
from batchrun.emulator.service import Service


def get(service: Service, call: Call, name: str) -> Answer:
    now = service.settings.clock()
    return json_answer(200, file_view(_find(service, name, now), service.settings.files, now))


def download(service: Service, call: Call, name: str) -> Answer:
    """The bytes of a file that the service made; what was uploaded cannot be fetched back."""
    file = _find(service, name, service.settings.clock())
    if file.upload != file.id:
        raise classic(400, f"The file {file.id} was uploaded and cannot be downloaded.")
    return Answer(200, service.files.path(file).read_bytes(), file.mime_type.encode("latin-1", "replace"))


def delete(service: Service, call: Call, name: str) -> Answer:
    service.files.delete(_find(service, name, service.settings.clock()))
    return Answer(200, b"{}")


def list_files(service: Service, call: Call) -> Answer:
    size, after = page_asked(call, default=10, most=100)
    now = service.settings.clock()
    files, following = service.files.page(size, after, now - service.settings.files.kept)
    page: dict[str, Any] = {"files": [file_view(file, service.settings.files, now) for file in files]} if files else {}
    if following is not None:
        page["nextPageToken"] = token_of(following)
    return json_answer(200, page)


def _find(service: Service, name: str, now: float) -> File:
    file = service.files.find(name)
    if file is None or file.created + service.settings.files.kept <= now:
        raise no_such_file(name)
    return file


def no_such_file(name: str) -> Refusal:
    """The service does not tell a file that is not there from one that belongs to somebody else."""
    return classic(403, f"You do not have permission to access the File {ascii(name)[1:-1]} or it may not exist.")
