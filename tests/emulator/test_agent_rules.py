"""What an agent may be given: media, tools, an environment, settings of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.in_process import finished, post
from tests.emulator.test_agents import ANTIGRAVITY, FIBONACCI


@pytest.mark.parametrize("kind", ["audio", "video", "document"])
def test_the_sandbox_agent_reads_text_and_images_only(kind: str) -> None:
    mime = {"audio": "audio/mp3", "video": "video/mp4", "document": "application/pdf"}[kind]
    refused = post(**{**ANTIGRAVITY, "input": {"type": kind, "uri": "https://example.com/it", "mime_type": mime}})
    assert (refused.status_code, kind in refused.json()["error"]["message"]) == (400, True)
    image = {"type": "image", "uri": "https://example.com/it", "mime_type": "image/png"}
    assert post(**{**ANTIGRAVITY, "input": image}).status_code == 200


def test_the_sandbox_agent_takes_results_only_for_a_stored_call() -> None:
    result = [{"type": "function_result", "call_id": "c", "result": "x"}]
    answer = post(**{**ANTIGRAVITY, "input": result})
    assert (answer.status_code, "previous_interaction_id" in answer.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("tools", "languages"),
    [
        (None, ["python", "bash"]),
        ([{"type": "code_execution"}], ["python", "bash"]),
        ([{"type": "bash"}], ["bash"]),
        ([{"type": "bash"}, {"type": "filesystem"}], ["bash", "bash"]),
        ([{"type": "filesystem"}], ["python", "bash", "bash"]),
    ],
)
def test_the_sandbox_agent_works_with_what_it_is_given(tools: Any, languages: list[str]) -> None:
    steps = finished(**{**ANTIGRAVITY, "input": FIBONACCI}, tools=tools)["steps"]
    called = [step for step in steps if step["type"] == "code_execution_call"]
    assert [step["arguments"]["language"] for step in called] == languages


@pytest.mark.parametrize(
    "environment",
    [
        {"network": "open"},
        {"network": 5},
        {"network": {"allowlist": "all"}},
        {"network": {"allowlist": [{"credential": "c"}]}},
        {"env": {"NAME": 5}},
        {"env": {"NAME": {"secret": "x"}}},
    ],
)
def test_an_environment_that_cannot_be_is_refused(environment: dict[str, Any]) -> None:
    assert post(**{**ANTIGRAVITY, "environment": {"type": "remote", **environment}}).status_code == 400


def test_an_environment_has_variables_and_rules_for_its_network() -> None:
    allowed = {"allowlist": [{"domain": "example.com", "credential": "c", "transform": {"a": "b"}}]}
    environment = {"type": "remote", "env": {"A": "x", "B": {"credential": "c"}}, "network": allowed}
    assert post(**{**ANTIGRAVITY, "environment": environment}).status_code == 200


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"find_request": {"mode": "scan", "source_files": [{"path": "a.py", "content": "x"}]}}, 200),
        ({"session_config": {"max_rounds": 3}, "fix_request": {"finding_id": "f"}}, 200),
        ({"find_request": {"mode": "guess"}}, 400),
        ({"find_request": {"files": []}}, 400),
        ({"session_config": {"rounds": 3}}, 400),
    ],
)
def test_a_code_mender_is_told_what_to_do(config: dict[str, Any], status: int) -> None:
    asked = {"model": None, "agent": "code-mender", "input": "Look", "agent_config": {"type": "code-mender", **config}}
    assert post(**asked).status_code == status
