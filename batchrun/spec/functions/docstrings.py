"""What a docstring says about a function and its parameters, in Google, NumPy or reST style."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import docstring_parser


@dataclass(frozen=True, slots=True)
class Documented:
    """The first paragraph, and what is said about each parameter, each on one line."""

    summary: str
    parameters: Mapping[str, str]


def documented(text: str) -> Documented:
    """Reads a docstring; one that follows no style has a first paragraph all the same."""
    try:
        parsed = docstring_parser.parse(text)
    except Exception:  # any text can be a docstring, and none may stop a job
        return Documented(_paragraph(text), {})
    said = {
        name.strip(): _one_line(parameter.description)
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")
        if parameter.description
    }
    return Documented(_paragraph(parsed.description or ""), said)


def _paragraph(text: str) -> str:
    return _one_line(re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())
