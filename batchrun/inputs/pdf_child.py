"""Counts the pages of PDF files in a process of its own, which a hostile file may crash, hang or fill.

Run by path, isolated, with an empty environment. It gets open files over the socket on its standard input, and
answers each with the number of pages in four bytes, -1 if it cannot be told. It opens nothing itself.
"""

from __future__ import annotations

import os
import resource
import socket
import struct

import pypdfium2

_MEMORY = 2 * 1024**3


def main() -> None:
    """Until the other side closes the socket."""
    _limit()
    with socket.socket(fileno=os.dup(0)) as parent:
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not message:
                return
            parent.sendall(struct.pack("!i", _count(descriptors[0])))


def _limit() -> None:
    limits = ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0))
    for kind, most in limits:
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except (ValueError, OSError):  # macOS knows some of them by name only
            continue


def _count(descriptor: int) -> int:
    with open(descriptor, "rb") as file:
        try:
            document = pypdfium2.PdfDocument(file.read())
            pages = len(document)
            document.close()
        except (pypdfium2.PdfiumError, MemoryError, OSError, ValueError):
            return -1
    return pages or -1


if __name__ == "__main__":
    main()
