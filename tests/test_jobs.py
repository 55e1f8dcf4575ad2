"""The jobs in `jobs/` do what their comments say: on an emulator in this process, and on one behind a socket."""

from __future__ import annotations

import json
import wave
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel

from tests.example_jobs import JOBS, PIPELINES, Done, input_keys, run_job
from tests.processes import emulator

#: Jobs whose answers are files.
MADE = ("illustrate", "narrate")
FIBONACCI = "0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181"

Run = Callable[[str], Done]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("served"), "--latency", "0ms") as url:
        yield url


@pytest.fixture(scope="module", params=["in this process", "over a socket"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a job, each only once."""
    url = request.getfixturevalue("address") if request.param == "over a socket" else None
    return cache(lambda name: run_job(name, tmp_path_factory.mktemp(name), url))


@pytest.mark.parametrize("name", [name for name in JOBS if name not in PIPELINES])
def test_every_row_succeeds_and_has_its_answer(run: Run, name: str) -> None:
    done = run(name)
    assert done.exit_code == 0, done.said
    rows = [record for records in done.table().values() for record in records]
    assert [(row["key"], row["status"]) for row in rows] == [(key, "succeeded") for key in input_keys(name)]
    assert all(row["text"] for row in rows) or name in MADE


@pytest.mark.parametrize("name", JOBS)
def test_the_same_command_again_sends_nothing(run: Run, name: str) -> None:
    done = run(name)
    again = run_job(name, done.directory, done.url)
    assert (again.exit_code, again.bodies) == (0, []), again.said
    assert again.table() == done.table()


def test_the_jobs_and_what_they_leave_are_in_several_languages(run: Run) -> None:
    assert "نوروز" in run("prompts").table()
    lines = (run("prompts").directory / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[9])["input"]["question"].startswith("چرا")


# -- conversations ---------------------------------------------------------------------------------------------------


def test_an_interview_has_an_interaction_for_each_turn_chained_at_the_service(run: Run) -> None:
    done = run("interview")
    assert done.statuses_at_the_service() == {200}
    for key, attempts in done.table("usage").items():
        assert [attempt["exchange"] for attempt in attempts] == [0, 1, 2, 3]
        ids = [attempt["interaction_id"] for attempt in attempts]
        assert [body.get("previous_interaction_id") for body in done.requests(key)] == [None, *ids[:-1]]


def test_an_interviewer_quotes_the_answer_before_and_the_write_up_becomes_columns(run: Run) -> None:
    done = run("interview")
    row = done.row("فرش")
    first, _, third, last = done.requests("فرش")
    assert len(row["answers"]) == 4
    assert row["answers"][1] in third["input"]
    assert first["system_instruction"].startswith("You are بافندهٔ فرش در تبریز.")
    assert last["system_instruction"] == "You are the editor of a local newspaper."
    assert row["headline"]
    assert all(row["quotes"])


def test_of_a_stateless_interview_the_service_keeps_nothing(run: Run) -> None:
    done = run("interview_stateless")
    assert done.statuses_at_the_service() == {404}
    for key in input_keys("interview_stateless"):
        answers, requests = done.answers(key), done.requests(key)
        assert [(body["store"], body["background"]) for body in requests] == [(False, False)] * 3
        sent_again = [step for step in requests[-1]["input"] if step["type"] != "user_input"]
        assert sent_again == [step for answer in answers[:-1] for step in answer["steps"]]


# -- media -----------------------------------------------------------------------------------------------------------


def test_pictures_sounds_films_and_pages_are_sent_as_the_job_says(run: Run) -> None:
    done = run("describe_media")
    sent = {key: done.requests(key)[0]["input"] for key in input_keys("describe_media")}
    assert [block["type"] for block in sent["hours"]] == ["image", "image", "image", "text"]
    assert all(b64decode(block["data"]).startswith(b"\x89PNG") for block in sent["hours"][:3])
    assert [block.get("resolution") for block in sent["hours"]] == ["low", "low", "low", None]
    sound, film, pages = sent["Glocken"][0], sent["film"][0], sent["موزه"][0]
    assert (sound["mime_type"], sound["processing"]["end_offset"]) == ("audio/wav", "10s")
    assert (film["mime_type"], film["processing"]["fps"]) == ("video/mp4", 0.5)
    assert pages["processing"]["page_options"] == {"start_page": 2, "end_page": 3}
    assert [block["uri"].split(":")[0] for block in sent["online"][:2]] == ["https", "gs"]


def test_each_kind_of_media_is_counted(run: Run) -> None:
    usage = {key: attempt for key, (attempt,) in run("describe_media").table("usage").items()}
    assert usage["hours"]["input_image_tokens"] == 3 * usage["both"]["input_image_tokens"] > 0
    assert usage["Glocken"]["input_audio_tokens"] == usage["both"]["input_audio_tokens"] > 0
    assert usage["film"]["input_video_tokens"] > 0
    assert usage["موزه"]["input_document_tokens"] > 0


def test_pictures_are_files_that_open(run: Run) -> None:
    done = run("illustrate")
    for key in input_keys("illustrate"):
        with Image.open(done.medium(key)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("JPEG", (688, 384))


def test_narrations_are_wav_files_as_long_as_their_text(run: Run) -> None:
    done = run("narrate")
    for key in input_keys("narrate"):
        with wave.open(str(done.medium(key))) as sound:
            assert (sound.getnchannels(), sound.getframerate()) == (1, 24_000)
            samples = sound.readframes(sound.getnframes())
            seconds = sound.getnframes() / sound.getframerate()
        said = done.requests(key)[0]["input"]
        assert seconds == pytest.approx(len(said) / 15, abs=0.1)  # the emulator says 15 characters a second
        assert len(samples) == 2 * 24_000 * seconds
        assert any(samples)


# -- tools -----------------------------------------------------------------------------------------------------------


def test_answers_are_looked_up_and_a_page_is_read(run: Run) -> None:
    steps = {
        key: [step["type"] for step in run("grounded_answers").answers(key)[0]["steps"]] for key in ("page", "آبله")
    }
    assert "google_search_call" in steps["آبله"]
    assert {"google_search_call", "url_context_call"} <= set(steps["page"])


def test_citations_are_the_cited_words_in_any_language(run: Run) -> None:
    done = run("grounded_answers")
    for key, citations in done.table("citations").items():
        text = done.row(key)["text"]
        assert len(citations) >= 2
        assert all(text[each["start_in_text"] : each["end_in_text"]] == each["text"] for each in citations)
        assert all(each["url"].startswith("https://") for each in citations)
    first, second = done.table("citations")["آبله"]
    assert first["text"] == "[emulated] Source 1 on “چه کسی نخستین واکسن آبله را ساخت و در چه سالی؟” is made up."
    assert second["text"].startswith("[emulated] Source 2 on “چه کسی")


def test_functions_are_called_once_each_at_once_or_one_after_the_other(run: Run) -> None:
    done = run("weather_tool")
    calls = {key: done.function_calls(key) for key in input_keys("weather_tool")}
    assert [(call.exchange, call.arguments["city"]) for call in calls["parallel"]] == [
        (0, "Lisbon"),
        (0, "Oslo"),
        (0, "New York"),
    ]
    assert [(call.exchange, call.name) for call in calls["compositional"]] == [
        (0, "get_temperature"),
        (1, "suggest_clothes"),
    ]
    assert [call.arguments["city"] for call in (*calls["one"], *calls["Köln"])] == ["London", "Köln"]
    assert {call.tries for each in calls.values() for call in each} == {1}


def test_what_a_function_answers_reaches_the_model_and_so_does_its_error(run: Run) -> None:
    done = run("weather_tool")
    assert '"temperature":' in done.row("one")["text"]
    (failed,) = done.function_calls("nowhere")
    assert failed.is_error
    assert "no station in 'Atlantis'" in done.row("nowhere")["text"]
    assert len(done.requests("compositional")) == 3


# -- agents ----------------------------------------------------------------------------------------------------------


def test_an_agent_works_in_a_sandbox_of_its_own(run: Run) -> None:
    done = run("agent_task")
    assert FIBONACCI in done.row("fibonacci")["text"]
    sandboxes = {done.row(key)["environment_id"] for key in input_keys("agent_task")}
    assert len(sandboxes - {None}) == len(input_keys("agent_task"))


def test_every_research_plan_is_approved_and_followed_by_a_report(run: Run) -> None:
    done = run("research")
    for key, (planned, reported) in done.table("usage").items():
        first, second = done.requests(key)
        assert first["agent_config"]["collaborative_planning"] is True
        assert second["agent_config"]["collaborative_planning"] is False
        assert second["previous_interaction_id"] == planned["interaction_id"]
        assert done.row(key)["interaction_id"] == reported["interaction_id"]
        assert "## Findings" in done.row(key)["text"]
        assert done.row(key)["thoughts"]
        assert done.table("citations")[key]


# -- the vendor's view -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", JOBS)
def test_every_request_is_one_that_the_vendors_client_could_send(run: Run, name: str) -> None:
    interactions: Any = pytest.importorskip("google.genai.interactions", reason="google-genai is not installed")
    done = run(name)
    assert len(done.bodies) >= len(input_keys(name))
    for body in done.bodies:
        kind = interactions.CreateModelInteraction if "model" in body else interactions.CreateAgentInteraction
        assert list(strangers(kind.model_validate(body))) == []


def strangers(value: object, where: str = "") -> Iterator[str]:
    """Where in a request is something that the vendor's types have no place for. Types without fields take anything."""
    if isinstance(value, BaseModel):
        yield from [where] * bool(getattr(value, "is_unknown", False))
        yield from (f"{where}.{name}" for name in value.model_extra or {} if type(value).model_fields)
        for name, inner in value:
            yield from strangers(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strangers(item, f"{where}[{index}]")
