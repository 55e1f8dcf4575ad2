"""The life of an interaction: create, poll, cancel, delete, chain, restart."""

from __future__ import annotations

import gc
import re
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from tests.emulator.in_process import KEY, URL, Clock, body, finished, post, talk, text_of

TWENTY = parse_latency("20s")


def test_background_create_answers_at_once_without_steps_and_usage() -> None:
    interaction = post(labels={"row": "r1"}).json()
    assert interaction["status"] == "in_progress"
    assert interaction["object"] == "interaction"
    assert interaction["labels"] == {"row": "r1"}
    assert re.fullmatch(r"v1_[A-Za-z0-9_-]{67}", interaction["id"])
    assert not {"steps", "usage"} & set(interaction)


def test_a_background_interaction_is_done_when_the_clock_says_so() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        name = (await client.post(URL, json=body())).json()["id"]
        statuses = []
        for seconds in (0, 19, 1):
            clock.now += seconds
            statuses.append((await client.get(f"{URL}/{name}")).json()["status"])
        return statuses

    statuses = talk(EmulatorSettings(latency=TWENTY, clock=clock), conversation)
    assert statuses == ["in_progress", "in_progress", "completed"]


def test_created_and_updated_tell_the_latency() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        name = (await client.post(URL, json=body())).json()["id"]
        clock.now += 1000
        return (await client.get(f"{URL}/{name}")).json()

    interaction = talk(EmulatorSettings(latency=TWENTY, clock=clock), conversation)
    assert (interaction["created"], interaction["updated"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:20Z")


def test_foreground_create_answers_the_finished_interaction() -> None:
    interaction = finished()
    assert interaction["status"] == "completed"
    assert text_of(interaction).startswith("[emulated] ")
    assert interaction["emulated"] is True


def test_every_answer_carries_the_mark_and_the_tier() -> None:
    answer = post(service_tier="flex")
    assert answer.headers["x-emulated"] == "true"
    assert answer.headers["x-gemini-service-tier"] == "flex"
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_both_version_paths_serve_the_same_interactions(version: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        name = (await client.post(f"/{version}/interactions", json=body())).json()["id"]
        return (await client.get(f"/v1/interactions/{name}")).status_code

    assert talk(EmulatorSettings(), conversation) == 200


def test_a_restarted_emulator_knows_the_earlier_interactions(tmp_path: Path) -> None:
    settings = EmulatorSettings(state=tmp_path / "state.db")
    name = post(settings).json()["id"]

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        return (await client.get(f"{URL}/{name}")).json()

    assert talk(settings, conversation)["status"] == "completed"


def test_the_same_body_sent_again_is_another_interaction_with_the_same_answer() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        return [(await client.post(URL, json=body(background=None))).json() for _ in range(2)]

    first, second = talk(EmulatorSettings(), conversation)
    assert first["id"] != second["id"]
    assert text_of(first) == text_of(second)


def test_ids_latencies_and_answers_do_not_depend_on_the_order_of_arrival() -> None:
    settings = EmulatorSettings(seed=7, latency=parse_latency("lognormal:20s,1.0"), clock=Clock())

    def run(prompts: list[str]) -> dict[str, Any]:
        async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> dict[str, Any]:
            answers = {p: (await client.post(URL, json=body(input=p))).json()["id"] for p in prompts}
            kept = {p: emulator.service.store.find(name) for p, name in answers.items()}
            return {p: (row.id, row.ready_at, row.tail) for p, row in kept.items() if row}

        result: dict[str, Any] = talk(settings, conversation)
        return result

    assert run(["a", "b", "c"]) == run(["c", "a", "b"])


def test_another_seed_gives_other_ids() -> None:
    assert post(EmulatorSettings(seed=1)).json()["id"] != post(EmulatorSettings(seed=2)).json()["id"]


def test_include_input_shows_what_was_asked() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        name = (await client.post(URL, json=body())).json()["id"]
        return (await client.get(f"{URL}/{name}", params={"include_input": "true"})).json()

    assert talk(EmulatorSettings(), conversation)["input"] == "How many paws are in my house?"


def test_cancel_stops_a_running_interaction_for_good() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        name = (await client.post(URL, json=body())).json()["id"]
        cancelled = await client.post(f"{URL}/{name}/cancel")
        clock.now += 1000
        return [cancelled.json(), (await client.get(f"{URL}/{name}")).json()]

    for interaction in talk(EmulatorSettings(latency=TWENTY, clock=clock), conversation):
        assert interaction["status"] == "cancelled"
        assert "steps" not in interaction


@pytest.mark.parametrize("background", [True, None])
def test_cancel_of_a_finished_or_foreground_interaction_is_refused(background: bool | None) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        name = (await client.post(URL, json=body(background=background))).json()["id"]
        return await client.post(f"{URL}/{name}/cancel")

    answer = talk(EmulatorSettings(), conversation)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "failed_precondition")


def test_a_deleted_interaction_is_not_found() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        name = (await client.post(URL, json=body())).json()["id"]
        deleted = await client.delete(f"{URL}/{name}")
        assert deleted.json() == {}
        again = await client.delete(f"{URL}/{name}")
        return [deleted.status_code, (await client.get(f"{URL}/{name}")).status_code, again.status_code]

    assert talk(EmulatorSettings(), conversation) == [200, 404, 404]


def test_an_interaction_that_was_not_stored_can_neither_be_polled_nor_continued() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        name = (await client.post(URL, json=body(background=None, store=False))).json()["id"]
        chained = await client.post(URL, json=body(previous_interaction_id=name))
        return [(await client.get(f"{URL}/{name}")).status_code, chained.status_code]

    assert talk(EmulatorSettings(), conversation) == [404, 400]


def test_a_chain_counts_the_history_and_answers_differently() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = (await client.post(URL, json=body(background=None))).json()
        chained = body(background=None, previous_interaction_id=first["id"])
        return [first, (await client.post(URL, json=chained)).json()]

    first, second = talk(EmulatorSettings(), conversation)
    assert second["previous_interaction_id"] == first["id"]
    history = first["usage"]["total_input_tokens"] + first["usage"]["total_output_tokens"]
    assert second["usage"]["total_input_tokens"] == history + first["usage"]["total_input_tokens"]
    assert text_of(first) != text_of(second)


def test_a_running_interaction_cannot_be_continued() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        name = (await client.post(URL, json=body())).json()["id"]
        return await client.post(URL, json=body(previous_interaction_id=name))

    answer = talk(EmulatorSettings(latency=TWENTY, clock=Clock()), conversation)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "failed_precondition")


def test_the_deferred_tier_waits_in_the_queue_first() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        created = (await client.post(URL, json=body(service_tier="deferred"))).json()
        statuses = [created["status"]]
        for _ in range(3):
            clock.now += 12
            statuses.append((await client.get(f"{URL}/{created['id']}")).json()["status"])
        return statuses

    statuses = talk(EmulatorSettings(latency=TWENTY, clock=clock), conversation)
    assert statuses == ["queued", "in_progress", "in_progress", "completed"]


def test_a_stream_tells_the_whole_story_and_can_be_resumed() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        name = (await client.post(URL, json=body())).json()["id"]
        whole = (await client.get(f"{URL}/{name}", params={"stream": "true"})).text
        rest = (await client.get(f"{URL}/{name}", params={"stream": "true", "last_event_id": "000003"})).text
        return [whole, rest]

    whole, rest = talk(EmulatorSettings(), conversation)
    kinds = re.findall(r"^event: (.+)$", whole, re.MULTILINE)
    assert kinds[:2] == ["interaction.created", "step.start"]
    assert kinds[-2:] == ["interaction.completed", "done"]
    assert whole.endswith("data: [DONE]\n\n")
    assert whole.endswith(rest)
    assert '"event_id":"000004"' in rest
    assert '"event_id":"000003"' not in rest


@pytest.mark.parametrize("revision", ["2026-05-20", "2026-05-07", "2027-01-01", "new", ""])
def test_a_revision_is_optional(revision: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.post(URL, json=body(), headers={"api-revision": revision})).status_code

    assert talk(EmulatorSettings(), conversation) == 200


def test_a_revision_from_before_the_steps_is_refused() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        return await client.post(URL, json=body(), headers={"api-revision": "2025-12-01"})

    answer = talk(EmulatorSettings(), conversation)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "no longer supported" in answer.json()["error"]["message"]


def test_a_stream_answers_a_create() -> None:
    answer = post(background=None, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert "event: interaction.completed" in answer.text


def test_a_method_that_does_not_exist_is_not_found() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        calls = [("GET", URL), ("PUT", URL), ("GET", "/"), ("POST", "/v2/interactions"), ("GET", f"{URL}/")]
        return [(await client.request(method, path)).status_code for method, path in calls]

    assert set(talk(EmulatorSettings(), conversation)) == {404}


@pytest.mark.parametrize(
    ("headers", "params"),
    [(KEY, {}), ({}, {"key": "a-key"}), ({"authorization": "Bearer a-token"}, {})],
)
def test_a_key_is_taken_from_header_query_or_bearer(headers: dict[str, str], params: dict[str, str]) -> None:
    assert _with_key(headers, params).status_code == 200


def test_without_a_key_nothing_is_served() -> None:
    answer = _with_key({}, {})
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_a_bad_key_gets_400_in_an_array() -> None:
    answer = _with_key({"x-goog-api-key": "bad"}, {})
    error = answer.json()[0]["error"]
    assert (answer.status_code, error["details"][0]["reason"]) == (400, "API_KEY_INVALID")


def _with_key(headers: dict[str, str], params: dict[str, str]) -> httpx.Response:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        del client.headers["x-goog-api-key"]
        return await client.post(URL, json=body(), headers=headers, params=params)

    answer: httpx.Response = talk(EmulatorSettings(bad_keys=frozenset({"bad"})), conversation)
    return answer


def test_never_more_than_the_limit_in_any_minute() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        answers = []
        for seconds in (0, 10, 10, 39, 2):
            clock.now += seconds
            answers.append(await client.post(URL, json=body()))
        return answers

    answers = talk(EmulatorSettings(rpm=2, clock=clock), conversation)
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 200]
    error = answers[2].json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED"
    kinds = [detail["@type"].rpartition(".")[2] for detail in error["details"]]
    assert kinds == ["QuotaFailure", "Help", "RetryInfo"]
    assert "PerMinute" in error["details"][0]["violations"][0]["quotaId"]
    assert error["details"][2]["retryDelay"] == "40s"


def test_a_state_file_that_is_no_database_is_a_spec_error(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(Exception, match="choose another file"):
        Emulator(EmulatorSettings(state=path))


def test_memory_does_not_grow_with_the_number_of_interactions() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        async def some(number: int) -> int:
            for prompt in range(number, number + 300):
                created = (await client.post(URL, json=body(input=f"prompt {prompt}"))).json()
                await client.get(f"{URL}/{created['id']}")
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        await some(0)
        before = await some(1000)
        return await some(2000) - before

    tracemalloc.start()
    try:
        grown = talk(EmulatorSettings(rpm=100, clock=Hours(), faults=load_faults("503:0")), conversation)
    finally:
        tracemalloc.stop()
    assert grown < 20_000


class Hours(Clock):
    """An hour passes between any two looks at the clock."""

    def __call__(self) -> float:
        self.now += 3600
        return self.now
