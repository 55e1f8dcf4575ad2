"""Small real files of many kinds, and the content blocks that hold them."""

from __future__ import annotations

import wave
from base64 import b64encode
from io import BytesIO
from typing import Any

from fpdf import FPDF
from fpdf.encryption import AccessPermission
from PIL import Image


def block(kind: str, mime: str, content: bytes, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "mime_type": mime, "data": b64encode(content).decode(), **fields}


def pdf(*pages: str, password: str | None = None, compressed: bool = True) -> bytes:
    """A PDF with a page for each text."""
    document = FPDF()
    document.set_compression(compressed)
    document.set_font("Helvetica")
    if password is not None:
        document.set_encryption(owner_password="owner", user_password=password, permissions=AccessPermission.all())
    for text in pages:
        document.add_page()
        document.multi_cell(0, text=text)
    return bytes(document.output())


def document(*pages: str, **fields: Any) -> dict[str, Any]:
    return block("document", "application/pdf", pdf(*pages), **fields)


def picture(width: int, height: int, form: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), (90, 140, 60)).save(file, form)
    return file.getvalue()


def wav(seconds: float, rate: int = 8_000) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * int(seconds * rate))
    return file.getvalue()
