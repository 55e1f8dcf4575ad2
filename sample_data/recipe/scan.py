"""Makes a clean PDF look as if a person had put it on a scanner: one grey, noisy, slightly crooked picture a page."""

from __future__ import annotations

from io import BytesIO
from random import Random

import pypdfium2
from PIL import Image, ImageFilter
from recipe.invoices import SEED
from recipe.sheet import Blank

_PIXELS_PER_POINT = 1.7  # about 120 dots an inch
_DEGREES = 1.3


def scanned(pdf: bytes) -> bytes:
    sheet = Blank()
    for page in pypdfium2.PdfDocument(pdf):
        picture = page.render(scale=_PIXELS_PER_POINT, grayscale=True).to_pil().convert("L")
        sheet.add_page()
        sheet.image(_jpeg(_worn(picture)), x=0, y=0, w=sheet.w, h=sheet.h)
    return bytes(sheet.output())


def _worn(picture: Image.Image) -> Image.Image:
    crooked = picture.rotate(_DEGREES, resample=Image.Resampling.BICUBIC, fillcolor=225)
    soft = crooked.filter(ImageFilter.GaussianBlur(0.6))
    return Image.blend(soft, _noise(soft.size), 0.12)


def _noise(size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("L", size, Random(SEED).randbytes(size[0] * size[1]))


def _jpeg(picture: Image.Image) -> BytesIO:
    file = BytesIO()
    picture.save(file, "JPEG", quality=45)
    return file
