"""The parts of a prompt, as written in `input`: text, and media by path or address."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from batchrun.spec.fields import BY_SHAPE, ColumnName, Object, Strict, Text

_ADDRESS = re.compile(r"\s*(?:https?|gs)://", re.IGNORECASE)
_MAY_BE_FETCHED = re.compile(r"(?:https|gs)://|[^:]*\{", re.IGNORECASE)


class TextPart(Strict):
    """Text in the prompt."""

    type: Literal["text"] = Field(description="Marks a part of text.")
    text: str = Field(description="Template of the text.")
    each: ColumnName | None = Field(
        default=None, description="Column that holds a list: the part is repeated, and its templates see `item`."
    )


class MediaPart(Strict):
    """A document, image, sound or video in the prompt: a local file, or an address."""

    type: Literal["document", "image", "audio", "video"] = Field(
        description="What it is; a file's content is checked against it."
    )
    path: str | None = Field(
        default=None,
        description="Template of the file's path, relative to the job file and inside `media_root`. A pattern such as "
        "`scans/*.png` stands for all files that it finds, by name.",
    )
    uri: str | None = Field(
        default=None, description="Template of an address instead of `path`: `https:`, `gs:` or a Files API URI."
    )
    each: ColumnName | None = Field(
        default=None, description="Column that holds a list: the part is repeated, and its templates see `item`."
    )
    mime_type: str | None = Field(default=None, description="Overrides the type found in the file's content and name.")
    resolution: Literal["low", "medium", "high", "ultra_high"] | None = Field(
        default=None, description="Media resolution passed to the API."
    )
    pages: str | None = Field(
        default=None, description="Template of the pages of a document to send, such as `1-20` or `3,7-9` (1 is first)."
    )
    processing: Annotated[Text | Object, BY_SHAPE] | None = Field(
        default=None, description="Passed through: offsets, frames a second, page options."
    )
    sample_rate: int | None = Field(default=None, ge=1, description="Samples a second of raw audio.")
    channels: int | None = Field(default=None, ge=1, description="Channels of raw audio.")

    @model_validator(mode="after")
    def _consistent(self) -> MediaPart:
        if (self.path is None) == (self.uri is None):
            raise ValueError("give `path` or `uri`, one of them")
        if self.path is not None and _ADDRESS.match(self.path):
            raise ValueError("an address is given as `uri`, not as `path`")
        if self.uri is not None and not _MAY_BE_FETCHED.match(self.uri):
            raise ValueError("`uri` begins with https:// or gs://; a file is given as `path`")
        if self.mime_type is not None and "/" not in self.mime_type:
            raise ValueError(f"{self.mime_type!r:.60} is no MIME type; write it with a slash, such as image/png")
        if self.pages is not None and (self.type != "document" or self.processing is not None):
            raise ValueError("`pages` is for documents without `processing`")
        if self.type != "audio" and (self.sample_rate or self.channels):
            raise ValueError("`sample_rate` and `channels` are for audio")
        return self

    @property
    def passed_on(self) -> dict[str, Any]:
        """The fields that go into the request's block as they are."""
        names = ("resolution", "processing", "sample_rate", "channels")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


Part = Annotated[TextPart | MediaPart, Field(discriminator="type")]
Parts = list[Part]
