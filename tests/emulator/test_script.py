"""`script:FILE` answers by the first line that fits, and says which line is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_replies
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, body, finished, json_format, post, talk, text_of


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Settings whose replies are these lines."""

    def settings(*lines: Any) -> EmulatorSettings:
        path = tmp_path / "script.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n\n")
        return EmulatorSettings(replies=load_replies(f"script:{path}"))

    return settings


@pytest.mark.parametrize(
    ("when", "fields"),
    [
        ({"contains": "paws"}, {}),
        ({"regex": r"house\?$"}, {}),
        ({"label": {"case": "refund"}}, {"labels": {"case": "refund", "row": "1"}}),
        ({"model": "gemini-3.5-flash"}, {}),
        ({"schema": "Recipe"}, {"response_format": json_format({"title": "Recipe", "type": "object"})}),
        ({"contains": "paws", "regex": "how|How"}, {}),
        ({}, {}),
    ],
)
def test_a_line_answers_what_fits_it(script: Any, when: dict[str, Any], fields: dict[str, Any]) -> None:
    assert text_of(finished(script({"when": when, "text": "Eight."}), **fields)) == "Eight."


@pytest.mark.parametrize(
    "when",
    [
        {"contains": "cats"},
        {"regex": "^house"},
        {"label": {"case": "refund"}},
        {"model": "gemini-2.5-pro"},
        {"schema": "Recipe"},
        {"contains": "paws", "model": "gemini-2.5-pro"},
    ],
)
def test_where_no_line_fits_the_answer_is_synthetic(script: Any, when: dict[str, Any]) -> None:
    assert text_of(finished(script({"when": when, "text": "Eight."}))).startswith("[emulated]")


def test_the_first_line_that_fits_wins(script: Any) -> None:
    lines = ({"when": {"contains": "cats"}, "text": "1"}, {"text": "2"}, {"text": "3"})
    assert text_of(finished(script(*lines))) == "2"


def test_a_last_line_can_turn_the_rest_down(script: Any) -> None:
    answer = post(script({"when": {"contains": "cats"}, "text": "1"}, {"refuse": "Not in the script."}))
    assert answer.status_code == 400
    assert answer.json()["error"] == {"code": "failed_precondition", "message": "Not in the script."}


def test_json_is_written_as_text(script: Any) -> None:
    assert json.loads(text_of(finished(script({"json": {"total": 12.5}})))) == {"total": 12.5}


def test_null_is_json_too(script: Any) -> None:
    assert text_of(finished(script({"json": None}))) == "null"


def test_usage_is_counted_unless_it_is_given(script: Any) -> None:
    counted = finished(script({"text": "Eight."}))["usage"]
    assert counted["total_output_tokens"] == 2
    parts = ("total_input_tokens", "total_output_tokens", "total_thought_tokens")
    assert counted["total_tokens"] == sum(counted[name] for name in parts)
    given = {"total_tokens": 7}
    assert finished(script({"text": "Eight.", "usage": given}))["usage"] == given


def test_steps_are_answered_as_they_stand(script: Any) -> None:
    call = {"type": "function_call", "name": "look", "arguments": {"at": "dogs"}}
    interaction = finished(script({"steps": [{"type": "thought"}, call]}))
    assert interaction["status"] == "requires_action"
    assert interaction["steps"][1] == {"id": "call_look", **call}
    assert interaction["steps"][0]["signature"]


def test_a_status_can_be_scripted(script: Any) -> None:
    cut = finished(script({"text": "Eig", "status": "incomplete"}))
    assert (cut["status"], text_of(cut)) == ("incomplete", "Eig")
    failed = finished(script({"status": "failed", "errors": [{"code": "safety", "message": "No."}]}))
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", "safety")
    assert "usage" not in failed


def test_a_recorded_interaction_is_replayed(script: Any) -> None:
    recorded = finished(input="Tell me of cats.")
    again = finished(script(json.dumps(recorded)), input="Something else.")
    assert (again["steps"], again["usage"]) == (recorded["steps"], recorded["usage"])


def test_a_recording_that_shows_its_input_answers_only_that(script: Any) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        recorded = []
        for text in ("cats", "dogs"):
            name = (await client.post(URL, json=body(input=text))).json()["id"]
            recorded.append((await client.get(f"{URL}/{name}", params={"include_input": "true"})).text)
        return recorded

    cats, dogs = talk(EmulatorSettings(seed=5), conversation)
    settings = script(cats, dogs)
    assert finished(settings, input="dogs")["steps"] == json.loads(dogs)["steps"]
    assert finished(settings, input="mice")["steps"] not in (json.loads(cats)["steps"], json.loads(dogs)["steps"])


def test_what_the_service_would_refuse_is_refused(script: Any) -> None:
    wrong = json_format({"type": "array", "minItems": 10**9})
    assert post(script({"text": "x"}), response_format=wrong).status_code == 400


def test_a_scripted_stream_is_a_stream(script: Any) -> None:
    assert '"text":"Eight."' in post(script({"text": "Eight."}), background=None, stream=True).text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "script.jsonl:2: "),
        ('"text"', "script.jsonl:2: "),
        ("{}", "a line has one answer"),
        ('{"text": "a", "json": 1}', "a line has one answer"),
        ('{"txet": "a"}', "txet"),
        ('{"text": 7}', "text: "),
        ('{"when": {"regex": "("}, "text": "a"}', "not a regular expression"),
        ('{"when": {"containz": "x"}, "text": "a"}', "when.containz"),
        ('{"steps": [{"content": []}]}', "a step is an object with a 'type'"),
        ('{"steps": [{"type": "function_call"}]}', "a function_call has a 'name'"),
        ('{"steps": [{"type": "model_output", "content": [7]}]}', "blocks with a 'type'"),
        ('{"steps": [{"type": "model_output", "content": [{"type": "text"}]}]}', "a text block has a 'text'"),
        ('{"interaction": {"steps": [7]}}', "a step is an object"),
        ('{"id": "v1_x", "text": "x"}', "id: unknown key; there are when, text, json, steps"),
        ('{"when": {"prompt": "x"}, "text": "x"}', "when.prompt: unknown key; there are contains, regex, label"),
    ],
)
def test_a_wrong_line_is_named(script: Any, line: str, message: str) -> None:
    with pytest.raises(SpecError) as wrong:
        script({"text": "fine"}, line)
    assert "script.jsonl:2: " in str(wrong.value)
    assert message in str(wrong.value)


ODD = [None, True, -1, 1.5, "", "x", "aGk=", [], [None], {}, {"a": 1}, [{"type": "text"}], "\ud800", 10**400]
MEDIA = ("image", "audio", "video", "document")
FIELDS = {
    "text": ["text", "annotations"],
    **{kind: ["data", "uri", "mime_type", "resolution", "processing"] for kind in MEDIA},
    "thought": ["summary", "signature"],
    "function_call": ["id", "name", "arguments"],
    "google_search_result": ["call_id", "result"],
    "new_kind": ["anything"],
}


def odd_line(kind: str, field: str, value: Any) -> dict[str, Any]:
    usual = {"function_call": {"name": "f", "arguments": {}}, "text": {"text": "a"}}.get(kind, {})
    odd = {"type": kind, **usual, field: value}
    return {"steps": [{"type": "model_output", "content": [odd]} if kind in ("text", *MEDIA) else odd]}


def odd_lines() -> list[dict[str, Any]]:
    """Lines in which one value is of an odd type."""
    recorded = {"object": "interaction", "steps": [{"type": "model_output", "content": "a"}]}
    lines = [odd_line(kind, field, value) for kind, fields in FIELDS.items() for field in fields for value in ODD]
    for value in ODD:
        lines += [{"text": "a", name: value} for name in ("usage", "errors", "status")]
        lines += [{**recorded, name: value} for name in ("usage", "errors", "status", "steps", "input", "id")]
        lines += [{"text": "a", "usage": {"total_input_tokens": value}}, {"json": value}, {"steps": value}]
    return lines


def test_a_line_of_odd_types_is_refused_with_its_number_or_answers_every_kind_of_request(tmp_path: Path) -> None:
    path, refusals, lines = tmp_path / "script.jsonl", list[str](), odd_lines()
    for line in lines:
        path.write_text(json.dumps(line))
        try:
            settings = EmulatorSettings(replies=load_replies(f"script:{path}"))
        except SpecError as error:
            refusals.append(str(error))
        else:
            assert set(talk(settings, every_kind_of_request)) <= {200, 400}, line
    assert all(said.startswith(f"{path}:1: ") for said in refusals)
    assert 0 < len(refusals) < len(lines)


async def every_kind_of_request(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
    made = await client.post(URL, json=body(background=None))
    if made.status_code == 400:  # a medium that cannot be opened cannot be counted
        return [400]
    picture = {"model": "gemini-3.1-flash-image", "response_format": {"type": "image", "delivery": "uri"}}
    more = [body(stream=True, background=None), body(**picture, background=None), body()]
    answers = [made, await client.get(f"{URL}/{made.json()['id']}?stream=true")]
    return [answer.status_code for answer in [*answers, *[await client.post(URL, json=each) for each in more]]]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"type": "model_output", "content": [{"type": "image", "data": {"file": "x"}}]}, "the 'data' of a block"),
        ({"type": "model_output", "content": [{"type": "image", "uri": "x", "resolution": [1]}]}, "a wrong type"),
        ({"type": "thought", "summary": 5}, "the 'summary' of a thought is a list"),
        ({"type": "function_call", "name": "f", "arguments": {"a": "\ud800"}}, "half a surrogate pair"),
    ],
)
def test_a_block_that_cannot_be_sent_is_named(script: Any, step: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=rf"script.jsonl:1: .*{said}"):
        script({"steps": [step]})
