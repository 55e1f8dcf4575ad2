"""Rate limits are enforced the way the service documents them: any that is exceeded is a 429 that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.emulator import Emulator, EmulatorSettings, load_faults, parse_latency
from batchrun.emulator.envelopes import Refusal
from batchrun.emulator.quota import Limits, Quotas, Use
from batchrun.errors import SpecError
from tests.emulator.in_process import URL, Clock, body, talk

#: 2027-01-15 00:00:00 in California.
MIDNIGHT = 1_800_000_000.0


def asked(settings: dict[str, Any], *requests: tuple[float, dict[str, Any]]) -> list[httpx.Response]:
    """The answers to creates, each some seconds after the one before."""
    clock = Clock(MIDNIGHT)

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[httpx.Response]:
        answers = []
        for seconds, fields in requests:
            clock.now += seconds
            answers.append(await client.post(URL, json=body(**fields)))
        return answers

    answers: list[httpx.Response] = talk(EmulatorSettings(clock=clock, **settings), conversation)
    return answers


def statuses(settings: dict[str, Any], *requests: tuple[float, dict[str, Any]]) -> list[int]:
    return [answer.status_code for answer in asked(settings, *requests)]


def violation(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]["details"][0]["violations"][0]
    return found


def test_requests_a_minute_are_limited_for_each_model() -> None:
    other = {"model": "gemini-2.5-pro"}
    assert statuses({"rpm": 2}, (0, {}), (0, {}), (0, {}), (0, other), (60, {})) == [200, 200, 429, 200, 200]


def test_a_refused_request_uses_up_nothing() -> None:
    wrong = {"service_tier": "cheap"}
    assert statuses({"rpm": 1}, (0, wrong), (0, {}), (0, {}), (60, {})) == [400, 200, 429, 200]


def test_input_tokens_a_minute_are_limited() -> None:
    long = {"input": "word " * 80}  # 100 tokens
    answers = asked({"tpm": 250}, (0, long), (10, long), (10, long), (40, long))
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert "InputTokensPerMinute" in violation(answers[2])["quotaId"]
    assert answers[2].json()["error"]["details"][2]["retryDelay"] == "40s"


def test_a_request_that_is_larger_than_the_limit_never_fits() -> None:
    assert statuses({"tpm": 10}, (0, {"input": "word " * 80}), (600, {"input": "word " * 80})) == [429, 429]


def test_requests_a_day_are_limited_until_midnight_in_california() -> None:
    answers = asked({"rpd": 2}, (0, {}), (3600, {}), (3600, {}), (79_199, {}), (1, {}))
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 200]
    assert "PerDay" in violation(answers[2])["quotaId"]
    assert "RetryInfo" not in answers[2].text


def test_a_restart_does_not_begin_a_new_day(tmp_path: Path) -> None:
    settings = {"rpd": 2, "state": tmp_path / "state.db"}
    assert statuses(settings, (0, {}), (60, {})) == [200, 200]
    assert statuses(settings, (60, {}), (60, {"model": "gemini-3.5-pro"})) == [429, 200]
    assert statuses(settings, (86_400, {})) == [200]


def test_background_interactions_in_flight_are_limited() -> None:
    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        first = await client.post(URL, json=body(agent="deep-research-pro-preview-12-2025", model=None))
        answers = [first, await client.post(URL, json=body())]
        answers.append(await client.post(f"{URL}/{first.json()['id']}/cancel"))
        answers.append(await client.post(URL, json=body()))
        return [answer.status_code for answer in answers]

    settings = EmulatorSettings(in_flight=1, clock=Clock(), faults=load_faults("stuck"))
    assert talk(settings, conversation) == [200, 429, 200, 200]


def test_a_deleted_interaction_is_in_flight_until_its_end() -> None:
    clock = Clock()

    async def conversation(client: httpx.AsyncClient, emulator: Emulator) -> list[int]:
        first = await client.post(URL, json=body())
        answers = [await client.delete(f"{URL}/{first.json()['id']}"), await client.post(URL, json=body())]
        clock.now += 20
        answers.append(await client.post(URL, json=body()))
        return [answer.status_code for answer in answers]

    settings = EmulatorSettings(in_flight=1, clock=clock, latency=parse_latency("20s"))
    assert talk(settings, conversation) == [200, 429, 200]


def test_an_interaction_that_has_ended_is_no_longer_in_flight() -> None:
    settings = {"in_flight": 1, "faults": load_faults("queued=10s")}
    assert statuses(settings, (0, {}), (9, {}), (1, {})) == [200, 429, 200]


def test_images_a_minute_are_limited() -> None:
    quotas = Quotas(lambda model: Limits(ipm=2), None)
    quotas.take(0.0, "gemini-3-pro-image", Use("a", 10, 2, None))
    quotas.take(1.0, "gemini-3-pro-image", Use("b", 10, 0, None))
    with pytest.raises(Refusal) as refused:
        quotas.take(2.0, "gemini-3-pro-image", Use("c", 10, 1, None))
    assert b"ImagesPerMinute" in refused.value.answer.body
    quotas.take(60.0, "gemini-3-pro-image", Use("c", 10, 1, None))


def test_a_tier_brings_the_limits_that_were_published_for_it() -> None:
    free = EmulatorSettings(tier="free")
    assert free.limits_of("gemini-2.5-pro") == Limits(2, 125_000, 50)
    assert free.limits_of("gemini-3.5-flash-lite") == Limits(15, 250_000, 1_000)
    assert EmulatorSettings(tier="3").limits_of("gemini-3.5-flash") == Limits(10_000, 8_000_000, None)
    assert EmulatorSettings(tier="1").limits_of("gemini-2.5-pro-preview-tts") == Limits(10, 10_000, 50)
    assert statuses({"tier": "free"}, (0, {"model": "gemini-3.1-pro-preview"})) == [429]


def test_a_limit_that_is_set_goes_before_the_tiers() -> None:
    assert EmulatorSettings(tier="free", rpm=7).limits_of("gemini-2.5-pro") == Limits(7, 125_000, 50)


def test_a_tier_that_does_not_exist_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="choose one of free, 1, 2, 3"):
        Emulator(EmulatorSettings(tier="gold"))


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 60)), max_size=60))
def test_no_minute_holds_more_than_was_allowed(requests: list[tuple[float, int]]) -> None:
    quotas, now = Quotas(lambda model: Limits(rpm=5, tpm=100), None), 0.0
    taken: list[tuple[float, int]] = []
    for pause, tokens in requests:
        now += pause
        try:
            quotas.check(now, "m", background=True)
            quotas.take(now, "m", Use("i", tokens, 0, None))
        except Refusal:
            continue
        taken.append((now, tokens))
    for start, _ in taken:
        minute = [tokens for at, tokens in taken if start <= at < start + 59.7]
        assert len(minute) <= 5
        assert sum(minute) <= 100
