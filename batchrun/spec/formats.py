"""The forms an answer may take, as written in `response_format`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from batchrun.spec.fields import BY_SHAPE, Object, Strict, Text


class TextFormat(Strict):
    """Text. With a schema every answer is validated and becomes typed columns."""

    type: Literal["text"] = Field(default="text", description="Kind of answer.")
    mime_type: Literal["application/json", "text/plain"] | None = Field(
        default=None, description="Default: `application/json` with a schema, else left out."
    )
    json_schema: Annotated[Text | Object, BY_SHAPE] | None = Field(
        default=None,
        alias="schema",
        description="JSON Schema: inline, the path of a JSON or YAML file, or `module:PydanticModel` "
        "(the module is looked up beside the job file first).",
    )

    @model_validator(mode="after")
    def _schema_means_json(self) -> TextFormat:
        if self.json_schema is not None and self.mime_type == "text/plain":
            raise ValueError("a schema needs `mime_type: application/json`, or none")
        return self


class ImageFormat(Strict):
    """A picture, saved as a file."""

    type: Literal["image"] = Field(description="Kind of answer.")
    mime_type: str | None = Field(default=None, description="`image/jpeg` is the one type that can be asked for.")
    aspect_ratio: str | None = Field(default=None, description="Such as `16:9`.")
    image_size: str | None = Field(default=None, description="`512`, `1K`, `2K` or `4K`.")
    delivery: Literal["inline", "uri"] | None = Field(default=None, description="Passed through.")


class AudioFormat(Strict):
    """Speech or music, saved as a file."""

    type: Literal["audio"] = Field(description="Kind of answer.")
    mime_type: str | None = Field(default=None, description="Such as `audio/wav`, `audio/mp3`, `audio/l16`.")
    sample_rate: int | None = Field(default=None, ge=1, description="Samples a second.")
    bit_rate: int | None = Field(default=None, ge=1, description="Bits a second, for compressed types.")
    delivery: Literal["inline", "uri"] | None = Field(default=None, description="Passed through.")


class VideoFormat(Strict):
    """A video, saved as a file."""

    type: Literal["video"] = Field(description="Kind of answer.")
    aspect_ratio: str | None = Field(default=None, description="`16:9` or `9:16`.")
    resolution: str | None = Field(default=None, description="`360p`, `720p`, `1080p` or `4k`.")
    duration: str | None = Field(default=None, description="Such as `8s`.")
    delivery: Literal["inline", "uri"] | None = Field(default=None, description="Passed through.")
    gcs_uri: str | None = Field(default=None, description="Passed through: where the service puts the file.")


def _kind(value: object) -> object:
    return value.get("type", "text") if isinstance(value, dict) else getattr(value, "type", "text")


Format = Annotated[
    Annotated[TextFormat, Tag("text")]
    | Annotated[ImageFormat, Tag("image")]
    | Annotated[AudioFormat, Tag("audio")]
    | Annotated[VideoFormat, Tag("video")],
    Discriminator(_kind),
]


def _one_or_many(value: object) -> str:
    return "list" if isinstance(value, list) else "one"


Formats = Annotated[
    Annotated[Format, Tag("one")] | Annotated[list[Format], Tag("list")],
    Discriminator(_one_or_many),
]
