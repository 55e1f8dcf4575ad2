"""The API key shows itself to nobody, and is cut out of what a server says, however that quotes it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from batchrun.interactions.client import SecretHeaders
from batchrun.interactions.secret import Secret

KEY = "canary-key-0123456789-abcdefghijklmnopqrs"


@pytest.mark.parametrize("shown", [repr, str, format, ascii])
def test_what_holds_the_key_does_not_show_it(shown: Callable[[object], str]) -> None:
    assert "canary" not in shown(Secret(KEY))
    assert "canary" not in shown(SecretHeaders({"x-goog-api-key": KEY}))
    assert Secret(KEY).reveal() == KEY


@pytest.mark.parametrize("make", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("holder", [Secret(KEY), SecretHeaders({"x-goog-api-key": KEY})], ids=["secret", "headers"])
def test_what_holds_the_key_can_be_neither_pickled_nor_copied(make: Callable[[object], object], holder: object) -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        make(holder)


@pytest.mark.parametrize(
    "quoted",
    [
        KEY,
        "".join(f"\\u{ord(char):04x}" for char in KEY),
        KEY[:5] + "".join(f"\\u{ord(char):04X}" for char in KEY[5:]),
    ],
    ids=["as it is", "escaped", "half escaped"],
)
def test_the_key_is_cut_out_of_json_however_it_is_written(quoted: str) -> None:
    assert Secret(KEY).out_of(b'{"a":"%s","b":"\\u003c"}' % quoted.encode()) == b'{"a":"[the API key]","b":"\\u003c"}'


def test_a_message_loses_longer_parts_of_the_key_too() -> None:
    assert Secret(KEY).out_of_text(f"not {KEY[:20]}… nor {KEY[10:]}") == "not [the API key]… nor [the API key]"
    assert Secret(KEY).out_of_text(f"the canary {KEY[:6]}") == f"the canary {KEY[:6]}"


def test_headers_are_the_same_unless_one_quotes_the_key() -> None:
    plain = {"x": "y"}
    assert Secret(KEY).out_of_headers(plain) is plain
    assert Secret(KEY).out_of_headers({"x": f"a{KEY}b"})["x"] == "a[the API key]b"


def test_a_placeholder_is_no_secret() -> None:
    assert Secret("emulator").out_of(b"the emulator") == b"the emulator"
    assert Secret("none").out_of_text("none of them") == "none of them"
