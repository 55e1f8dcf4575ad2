"""Agents: the one with a sandbox, the one that does research, those that are stored, and their environments."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import httpx
import pytest

from batchrun.emulator import Emulator, EmulatorSettings, parse_latency
from tests.emulator.in_process import URL, Clock, body, finished, post, talk, text_of

FIBONACCI = (
    "Write a Python script that generates the first 20 Fibonacci numbers and saves them to fibonacci.txt. "
    "Then read the file and print its contents."
)
NUMBERS = "0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181"
ANTIGRAVITY: dict[str, Any] = {"model": None, "agent": "antigravity-preview-09-2026", "environment": "remote"}
RESEARCH: dict[str, Any] = {"model": None, "agent": "deep-research-preview-04-2026"}
DAY = 86_400


def researched(client: httpx.AsyncClient, **fields: Any) -> Any:
    """A research interaction that is polled once after its create."""

    async def run() -> Any:
        created = (await client.post(URL, json=body(**RESEARCH, **fields))).json()
        return (await client.get(f"{URL}/{created['id']}")).json()

    return run()


def research(**fields: Any) -> Any:
    return talk(EmulatorSettings(), lambda client, emulator: researched(client, **fields))


def test_the_sandbox_agent_writes_runs_and_reads() -> None:
    interaction = finished(**ANTIGRAVITY, input=FIBONACCI)
    kinds = [step["type"] for step in interaction["steps"]]
    assert kinds == ["thought", *["code_execution_call", "code_execution_result"] * 2, "model_output"]
    languages = [step["arguments"]["language"] for step in interaction["steps"] if "arguments" in step]
    assert languages == ["python", "bash"]
    assert NUMBERS in text_of(interaction)
    assert interaction["environment_id"]


def test_a_sandbox_keeps_its_files_from_one_turn_to_the_next() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = (await client.post(URL, json=body(**ANTIGRAVITY, input=FIBONACCI))).json()
        name = first["environment_id"]
        again = {**ANTIGRAVITY, "environment": name, "previous_interaction_id": first["id"]}
        second = await client.post(URL, json=body(**again, input="Save 3 primes to primes.txt"))
        files = await client.get(f"/v1/environments/{name}/files/")
        content = await client.get(f"/v1/environments/{name}/files/fibonacci.txt", params={"alt": "media"})
        shown = await client.get(f"/v1/environments/{name}")
        return [name, second.json(), files.json(), content.text, shown.json()]

    name, second, files, content, shown = talk(EmulatorSettings(clock=Clock()), conversation)
    assert second["environment_id"] == name
    assert [file["path"] for file in files["files"]] == ["fibonacci.txt", "primes.txt"]
    assert content == NUMBERS
    assert (shown["id"], shown["status"], shown["file_count"]) == (name, "active", "2")


def test_an_environment_goes_away_when_deleted_or_idle_for_a_week() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        names = [(await client.post("/v1beta/environments", json={})).json()["id"] for _ in range(2)]
        await client.delete(f"/v1beta/environments/{names[0]}")
        found = []
        for days in (0, 7):
            clock.now += days * DAY
            used = [await client.post(URL, json=body(**{**ANTIGRAVITY, "environment": name})) for name in names]
            listed = (await client.get("/v1beta/environments")).json()["environments"]
            found.append(([answer.status_code for answer in used], len(listed)))
        return found

    assert talk(EmulatorSettings(clock=clock), conversation) == [([404, 200], 1), ([404, 404], 0)]


def test_inline_sources_are_files_of_the_environment() -> None:
    sources = [
        {"type": "inline", "target": "/data/a.txt", "content": "hello"},
        {"type": "inline", "target": "b.txt", "content": "aGVsbG8=", "encoding": "base64"},
        {"type": "repository", "source": "https://github.com/a/b"},
    ]

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        environment = {"type": "remote", "sources": sources}
        name = (await client.post(URL, json=body(**{**ANTIGRAVITY, "environment": environment}))).json()[
            "environment_id"
        ]
        paths = [f"/v1/environments/{name}/files/{path}" for path in ("data/a.txt", "b.txt")]
        return [(await client.get(path, params={"alt": "media"})).text for path in paths]

    assert talk(EmulatorSettings(), conversation) == ["hello", "hello"]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "inline", "target": "a", "content": "x" * (1024 * 1024 + 1)},
        {"type": "inline", "target": "a", "content": "!", "encoding": "base64"},
        {"type": "carrier pigeon"},
    ],
)
def test_a_source_that_cannot_be_used_is_refused(source: dict[str, str]) -> None:
    assert post(**{**ANTIGRAVITY, "environment": {"type": "remote", "sources": [source]}}).status_code == 400


def test_an_agent_can_ask_for_a_function_and_goes_on_with_its_result() -> None:
    tools = [{"type": "function", "name": "get_total"}]

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        asked = body(**ANTIGRAVITY, tools=tools, background=None)
        first = (await client.post(URL, json=asked)).json()
        told = [{"type": "function_result", "call_id": first["steps"][-1]["id"], "result": "7"}]
        again = {"previous_interaction_id": first["id"], "environment": first["environment_id"], "input": told}
        second = (await client.post(URL, json={**asked, **again})).json()
        return [first["status"], second["status"]]

    assert talk(EmulatorSettings(), conversation) == ["requires_action", "completed"]


def test_an_environment_can_be_forked() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        first = (await client.post(URL, json=body(**ANTIGRAVITY, input=FIBONACCI))).json()["environment_id"]
        fork = await client.post("/v1/environments", json={"from_environment": first})
        lost = await client.post("/v1/environments", json={"from_environment": "nowhere"})
        return [fork.json(), lost.status_code, first]

    fork, lost, first = talk(EmulatorSettings(), conversation)
    assert (fork["file_count"], lost) == ("1", 404)
    assert fork["id"] != first


@pytest.mark.parametrize("most", [10, "10"])
def test_a_budget_that_is_used_up_leaves_the_work_without_a_last_word(most: Any) -> None:
    interaction = finished(
        **ANTIGRAVITY, input=FIBONACCI, agent_config={"type": "antigravity", "max_total_tokens": most}
    )
    assert interaction["status"] == "incomplete"
    assert [step["type"] for step in interaction["steps"]][-1] == "code_execution_result"


@pytest.mark.parametrize("most", ["--5", "1e3", "9" * 5000, "٥", 1.5, 0, "-1"])
def test_a_budget_that_is_no_number_is_refused(most: Any) -> None:
    assert post(**ANTIGRAVITY, agent_config={"type": "antigravity", "max_total_tokens": most}).status_code == 400


@pytest.mark.parametrize(("fields", "kind"), [(ANTIGRAVITY, "deep-research"), (RESEARCH, "antigravity")])
def test_an_agent_takes_only_its_own_settings(fields: dict[str, Any], kind: str) -> None:
    assert post(**fields, agent_config={"type": kind}).status_code == 400
    assert post(**fields, agent_config={"type": "dynamic", "max_total_tokens": "x"}).status_code == 200


def test_a_budget_that_is_large_enough_does_not_matter() -> None:
    config = {"type": "antigravity", "max_total_tokens": "100000"}
    assert finished(**ANTIGRAVITY, input=FIBONACCI, agent_config=config)["status"] == "completed"


def test_research_searches_and_cites() -> None:
    interaction = research(input="The history of the bicycle")
    kinds = [step["type"] for step in interaction["steps"]]
    assert kinds.count("google_search_call") == kinds.count("google_search_result") >= 2
    output = interaction["steps"][-1]
    assert [block["type"] for block in output["content"]] == ["text"]
    assert len(output["content"][0]["annotations"]) >= 4
    assert interaction["usage"]["grounding_tool_count"][0]["count"] >= 2


def test_research_thinks_aloud_when_asked() -> None:
    config = {"type": "deep-research", "thinking_summaries": "auto"}
    summaries = [step["summary"][0]["text"] for step in research(agent_config=config)["steps"] if "summary" in step]
    assert len(summaries) == 2


@pytest.mark.parametrize(
    ("prompt", "wish", "pictures"),
    [("Rents, with charts", "auto", 1), ("Rents, with charts", "off", 0), ("Rents", "auto", 0)],
)
def test_research_draws_only_when_asked_and_allowed(prompt: str, wish: str, pictures: int) -> None:
    interaction = research(input=prompt, agent_config={"type": "deep-research", "visualization": wish})
    images = [block for block in interaction["steps"][-1]["content"] if block["type"] == "image"]
    assert len(images) == pictures
    assert all(b64decode(image["data"]).startswith(b"\x89PNG\r\n") for image in images)


def test_research_agrees_on_a_plan_first() -> None:
    plan_first = {"type": "deep-research", "collaborative_planning": True}

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        plan = await researched(client, input="The history of the bicycle", agent_config=plan_first)
        refined = await researched(
            client, input="Only Europe.", agent_config=plan_first, previous_interaction_id=plan["id"]
        )
        report = await researched(client, input="Go ahead.", previous_interaction_id=refined["id"])
        return [plan, refined, report]

    plan, refined, report = talk(EmulatorSettings(), conversation)
    assert [turn["status"] for turn in (plan, refined, report)] == ["completed"] * 3
    assert [step["type"] for step in plan["steps"]] == ["thought", "model_output"]
    assert "Research plan" in text_of(plan)
    assert text_of(plan) != text_of(refined)
    assert text_of(report).startswith("# [emulated] The history of the bicycle")


def test_research_is_stamped_when_it_ends() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        created = (await client.post(URL, json=body(**RESEARCH))).json()
        clock.now += 1000
        return [created, (await client.get(f"{URL}/{created['id']}")).json()]

    created, done = talk(EmulatorSettings(latency=parse_latency("600s"), clock=clock), conversation)
    assert created["created"] == "2027-01-15T08:00:00Z"
    assert done["created"] == done["updated"] == "2027-01-15T08:10:00Z"


@pytest.mark.parametrize("fields", [{**RESEARCH, "store": False}, {**ANTIGRAVITY, "store": False, "background": None}])
def test_agents_must_be_stored(fields: dict[str, Any]) -> None:
    assert post(**fields).status_code == 400


SENTINEL = {
    "id": "customer-sentinel",
    "base_agent": "antigravity-preview-09-2026",
    "description": "Watches",
    "system_instruction": "Be brief.",
    "tools": [{"type": "google_search"}],
    "base_environment": {"type": "remote", "sources": []},
}


def test_a_stored_agent_can_be_used_by_its_name() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        created = (await client.post("/v1/agents", json=SENTINEL)).json()
        asked = {"agent": "customer-sentinel", "input": "Who won?"}
        return [created, (await client.post(URL, json=asked)).json()]

    created, interaction = talk(EmulatorSettings(), conversation)
    assert created == SENTINEL
    assert interaction["agent"] == "customer-sentinel"
    assert interaction["environment_id"]
    assert "google_search_call" in [step["type"] for step in interaction["steps"]]


def test_a_request_overrides_what_a_stored_agent_says() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> Any:
        await client.post("/v1/agents", json=SENTINEL)
        asked = {"agent": "customer-sentinel", "input": "Who won?", "tools": [{"type": "url_context"}]}
        return (await client.post(URL, json=asked)).json()

    kinds = [step["type"] for step in talk(EmulatorSettings(), conversation)["steps"]]
    assert "google_search_call" not in kinds


def test_stored_agents_are_listed_got_and_deleted() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        for number in range(3):
            await client.post("/v1beta/agents", json={"id": f"agent-{number}", "system_instruction": "x"})
        page = (await client.get("/v1beta/agents", params={"page_size": 2})).json()
        rest = (await client.get("/v1beta/agents", params={"page_token": page["next_page_token"]})).json()
        again = await client.post("/v1beta/agents", json={"id": "agent-0"})
        gone = [await client.request(method, "/v1beta/agents/agent-0") for method in ("GET", "DELETE", "GET")]
        used = await client.post(URL, json=body(model=None, agent="agent-0"))
        listed = [agent["id"] for agent in (*page["agents"], *rest["agents"])]
        return [listed, again.status_code, [answer.status_code for answer in gone], used.status_code]

    listed, again, gone, used = talk(EmulatorSettings(), conversation)
    assert listed == ["agent-0", "agent-1", "agent-2"]
    assert (again, gone, used) == (409, [200, 200, 404], 404)


@pytest.mark.parametrize(
    "agent",
    [
        {"id": "Not A Name"},
        {"id": "a", "tools": [{"type": "google_maps"}]},
        {"id": "a", "surprise": 1},
        {"id": "a", "base_agent": "gemini-3.5-flash"},
        {"id": "a", "base_environment": 7},
    ],
)
def test_an_agent_that_cannot_be_is_refused(agent: dict[str, Any]) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> int:
        return (await client.post("/v1/agents", json=agent)).status_code

    assert talk(EmulatorSettings(), conversation) in (400, 404)
