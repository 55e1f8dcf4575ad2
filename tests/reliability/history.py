"""A disk's history, told by the system calls of a life of batchrun, and what that life said to the service."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.reliability.disk import Directory, File
from tests.reliability.traces import Call

#: The calls of which a history is made.
CALLS = (
    "openat,close,lseek,write,pwrite64,writev,pwritev,sendto,sendmsg,sendfile,copy_file_range,ftruncate,fallocate,"
    "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
_HEX = re.compile(r"\\x([0-9a-f]{2})")
_OPEN = re.compile(r"(\d+)<([^>]*)>")
_TEXT = re.compile(r'"([^"]*)"')
_INTENT, _GET = re.compile(rb'"batchrun-intent": ?"([\w-]+)"'), re.compile(rb"^GET /v1beta/interactions/([\w-]+) ")


@dataclass(slots=True)
class History:
    """The directory `top` as time went by. `intents` and `ids` are what had been sent out when, by event number."""

    top: Path
    root: Directory = field(default_factory=Directory)
    intents: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    @classmethod
    def beginning(cls, top: Path) -> History:
        """A history that begins with what is in `top`, all of it safe on the disk."""
        history = cls(top)
        for path in sorted(top.rglob("*")):
            if path.is_dir():
                history._name(-1, str(path), Directory())
            else:
                file = File()
                file.write(-1, 0, path.read_bytes())
                history._name(-1, str(path), file)
        return history

    def add(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if not call.result.startswith("-1"):
                self._see(call)

    def _see(self, call: Call) -> None:
        texts, opened = [_bytes(text) for text in _TEXT.findall(call.arguments)], _OPEN.match(call.arguments)
        match call.name:
            case "write" | "pwrite64" | "sendto" | "sendmsg" | "writev" | "pwritev" if opened is not None:
                self._written(call, opened[1], _path(opened[2]), b"".join(texts))
            case "fsync" | "fdatasync" if opened is not None:
                self._synced(call, self.thing(_path(opened[2])))
            case "openat":
                self._opened(call, texts[0].decode())
            case "lseek" if opened is not None:
                self._places[opened[1]] = int(call.result)
            case "ftruncate" if opened is not None:
                self._resized(call, _path(opened[2]), int(call.arguments.rpartition(", ")[2]))
            case "fallocate" if opened is not None:
                _, _, offset, size = call.arguments.split(", ")
                self._resized(call, _path(opened[2]), int(offset) + int(size))
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                thing = self.thing(texts[0].decode())
                self._name(call.ended, texts[1].decode(), thing)
                if call.name.startswith("rename"):
                    self._name(call.ended, texts[0].decode(), None)
            case "unlink" | "unlinkat" | "rmdir":
                self._name(call.ended, texts[0].decode(), None)
            case "mkdir" | "mkdirat":
                self._name(call.ended, texts[0].decode(), Directory())
            case "sendfile" | "copy_file_range":
                assert str(self.top) not in _path(call.arguments), "copies inside the kernel are not followed here"

    def _opened(self, call: Call, path: str) -> None:
        found = _OPEN.match(call.result)
        if found is None:
            return
        self._places[found[1]] = 0
        if self._inside(path) is None or "O_DIRECTORY" in call.arguments:
            return
        if self.thing(path) is None and "O_CREAT" in call.arguments:
            self._name(call.ended, path, File())
        elif "O_TRUNC" in call.arguments:
            self._resized(call, path, 0)

    def _written(self, call: Call, descriptor: str, path: str, data: bytes) -> None:
        thing = self.thing(path)
        if isinstance(thing, File):
            place = self._places.get(descriptor, 0)
            if call.name == "pwrite64":
                place = int(call.arguments.rpartition(", ")[2])
            else:
                self._places[descriptor] = place + len(data)
            thing.write(call.ended, place, data[: int(call.result)])
            self.events.append(call.ended)
        elif path.startswith("socket:"):
            self._sent(call, data)

    def _sent(self, call: Call, data: bytes) -> None:
        """What may have left as soon as the call began."""
        for pattern, found in ((_INTENT, self.intents), (_GET, self.ids)):
            for match in pattern.finditer(data):
                found.setdefault(match[1].decode(), call.began)
                self.events.append(call.began)

    def _synced(self, call: Call, thing: File | Directory | None) -> None:
        if thing is not None:
            thing.syncs.append((call.began, call.ended))
            self.events.append(call.ended)

    def _resized(self, call: Call, path: str, size: int) -> None:
        thing = self.thing(path)
        if isinstance(thing, File):
            thing.cut_to(call.ended, size)
            self.events.append(call.ended)

    def _name(self, at: int, path: str, thing: File | Directory | None) -> None:
        names = self._inside(path)
        if names:
            parent = self.thing(str(Path(path).parent))
            assert isinstance(parent, Directory), path
            parent.name(at, names[-1], thing)
            self.events.append(at)

    def thing(self, path: str) -> File | Directory | None:
        """What a path stands for now."""
        names, thing = self._inside(path), self.root
        if names is None:
            return None
        found: File | Directory | None = thing
        for name in names:
            found = found.now(name) if isinstance(found, Directory) else None
        return found

    def _inside(self, path: str) -> tuple[str, ...] | None:
        """The names that lead to a path from the top; None if they do not."""
        whole = Path(path) if path.startswith("/") else self.top / path
        return whole.relative_to(self.top).parts if whole.is_relative_to(self.top) else None


def _bytes(shown: str) -> bytes:
    return bytes.fromhex(shown.replace("\\x", " "))


def _path(shown: str) -> str:
    return _HEX.sub(lambda found: chr(int(found[1], 16)), shown).encode("latin-1").decode()
