"""Every fault does what its line in the table says, when its rule says so."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from batchrun.emulator import FAULTS, Emulator, EmulatorSettings, load_faults
from batchrun.emulator.days import next_midnight
from batchrun.emulator.faults import Rule
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, json_format, talk, text_of

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}
SCHEMA["required"] = ["name", "size"]


def posts(plan: str, number: int = 1, **fields: Any) -> list[httpx.Response]:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        return [await client.post(URL, json=body(**fields)) for _ in range(number)]

    answers: list[httpx.Response] = talk(EmulatorSettings(faults=load_faults(plan)), conversation)
    return answers


def polled(plan: str, seconds: float = 1.0) -> httpx.Response:
    """A structured interaction as a poll shows it some seconds after the create."""
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        name = (await client.post(URL, json=body(response_format=json_format(SCHEMA)))).json()["id"]
        clock.now += seconds
        return await client.get(f"{URL}/{name}")

    answer: httpx.Response = talk(EmulatorSettings(faults=load_faults(plan), clock=clock), conversation)
    return answer


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("429", 429, "QuotaFailure"),
        ("429_retry_info", 429, '"retryDelay":"5s"'),
        ("429_retry_after", 429, "rate_limit_exceeded"),
        ("429_daily", 429, "PerDay"),
        ("402", 402, "payment_required"),
        ("500", 500, "INTERNAL"),
        ("502_html", 502, "<html"),
        ("503", 503, "UNAVAILABLE"),
        ("504", 504, "DEADLINE_EXCEEDED"),
        ("array_envelope", 503, '[{"error"'),
        ("bad_key", 400, "API_KEY_INVALID"),
        ("429_spend_rate", 429, "spend-based rate limit"),
        ("429_spend_cap", 429, "spend cap"),
        ("key_revoked", 403, "PERMISSION_DENIED"),
        ("key_denied", 403, "permission_denied"),
        ("model_denied", 403, "permission_denied"),
    ],
)
def test_a_refusal_creates_and_bills_nothing(kind: str, status: int, word: str) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> httpx.Response:
        answer = await client.post(URL, json=body())
        assert (emulator.counts.billed, emulator.counts.refused) == (0, 1)
        return answer

    answer = talk(EmulatorSettings(faults=load_faults(kind)), conversation)
    assert answer.status_code == status
    assert word in answer.text


def test_retry_after_is_a_header() -> None:
    assert posts("429_retry_after=7s")[0].headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("kind", "error", "billed"),
    [
        ("refused_connection", httpx.ConnectError, 0),
        ("drop_before", httpx.RemoteProtocolError, 0),
        ("drop_after", httpx.RemoteProtocolError, 1),
        ("truncate", httpx.RemoteProtocolError, 1),
    ],
)
def test_a_broken_connection_is_an_error_of_httpx(kind: str, error: type[Exception], billed: int) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        with pytest.raises(error):
            await client.post(URL, json=body())
        assert emulator.counts.billed == billed

    talk(EmulatorSettings(faults=load_faults(kind)), conversation)


@pytest.mark.parametrize(
    ("kind", "status", "problem"),
    [
        ("truncated_200", 200, json.JSONDecodeError),
        ("truncated_id_200", 200, json.JSONDecodeError),
        ("garbage_200", 200, ValueError),
        ("no_id_200", 200, KeyError),
        ("500_created", 500, KeyError),
        ("504_created", 504, KeyError),
    ],
)
def test_a_spoiled_answer_hides_an_interaction_that_was_billed(
    kind: str, status: int, problem: type[Exception]
) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> None:
        answer = await client.post(URL, json=body())
        assert (answer.status_code, emulator.counts.billed) == (status, 1)
        with pytest.raises(problem):
            answer.json()["id"]

    talk(EmulatorSettings(faults=load_faults(kind)), conversation)


def test_a_bad_id_is_no_id() -> None:
    assert posts("bad_id_200")[0].json()["id"] == "../etc/passwd"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("failed", "failed"),
        ("failed_no_errors", "failed"),
        ("incomplete", "incomplete"),
        ("cancelled", "cancelled"),
        ("budget_exceeded", "budget_exceeded"),
        ("unknown_status", "paused_for_review"),
        ("no_steps", "completed"),
        ("no_usage", "completed"),
    ],
)
def test_an_outcome_is_the_one_that_was_asked_for(kind: str, status: str) -> None:
    interaction = polled(kind).json()
    assert interaction["status"] == status
    assert ("usage" in interaction) == (kind not in ("failed", "failed_no_errors", "cancelled", "no_usage"))
    assert ("errors" in interaction) == (kind == "failed")
    assert bool(interaction.get("steps")) == (kind not in ("failed", "failed_no_errors", "cancelled", "no_steps"))


@pytest.mark.parametrize(("seconds", "status"), [(1, "queued"), (61, "completed")])
def test_a_queued_interaction_waits(seconds: float, status: str) -> None:
    assert polled("queued", seconds).json()["status"] == status


def test_a_stuck_interaction_stays_in_progress() -> None:
    assert polled("stuck", 10**9).json()["status"] == "in_progress"


@pytest.mark.parametrize(("plan", "status"), [("404_after_create=5s", 200), ("404_after_create=inf", 404)])
def test_a_new_interaction_may_not_be_found(plan: str, status: int) -> None:
    assert polled(plan).status_code == 404
    assert polled(plan, 6).status_code == status


def test_a_poll_may_show_another_id() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[str]:
        name = (await client.post(URL, json=body())).json()["id"]
        return [name, (await client.get(f"{URL}/{name}")).json()["id"]]

    settings = EmulatorSettings(faults=load_faults("wrong_id"), clock=clock)
    asked, shown = talk(settings, conversation)
    assert asked != shown


def test_a_poll_may_show_the_labels_of_another_request() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[dict[str, str]]:
        made = (await client.post(URL, json=body(labels={"batchrun-intent": "br1-a"}))).json()
        return [made["labels"], (await client.get(f"{URL}/{made['id']}")).json()["labels"]]

    asked, shown = talk(EmulatorSettings(faults=load_faults("wrong_label"), clock=Clock()), conversation)
    assert asked == {"batchrun-intent": "br1-a"}
    assert shown == {"batchrun-intent": "not-br1-a"}


@pytest.mark.parametrize(("kind", "later"), [("key_revoked", 403), ("key_denied", 403), ("model_denied", 200)])
def test_a_refused_key_refuses_the_list_of_models_too_and_a_denied_model_does_not(kind: str, later: int) -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        refused = await client.post(URL, json=body())
        return [refused.status_code, (await client.get("/v1beta/models")).status_code]

    assert talk(EmulatorSettings(faults=load_faults(f"{kind}:#1")), conversation) == [403, later]


def test_an_answer_may_be_no_json() -> None:
    with pytest.raises(ValueError):
        json.loads(text_of(polled("invalid_json").json()))


def test_an_answer_may_break_its_schema() -> None:
    value = json.loads(text_of(polled("schema_violation").json()))
    assert not isinstance(value["name"], str)
    assert not isinstance(value["size"], int)


def test_an_answer_may_hold_a_lone_surrogate() -> None:
    answer = polled("lone_surrogate")
    assert rb"\ud800" in answer.content
    assert "\ud800" in json.loads(text_of(answer.json()))["name"]


def test_a_text_may_be_nested_too_deep() -> None:
    text = text_of(polled("deep_json").json())
    with pytest.raises(RecursionError):
        json.loads(text)


def test_a_whole_answer_may_be_nested_too_deep() -> None:
    with pytest.raises(RecursionError):
        polled("deep_answer").json()


def test_a_poll_of_an_answer_that_is_nested_too_deep_may_be_spoiled_too() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> bytes:
        name = (await client.post(URL, json=body())).json()["id"]
        return (await client.get(f"{URL}/{name}")).content

    rules = (Rule("deep_answer"), Rule("no_id_200", on="get"))
    document: bytes = talk(EmulatorSettings(faults=rules), conversation)
    assert b"[" * 100_000 in document
    assert b'"id":"v1_' not in document


def test_a_cancel_may_work_and_be_answered_with_499() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[Any]:
        name = (await client.post(URL, json=body())).json()["id"]
        answer = await client.post(f"{URL}/{name}/cancel")
        return [answer.status_code, (await client.get(f"{URL}/{name}")).json()["status"]]

    settings = EmulatorSettings(faults=load_faults("499_on_cancel,stuck"), clock=Clock())
    assert talk(settings, conversation) == [499, "cancelled"]


def test_every_kind_of_fault_is_tried() -> None:
    tried = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [kind for kind in FAULTS if f'"{kind}' not in tried] == []


def test_a_slow_answer_comes_late() -> None:
    rule = load_faults("slow=0.001")[0]
    assert rule.delay == 0.001
    assert posts("slow=0.001")[0].status_code == 200


def test_a_rate_hits_about_its_share_and_always_the_same_requests() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        return [(await client.post(URL, json=body(input=f"prompt {n}"))).status_code for n in range(400)]

    settings = EmulatorSettings(faults=load_faults("503:0.1"), seed=3)
    first = talk(settings, conversation)
    assert 20 <= first.count(503) <= 60
    assert talk(settings, conversation) == first


def test_the_nth_call_is_hit() -> None:
    assert [a.status_code for a in posts("503:#2,500:#4", 4)] == [200, 503, 200, 500]


def test_the_first_tries_of_a_request_are_hit() -> None:
    assert [a.status_code for a in posts("429:x2", 3)] == [429, 429, 200]


def test_gets_have_rules_of_their_own() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        name = (await client.post(URL, json=body())).json()["id"]
        return [(await client.get(f"{URL}/{name}")).status_code for _ in range(3)]

    assert talk(EmulatorSettings(faults=load_faults("get/503:x2")), conversation) == [503, 503, 200]


def test_a_label_or_a_part_of_the_prompt_chooses_requests() -> None:
    rules = (Rule("503", labels={"case": "refund"}), Rule("500", match="paws"))

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        requests = [body(input="x", labels={"case": "refund"}), body(), body(input="x")]
        return [(await client.post(URL, json=request)).status_code for request in requests]

    assert talk(EmulatorSettings(faults=rules), conversation) == [503, 500, 200]


def test_a_request_can_carry_its_own_fault() -> None:
    assert posts("", labels={"emulate-fault": "503"})[0].status_code == 503


def test_a_revoked_key_stays_revoked_for_every_call() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        name = (await client.post(URL, json=body())).json()["id"]
        statuses = [(await client.get(f"{URL}/{name}")).status_code]
        statuses.append((await client.post(URL, json=body())).status_code)
        statuses.append((await client.get(f"{URL}/{name}")).status_code)
        return statuses

    assert talk(EmulatorSettings(faults=load_faults("key_revoked:#2")), conversation) == [200, 403, 403]


def test_a_used_up_day_ends_at_midnight_in_california() -> None:
    clock = Clock(1_800_000_000.0)  # 2027-01-15 08:00:00 UTC is midnight there
    assert next_midnight(clock.now) == clock.now + 86_400

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        statuses = []
        for seconds in (0, 86_399, 1):
            clock.now += seconds
            statuses.append((await client.post(URL, json=body())).status_code)
        return statuses

    settings = EmulatorSettings(faults=load_faults("429_daily:#1"), clock=clock)
    assert talk(settings, conversation) == [429, 429, 200]


def test_a_plan_can_be_written_in_short() -> None:
    plan = load_faults("429:0.05, lost_answer:#3, stuck:x1, get/503, slow=2s:0.1, 404_after_create=inf, failed@case=a")
    assert plan == (
        Rule("429", rate=0.05),
        Rule("drop_after", nth=frozenset({3})),
        Rule("stuck", times=1),
        Rule("503", on="get"),
        Rule("slow", seconds=2.0, rate=0.1),
        Rule("404_after_create", seconds=math.inf),
        Rule("failed", labels={"case": "a"}),
    )


@pytest.mark.parametrize("name", ["plan.yaml", "plan.json"])
def test_a_plan_can_be_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rules = [{"kind": "503", "nth": [1, 2]}, {"kind": "slow", "seconds": "2m", "label": {"case": "a"}, "match": "x"}]
    path.write_text(json.dumps({"faults": rules}))
    expected = (Rule("503", nth=frozenset({1, 2})), Rule("slow", seconds=120.0, labels={"case": "a"}, match="x"))
    assert load_faults(str(path)) == load_faults(path) == expected


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("429_retry", "did you mean '429_retry_info'"),
        ("no such thing", "batchrun emulator faults"),
        ("503:often", "no rate"),
        ("503:2", "from 0 to 1"),
        ("503:#0", "counts from 1"),
        ("slow=later", "no duration"),
        ("put/503", "one of post, get"),
        ("get/stuck", "no place on 'get'"),
        ("503@case", "label"),
        ("missing.yaml", "cannot read"),
    ],
)
def test_a_wrong_plan_says_what_to_write(plan: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_faults(plan)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("7", "a list of rules"),
        ("[7]", "mapping"),
        ("[{kind: '503', when: 1}]", "unknown key 'when'"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_faults(path)
