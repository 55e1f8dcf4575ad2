"""The jobs of stages in `jobs/` do what their comments say; real problems are graded exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.example_jobs import Done, input_keys, run_job
from tests.spec.corpus import corpus

SAMPLES = Path(__file__).parent.parent / "sample_data"
#: Of the problems of the corpus, every seventh is answered wrongly.
EVERY, WRONG = 7, "#### 987654321"

Run = Callable[[str], Done]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a job, each only once."""

    @cache
    def done(name: str) -> Done:
        found = run_job(name, tmp_path_factory.mktemp(name), None)
        assert found.exit_code == 0, found.said
        return found

    return done


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# -- contracts -------------------------------------------------------------------------------------------------------


def contracts() -> list[dict[str, Any]]:
    return rows(SAMPLES / "contracts.truth.jsonl")


def kinds() -> dict[str, str]:
    """The kind of each page, by its key."""
    return {f"{truth['id']}/{page}": kind for truth in contracts() for page, kind in enumerate(truth["kinds"])}


def test_a_contract_is_split_into_its_pages_and_each_is_told_what_it_is(run: Run) -> None:
    done = run("contracts_pipeline")
    assert {key: answer["part"] for key, answer in done.stage("classify").items()} == kinds()


@pytest.mark.parametrize("kind", ["cover", "terms", "prices"])
def test_a_page_is_read_as_what_it_is_and_as_nothing_else(run: Run, kind: str) -> None:
    read = run("contracts_pipeline").stage(kind)
    assert {key: answer is not None for key, answer in read.items()} == {key: kind == of for key, of in kinds().items()}


def test_each_stage_asks_its_model_for_one_page_alone(run: Run) -> None:
    done = run("contracts_pipeline")
    for stage, model in (("classify", "gemini-3.5-flash-lite"), ("check", "gemini-3.1-pro-preview")):
        (body,) = done.requests(f"{stage}:service-lift/3")
        assert body["model"] == model
        assert body["input"][0]["processing"]["page_options"] == {"start_page": 4, "end_page": 4}


def test_the_check_is_shown_what_was_read_and_skips_pages_of_which_nothing_was(run: Run) -> None:
    done = run("contracts_pipeline")
    (body,) = done.requests("check:lease-van/0")
    assert '"supplier": "Polder Vans BV"' in body["input"][1]["text"]
    assert [key for key, answer in done.stage("check").items() if answer is None] == [
        key for key, kind in kinds().items() if kind == "signatures"
    ]


def test_the_record_of_a_contract_is_what_its_pages_say_and_what_the_check_doubts(run: Run) -> None:
    done = run("contracts_pipeline")
    records = done.stage("contract")
    doubted = {key: record.pop("doubts") for key, record in records.items()}
    assert records == {
        truth["id"]: {field: value for field, value in truth.items() if field not in ("id", "kinds")}
        for truth in contracts()
    }
    for key, check in done.stage("check").items():
        contract, _, page = key.partition("/")
        there = int(page) + 1 in [doubt["page"] for doubt in doubted[contract]]
        assert there == (check is not None and not check["correct"])


# -- grades ----------------------------------------------------------------------------------------------------------


def accuracy(where: Path, problems: Path, replies: Path) -> dict[str, Any]:
    """What the grading job says of these problems with these answers."""
    options = ("--set", f"input.path={problems}", "--set", "poll.rpm=1000000", "--replies", f"script:{replies}")
    done = run_job("grade_gsm8k", where, None, *options)
    assert done.exit_code == 0, done.said
    assert len(done.stage("grade")) == len(done.bodies) == len(rows(problems))
    found: dict[str, Any] = done.stage("accuracy")["all"]
    return found


def test_scripted_answers_to_the_samples_have_the_accuracy_that_was_written_into_them(tmp_path: Path) -> None:
    found = accuracy(tmp_path, SAMPLES / "word_problems.jsonl", SAMPLES / "word_problems.replies.jsonl")
    assert found == {"problems": 12, "right": 9, "accuracy": 0.75}


def test_answers_that_are_all_the_truth_are_all_right(tmp_path: Path) -> None:
    problems = SAMPLES / "word_problems.jsonl"
    replies = scripted(tmp_path / "replies.jsonl", rows(problems), wrong=())
    assert accuracy(tmp_path / "run", problems, replies) == {"problems": 12, "right": 12, "accuracy": 1.0}


def test_1319_real_problems_have_exactly_the_accuracy_that_their_answers_were_given(tmp_path: Path) -> None:
    problems = corpus("gsm8k/test.jsonl")
    wrong = range(0, 1319, EVERY)
    replies = scripted(tmp_path / "replies.jsonl", rows(problems), wrong)
    right = 1319 - len(wrong)
    assert accuracy(tmp_path / "run", problems, replies) == {
        "problems": 1319,
        "right": right,
        "accuracy": right / 1319,
    }


def scripted(path: Path, problems: list[dict[str, Any]], wrong: Iterable[int]) -> Path:
    """A script in which each problem is answered as its row does, but for those at the places that are `wrong`."""
    lines = [
        {
            "when": {"contains": problem["question"]},
            "text": wrongly(problem["answer"]) if at in wrong else problem["answer"],
        }
        for at, problem in enumerate(problems)
    ]
    lines.append({"refuse": "no such problem"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def wrongly(answer: str) -> str:
    return answer.partition("####")[0] + WRONG


# -- research --------------------------------------------------------------------------------------------------------


def test_each_question_of_a_plan_is_looked_up_on_its_own(run: Run) -> None:
    done = run("research_pipeline")
    asked = {key: plan["questions"] for key, plan in done.stage("plan").items()}
    assert done.stage("question") == asked
    for brief, questions in asked.items():
        bodies = [done.requests(f"answer:{brief}/{number}")[0] for number in range(len(questions))]
        assert [body["input"] for body in bodies] == questions
        assert all(body["tools"] == [{"type": "google_search"}] for body in bodies)


def test_a_brief_gets_one_report_made_of_all_its_answers_in_their_order(run: Run) -> None:
    done = run("research_pipeline")
    answers = done.stage("answer")
    assert list(done.stage("report")) == input_keys("research_pipeline")
    for brief in input_keys("research_pipeline"):
        (body,) = done.requests(f"report:{brief}")
        own = [body["input"].find(answer) for key, answer in answers.items() if key.startswith(f"{brief}/")]
        assert len(own) >= 2
        assert own == sorted(own)
        assert -1 not in own
        assert not any(answer in body["input"] for key, answer in answers.items() if not key.startswith(f"{brief}/"))


def test_a_report_is_in_the_language_of_its_brief(run: Run) -> None:
    (body,) = run("research_pipeline").requests("report:زعفران")
    assert body["input"].startswith("Write a report in Persian, for یک تعاونی کشاورزی")
