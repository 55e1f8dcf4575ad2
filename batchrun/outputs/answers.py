"""From an answer's text to its JSON value. Pure. What passes here can be kept exactly and walked safely later."""

from __future__ import annotations

import json
import math

from batchrun.spec.canonical import deeper_than

#: Deepest nesting accepted: far below what makes Python's recursive JSON functions fail, however deep the call stack.
MAX_DEPTH = 128


class AnswerError(ValueError):
    """The text is not one JSON value that can be kept exactly."""


def parse_answer(text: str) -> object:
    """The JSON value that `text` is. Raises AnswerError, and nothing else, where there is none.

    Strict: no code fences, no text around it, no NaN or Infinity, no number beyond a double's range, no name twice
    in one object, no nesting deeper than MAX_DEPTH.
    """
    try:
        value = _DECODER.decode(text)
    except AnswerError:
        raise
    except ValueError as error:
        raise AnswerError(f"the answer is not JSON: {error}") from None
    except RecursionError:
        raise AnswerError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise AnswerError(_TOO_DEEP)
    return value


_TOO_DEEP = f"the answer is nested more than {MAX_DEPTH} levels deep"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise AnswerError(f"the answer has the name {twice!r} twice in one object")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise AnswerError(f"the answer has the number {digits[:40]}, which is beyond the range of a double")
    return value


def _constant(name: str) -> object:
    raise AnswerError(f"the answer is not JSON: it has {name}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
