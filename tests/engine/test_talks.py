"""Rows that take several interactions: turns, function calls, continuations, plans; stored, and sent again whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from batchrun.cli.ending import summary_lines
from batchrun.emulator import load_replies
from batchrun.errors import Exit
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call
from batchrun.store.reader import Reader
from batchrun.store.reopening import answer_plans, reopen
from batchrun.store.store import Store
from tests.rehearsal import Rehearsal

FUNCTIONS = '''
from pathlib import Path

LOG = Path(__file__).with_name("calls.log")


def get_weather(city: str) -> dict:
    """Tells the weather of a city."""
    with LOG.open("a") as log:
        log.write(city + "\\n")
    if city == "Atlantis":
        raise LookupError("no such city")
    return {"city": city, "degrees": len(city)}


async def get_time(city: str) -> str:
    """Tells the time in a city."""
    with LOG.open("a") as log:
        log.write("time " + city + "\\n")
    return "noon in " + city
'''


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The bodies of all POSTs, as they are sent."""
    bodies: list[dict[str, Any]] = []
    real = Client.create

    async def create(self: Client, body: bytes, timeout: float | None = None) -> Call:
        bodies.append(json.loads(body))
        return await real(self, body, timeout)

    monkeypatch.setattr(Client, "create", create)
    return bodies


def job_of(where: Path, rows: int = 3, **request: Any) -> Rehearsal:
    job = Rehearsal(where, rows=rows)
    job.spec["request"] = {"model": "gemini-3.5-flash", **request}
    return job


def interview(where: Path, rows: int = 3, **request: Any) -> Rehearsal:
    turns = ["Remember {{ question }}", "You said {{ answers[0] | length }} letters. Go on.", "Sum up {{ id }}."]
    return job_of(where, rows, turns=turns, system_instruction="Be brief, {{ id }}.", **request)


def by_turn(sent: list[dict[str, Any]], row: str) -> list[dict[str, Any]]:
    return [body for body in sent if row in body["system_instruction"]]


def test_turns_are_chained_at_the_service_with_what_does_not_carry_over(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    job = interview(tmp_path, tools=["google_search"], generation_config={"seed": 5})
    assert job.run().exit_code is Exit.OK
    first, second, third = by_turn(sent, "r1")
    usage = [row["interaction_id"] for row in job.usage() if row["key"] == "r1"]
    assert "previous_interaction_id" not in first
    assert [second["previous_interaction_id"], third["previous_interaction_id"]] == usage[:2]
    assert [row["exchange"] for row in job.usage() if row["key"] == "r1"] == [0, 1, 2]
    assert first["input"] == "Remember What is 1 plus 1?"
    assert third["input"] == "Sum up r1."
    for body in (first, second, third):
        assert body["system_instruction"] == "Be brief, r1."
        assert body["tools"] == [{"type": "google_search"}]
        assert body["generation_config"] == {"seed": 5}
        assert body["background"] is True


def test_without_storage_every_step_is_sent_again_as_it_was_received(
    tmp_path: Path, sent: list[dict[str, Any]]
) -> None:
    job = interview(tmp_path, store=False)
    assert job.run().exit_code is Exit.OK
    first, second, third = by_turn(sent, "r1")
    assert (first["store"], first["background"]) == (False, False)
    assert all("previous_interaction_id" not in body for body in sent)
    with Reader(job.directory / "run.db") as reader:
        row = reader.row("r1")
        assert row is not None
        received = [json.loads(earlier.raw or b"")["steps"] for earlier in row.earlier]
    assert [step["type"] for step in received[0]] == ["thought", "model_output"]
    user = [{"type": "user_input", "content": [{"type": "text", "text": text}]} for text in said(third)]
    assert second["input"] == [user[0], *received[0], user[1]]
    assert third["input"] == [user[0], *received[0], user[1], *received[1], user[2]]


def said(body: dict[str, Any]) -> list[str]:
    return [step["content"][0]["text"] for step in body["input"] if step["type"] == "user_input"]


def weather(where: Path, rows: int = 2, **request: Any) -> Rehearsal:
    job = job_of(where, rows, input="{{ ask }}", functions="weather", **request)
    (where / "weather.py").write_text(FUNCTIONS)
    for row, ask in zip(job.rows, ASKS, strict=False):
        row["ask"] = ask
    return job


ASKS = [
    "Get the weather in Paris and in London.",
    "Get the weather in Rome, then get the time in Rome.",
    "Get the weather in Atlantis.",
]


def calls(where: Path) -> list[str]:
    log = where / "calls.log"
    return sorted(log.read_text().splitlines()) if log.exists() else []


@pytest.mark.parametrize("stored", [True, False])
def test_functions_are_called_once_each_and_their_results_sent_back(
    tmp_path: Path, sent: list[dict[str, Any]], stored: bool
) -> None:
    job = weather(tmp_path, store=stored)
    assert job.run().exit_code is Exit.OK
    assert calls(tmp_path) == ["London", "Paris", "Rome", "time Rome"]
    replies = [results for body in sent if (results := results_in(body))]
    assert [{"city": "Paris", "degrees": 5}, {"city": "London", "degrees": 6}] in replies
    texts = {row["key"]: row["text"] for row in job.results()}
    assert "noon in Rome" in texts["r1"]
    assert all(body["tools"][0]["name"] == "get_weather" for body in sent)


def results_in(body: dict[str, Any]) -> list[Any]:
    steps = body["input"] if isinstance(body["input"], list) else []
    return [step["result"] for step in steps if step["type"] == "function_result"]


def two_turns_of_which_the_first_calls(where: Path) -> tuple[Rehearsal, Any]:
    """A job of one row, and the replies that make it three interactions."""
    job = job_of(where, 1, turns=["Get the weather in Paris", "Sum up"], functions="weather", tools=["google_search"])
    (where / "weather.py").write_text(FUNCTIONS)
    call = {"type": "function_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Paris"}}
    lines = [
        {"when": {"contains": "Get the weather"}, "steps": [cited("I look."), call], "status": "requires_action"},
        {"steps": [cited("So it is.")]},
    ]
    script = where / "script.jsonl"
    script.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return job, load_replies(f"script:{script}")


def test_every_output_tells_the_exchange_and_the_users_turn_it_belongs_to(tmp_path: Path) -> None:
    job, replies = two_turns_of_which_the_first_calls(tmp_path)
    job.spec["output"] = {"steps": True}
    assert job.run(replies=replies).exit_code is Exit.OK
    told = [(0, 0), (1, 0), (2, 1)]
    steps = [json.loads(line) for line in (job.directory / "steps.jsonl").read_text().splitlines()]
    citations = pq.read_table(job.directory / "citations.parquet").to_pylist()
    assert [(record["exchange"], record["turn"]) for record in job.usage()] == told
    assert [(record["exchange"], record["turn"]) for record in citations] == told
    assert list(dict.fromkeys((step["exchange"], step["turn"]) for step in steps)) == told
    (row,) = job.results()
    assert (row["attempts"], row["exchanges"], row["answers"]) == (3, 3, ["So it is.", "So it is."])


def test_an_interaction_in_place_of_another_is_the_same_exchange(tmp_path: Path) -> None:
    job, replies = two_turns_of_which_the_first_calls(tmp_path)
    job.spec["retry"] = {"attempts": 2}
    assert job.run(replies=replies, faults="failed_no_errors:#3").exit_code is Exit.OK
    told = [(record["attempt"], record["exchange"], record["turn"], record["superseded"]) for record in job.usage()]
    assert told == [(1, 0, 0, False), (2, 1, 0, False), (3, 2, 1, True), (4, 2, 1, False)]
    (row,) = job.results()
    assert (row["attempts"], row["exchanges"]) == (4, 3)


def cited(said: str) -> dict[str, Any]:
    note = {"type": "url_citation", "url": "https://example.com", "start_index": 0, "end_index": 2}
    return {"type": "model_output", "content": [{"type": "text", "text": said, "annotations": [note]}]}


def test_a_function_that_fails_tells_the_model_so(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    job = weather(tmp_path, rows=3)
    result = job.run()
    assert result.exit_code is Exit.OK
    assert "1 of 5 function calls gave the model an error; `batchrun show` has each" in summary_lines(result.summary)
    (failed,) = [step for body in sent for step in body["input"] if isinstance(step, dict) and step.get("is_error")]
    assert failed["result"] == "LookupError: no such city"
    assert failed["name"] == "get_weather"


def test_calls_without_end_end_the_row_and_say_why(tmp_path: Path) -> None:
    job = weather(tmp_path, function_calling={"rounds": 1}, generation_config={"tool_choice": "any"})
    assert job.run().exit_code is Exit.SOME_ROWS_FAILED
    assert {row["error_class"] for row in job.results()} == {"too_many_rounds"}


def test_an_answer_that_is_broken_off_is_continued(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    whole = job_of(tmp_path / "whole", input="Tell a story of {{ id }}", store=False)
    assert whole.run().exit_code is Exit.OK
    sent.clear()
    job = job_of(tmp_path / "hops", input="Tell a story of {{ id }}", store=False)
    assert job.run(decode_limit=20).exit_code is Exit.OK
    assert [row["text"] for row in job.results()] == [row["text"] for row in whole.results()]
    assert any("continuation_token" in body for body in sent)
    assert {record["turn"] for record in job.usage()} == {0}


def plan(where: Path, approve: str) -> Rehearsal:
    job = Rehearsal(where, rows=2, retry={"ambiguous": {"agent": "hold"}})
    job.spec["request"] = {
        "agent": "deep-research-preview-04-2026",
        "input": "Research {{ question }}",
        "agent_config": {"type": "deep-research", "collaborative_planning": True},
        "approve": approve,
    }
    return job


def test_a_plan_is_approved_by_the_job(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    job = plan(tmp_path, "auto")
    assert job.run().exit_code is Exit.OK
    first, last = (body for body in sent if about(body, job, "r1"))
    assert first["agent_config"]["collaborative_planning"] is True
    assert last["agent_config"] == {"type": "deep-research", "collaborative_planning": False}
    assert [(record["exchange"], record["turn"]) for record in job.usage()] == [(0, 0), (1, 0)] * 2


def about(body: dict[str, Any], job: Rehearsal, key: str) -> bool:
    ids = [row["interaction_id"] for row in job.usage() if row["key"] == key]
    return body.get("previous_interaction_id") in ids or "What is 1 plus" in body["input"]


def test_a_plan_waits_for_the_users_word(tmp_path: Path, sent: list[dict[str, Any]]) -> None:
    job = plan(tmp_path, "hold")
    assert job.run().exit_code is Exit.ROWS_HELD
    assert [row["status"] for row in job.results()] == ["awaiting_approval"] * 2
    first, second = tell(job, go=False, text="Only one source.")
    assert job.run().exit_code is Exit.ROWS_HELD
    assert sent[-1]["input"] == "Only one source."
    assert sent[-1]["agent_config"]["collaborative_planning"] is True
    tell(job, go=True, text="")
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 6
    assert (first, second) != tuple(row["interaction_id"] for row in job.results())


def tell(job: Rehearsal, *, go: bool, text: str) -> list[str]:
    store = Store(job.directory / "run.db")
    with Reader(job.directory / "run.db") as reader:
        waiting = [row.attempt for row in reader.rows() if row.attempt]
    assert answer_plans(store, [(attempt.id, go, text) for attempt in waiting], job.clock.wall()) == len(waiting)
    store.close()
    return [attempt.interaction_id or "" for attempt in waiting]


def test_a_conversation_that_failed_goes_on_where_it_failed(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=2)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps([{"kind": "failed", "match": "Sum up r1", "times": 1}]))
    assert job.run(faults=str(plan)).exit_code is Exit.SOME_ROWS_FAILED
    store = Store(job.directory / "run.db")
    assert reopen(store, ["failed"], [], job.clock.wall()) == 1
    store.close()
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 2 * 3 + 1


def test_a_conversation_can_be_begun_anew(tmp_path: Path) -> None:
    job = interview(tmp_path, rows=2)
    job.run()
    store = Store(job.directory / "run.db")
    reopen(store, ["succeeded"], ["r1"], job.clock.wall(), from_start=True)
    store.close()
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 2 * 3 + 3


def test_what_functions_gave_is_among_the_steps(tmp_path: Path) -> None:
    job = weather(tmp_path)
    job.spec["output"] = {"steps": True}
    job.run()
    lines = [json.loads(line) for line in (job.directory / "steps.jsonl").read_text().splitlines()]
    given = {
        line["step"]["call_id"]: line["step"]["result"] for line in lines if line["step"]["type"] == "function_result"
    }
    called = {line["step"]["id"] for line in lines if line["step"]["type"] == "function_call"}
    assert called == set(given)
    assert {"city": "Paris", "degrees": 5} in given.values()


def test_a_slip_in_a_later_turn_costs_nothing(tmp_path: Path) -> None:
    job = job_of(tmp_path, turns=["Hello {{ id }}", "{{ answers[0] }} {{ qestion }}"])
    assert job.run().exit_code is Exit.SOME_ROWS_FAILED
    assert {row["error_class"] for row in job.results()} == {"template_error"}
    assert job.ledger() == []


HOSTILE = {
    "surrogate": {"type": "image", "mime_type": "image/png", "data": "\\ud800"},
    "surrogate_uri": {"type": "image", "mime_type": "image/png", "uri": "https://x/\\ud800"},
}


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_ends_its_own_row_at_most(tmp_path: Path, name: str, stored: bool) -> None:
    job = job_of(tmp_path, rows=3, turns=["Hello {{ id }}", "Go on, {{ id }}"], store=stored)
    text = {"type": "text", "text": "said \\ud800"}
    result = {"type": "function_result", "call_id": ["odd"], "result": "x"}
    steps = [result, {"type": "model_output", "content": [HOSTILE[name], text]}]
    script = tmp_path / "script.jsonl"
    line = json.dumps({"when": {"contains": "Hello r1"}, "steps": steps})
    script.write_text(line.replace("\\\\ud800", "\\ud800") + "\n")
    job.run(replies=load_replies(f"script:{script}"))
    others = [row["status"] for row in job.results() if row["key"] != "r1"]
    assert others == ["succeeded", "succeeded"]
    assert job.run().exit_code in (Exit.OK, Exit.SOME_ROWS_FAILED)


def test_an_answer_that_came_with_its_post_is_kept_though_its_media_cannot_be(tmp_path: Path) -> None:
    job = job_of(tmp_path, rows=1, input="Draw {{ id }}", store=False)
    job.spec["request"] |= {"model": "gemini-3.1-flash-image", "response_format": {"type": "image"}}
    job.directory.mkdir(parents=True)
    (job.directory / "media").write_text("in the way")
    assert job.run().exit_code is Exit.DISK
    (job.directory / "media").unlink()
    assert job.run().exit_code is Exit.OK
    assert len(job.accepted()) == 1
    (row,) = job.results()
    assert (job.directory / row["media"][0]["path"]).stat().st_size == row["media"][0]["bytes"]
