"""What usage costs: worked examples in dollars, and what is not known stays unknown."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.cli.bills import cost_line
from batchrun.errors import SpecError
from batchrun.prices.bill import Cost
from batchrun.prices.table import Prices, load_prices
from tests.emulator.in_process import finished

PRICES = load_prices()
DAY = date(2026, 11, 22)
FLASH = "gemini-3.5-flash"


def usage(given: int = 0, answered: int = 0, thoughts: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"total_input_tokens": given, "total_output_tokens": answered, "total_thought_tokens": thoughts}
    return {"total_tokens": sum(counts.values()), **counts, **more}


def split(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokens": count} for modality, count in tokens.items()]


def cost(model: str, used: dict[str, Any], tier: str | None = "standard", when: date = DAY, **made: int) -> Cost:
    found = PRICES.cost_of(model, tier, used, when, made)
    assert found is not None
    return found


def total(*args: Any, **more: Any) -> str:
    found = cost(*args, **more)
    assert found.complete, found.unpriced
    return f"{found.total.normalize():f}"


# -- text ------------------------------------------------------------------------------------------------------------


def test_input_and_output_have_their_prices() -> None:
    assert total(FLASH, usage(1_000_000, 1_000_000)) == "10.5"  # 1.50 + 9.00
    assert total("models/gemini-3.5-flash", usage(1000, 500)) == "0.006"  # 0.0015 + 0.0045


def test_thoughts_are_billed_as_output() -> None:
    found = cost(FLASH, usage(7, 20, 22))
    assert found.parts["thoughts"] == Decimal("0.000198")  # 22 x 9.00 / 1M
    assert found.output == Decimal("0.000378")  # (20 + 22) x 9.00 / 1M
    assert found.total == Decimal("0.0003885")


def test_what_is_cached_is_a_part_of_the_input_at_a_price_of_its_own() -> None:
    found = cost(FLASH, usage(10_000, 0, total_cached_tokens=8_000))
    assert (found.input, found.cached) == (Decimal("0.003"), Decimal("0.0012"))  # 2,000 x 1.50; 8,000 x 0.15


@pytest.mark.parametrize(
    ("tier", "dollars"), [(None, "10.5"), ("flex", "5.25"), ("deferred", "5.25"), ("priority", "18.9")]
)
def test_tiers_have_their_prices(tier: str | None, dollars: str) -> None:
    assert total(FLASH, usage(1_000_000, 1_000_000), tier) == dollars


def test_a_tier_that_is_not_told_is_assumed_to_be_the_standard_one() -> None:
    assert cost(FLASH, usage(1, 1), None).assumed == ("the standard tier",)
    assert cost(FLASH, usage(1, 1)).assumed == ()


@pytest.mark.parametrize(
    ("tokens", "dollars"), [(200_000, "0.412"), (200_001, "0.818004")]
)  # 0.2M x 2 + 1,000 x 12; 200,001 x 4 + 1,000 x 18
def test_long_prompts_cost_more_from_the_first_token(tokens: int, dollars: str) -> None:
    assert total("gemini-3.1-pro-preview", usage(tokens, 1000)) == dollars


@pytest.mark.parametrize(("when", "dollars"), [(date(2026, 12, 31), "4.5"), (date(2027, 1, 1), "9")])
@pytest.mark.parametrize("model", ["gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"])
def test_prices_change_on_their_day(model: str, when: date, dollars: str) -> None:
    assert total(model, usage(1_000_000, 1_000_000), when=when) == dollars


def test_a_price_that_rises_to_nobody_knows_what_is_unknown_from_then_on() -> None:
    used = usage(100, 100, output_tokens_by_modality=split(audio=100))
    lite = "gemini-3.8-flash-lite-tts"
    assert PRICES.cost_of(lite, "standard", used, date(2026, 12, 31)) is not None
    assert PRICES.cost_of(lite, "standard", used, date(2027, 1, 1)) is None


# -- media -----------------------------------------------------------------------------------------------------------


def test_sound_that_is_sent_has_its_price() -> None:
    used = usage(3_000_000, 0, input_tokens_by_modality=split(text=1_000_000, audio=2_000_000))
    found = cost("gemini-2.5-flash", used)
    assert found.parts == {"input_text": Decimal("0.3"), "input_audio": Decimal(2)}


def test_what_is_cached_is_taken_from_its_modality() -> None:
    sent = {"input_tokens_by_modality": split(text=1_000_000, audio=1_000_000)}
    cached = {"total_cached_tokens": 1_000_000, "cached_tokens_by_modality": split(audio=1_000_000)}
    found = cost("gemini-2.5-flash", usage(2_000_000, 0, **sent, **cached))
    assert found.parts == {"input_text": Decimal("0.3"), "cached": Decimal("0.03")}


def test_an_image_costs_its_tokens_and_the_text_beside_it_its_own() -> None:
    used = usage(10, 1170, 100, output_tokens_by_modality=split(text=50, image=1120))
    found = cost("gemini-3-pro-image", used)
    assert found.parts["output_image"] == Decimal("0.1344")  # 1,120 x 120 / 1M
    assert found.parts["output_text"] == Decimal("0.0006")
    assert found.parts["thoughts"] == Decimal("0.0012")


def test_images_are_priced_by_piece_where_no_tokens_are_told() -> None:
    used = {"total_input_tokens": 1000, "total_thought_tokens": 0}
    found = cost("gemini-3.1-flash-image", used, image=2)
    assert found.parts["images"] == Decimal("0.09")
    assert found.assumed == ("images of the smallest size",)
    assert cost("gemini-3.1-flash-image", used).unpriced == ("output tokens, which are not told",)


def test_speech_and_video_have_their_prices() -> None:
    assert total("gemini-3.8-flash-tts", usage(1000, 1000, output_tokens_by_modality=split(audio=1000))) == "0.0095"
    used = usage(0, 2_000_000, output_tokens_by_modality=split(text=1_000_000, video=1_000_000))
    assert total("gemini-omni-1.1-flash", used) == "26.5"


def test_a_song_costs_what_a_song_costs() -> None:
    assert total("lyria-3-clip-preview", usage(5, 900)) == "0.04"
    assert cost("lyria-3-pro-preview", usage(5, 900), audio=2).total == Decimal("0.16")
    assert cost("lyria-3.5", usage(5)).assumed == ("one song",)
    assert cost("lyria-3.5", usage(5), audio=0).total == 0


# -- tools and agents ------------------------------------------------------------------------------------------------


def queries(**counts: int) -> dict[str, Any]:
    return {"grounding_tool_count": [{"type": kind, "count": count} for kind, count in counts.items()]}


def test_searches_are_billed_by_query() -> None:
    assert cost(FLASH, usage(1, 1, **queries(google_search=3))).grounding == Decimal("0.042")
    old = cost("gemini-2.5-flash", usage(1, 1, **queries(google_search=2, google_maps=2)))
    assert old.grounding == Decimal("0.12")  # 2 x 0.035 + 2 x 0.025
    assert "no free allowance of google_search queries" in old.assumed


def test_what_tools_read_is_assumed_to_be_input() -> None:
    found = cost(FLASH, usage(100, 25, total_tool_use_tokens=50))
    assert found.parts["tool_use"] == Decimal("0.000075")
    assert found.assumed == ("what tools read at the price of text that is sent",)


def test_queries_without_a_price_are_named() -> None:
    found = cost(FLASH, usage(1, 1, **queries(retrieval=4)))
    assert (found.complete, found.unpriced, found.grounding) == (False, ("retrieval queries",), 0)


def test_a_research_has_the_price_of_its_kind() -> None:
    used = usage(250_000, 60_000, **queries(google_search=80))
    assert total("deep-research-preview-04-2026", used) == "4.02"  # 0.5 + 0.72 + 80 x 0.035
    assert total("deep-research-max-preview-04-2026", usage(900_000, 80_000)) == "2.76"
    cached = cost("deep-research-preview-04-2026", usage(250_000, 60_000, total_cached_tokens=150_000))
    assert cached.unpriced == ("cached tokens",)


# -- what is not known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", ["gemini-4-carbon", "antigravity-preview-09-2026", "gemini-flash-latest", "gemini-3.5-flash-x", ""]
)
def test_an_unknown_model_has_no_cost(model: str) -> None:
    assert PRICES.cost_of(model, "standard", usage(1, 1), DAY) is None


@pytest.mark.parametrize(
    "used", [None, {}, {"total_tokens": 9}, {"total_input_tokens": "9"}, {"total_input_tokens": -1}]
)
def test_an_unknown_input_has_no_cost(used: Any) -> None:
    assert PRICES.cost_of(FLASH, "standard", used, DAY) is None


@pytest.mark.parametrize(("model", "tier"), [(FLASH, "express"), ("gemini-3.1-flash-image", "priority")])
def test_an_unknown_tier_has_no_cost(model: str, tier: str) -> None:
    assert PRICES.cost_of(model, tier, usage(1, 1), DAY) is None


def test_counters_that_are_missing_are_named_and_never_nothing() -> None:
    found = cost(FLASH, {"total_input_tokens": 1000})
    assert not found.complete
    assert found.unpriced == ("output tokens, which are not told", "thought tokens, which are not told")
    assert found.total == Decimal("0.0015")


def test_thoughts_that_are_not_told_follow_from_the_sum() -> None:
    told = {"total_input_tokens": 7, "total_output_tokens": 20}
    assert cost(FLASH, {**told, "total_tokens": 49}).parts["thoughts"] == Decimal("0.000198")
    assert cost(FLASH, {**told, "total_tokens": 27}).complete
    assert not cost(FLASH, {**told, "total_tokens": 49, "total_tool_use_tokens": 22}).complete


def test_an_untold_modality_costs_at_least_what_the_cheapest_does() -> None:
    found = cost("gemini-2.5-flash", usage(1_000_000))
    assert found.total == Decimal("0.3")
    assert found.unpriced == ("the modality of input tokens, which is not told",)
    image = cost("gemini-3-pro-image", usage(0, 1_000_000))
    assert (image.total, image.complete) == (12, False)


def test_a_modality_without_a_price_is_named() -> None:
    spoken = cost("gemini-3.8-flash-tts", usage(0, 10, 5, output_tokens_by_modality=split(text=10)))
    assert spoken.unpriced == ("output text tokens", "thought tokens")


def test_the_cost_of_cached_tokens_of_a_tier_without_a_price_for_them_is_named() -> None:
    assert cost(FLASH, usage(100, total_cached_tokens=50), "flex").complete
    assert cost(FLASH, usage(100, total_cached_tokens=50), "priority").unpriced == ("cached tokens",)


COUNTS = st.none() | st.integers(-5, 10**7) | st.text(max_size=2) | st.booleans()
SPLITS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"modality": st.sampled_from(["text", "image", "AUDIO", "smell", 3]), "tokens": COUNTS}
    ),
    max_size=3,
)
FAMILIES = ("input", "output", "cached", "tool_use")
USAGES = st.fixed_dictionaries(
    {},
    optional={
        **{f"total_{name}tokens": COUNTS for name in ("", "input_", "output_", "thought_", "cached_", "tool_use_")},
        **{f"{name}_tokens_by_modality": SPLITS | COUNTS for name in FAMILIES},
        "grounding_tool_count": st.lists(st.fixed_dictionaries({"type": st.just("google_search"), "count": COUNTS})),
    },
)


@given(USAGES, st.sampled_from([model for price in PRICES.price for model in price.models]))
def test_no_usage_makes_the_bill_stumble(used: dict[str, Any], model: str) -> None:
    found = PRICES.cost_of(model, None, used, DAY)
    if found is not None:
        assert found.total == found.input + found.cached + found.output + found.grounding
        assert all(dollars >= 0 for dollars in found.parts.values())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [{"type": "google_search"}]},
        {"model": "gemini-3.1-flash-image"},
        {"model": "lyria-3-clip-preview"},
    ],
)
def test_what_the_emulator_bills_has_a_complete_cost(fields: dict[str, Any]) -> None:
    answer = finished(**fields)
    found = cost(answer["model"], answer["usage"], answer["service_tier"])
    assert found.complete, found.unpriced
    assert found.total > 0


# -- the table -------------------------------------------------------------------------------------------------------


def test_the_table_says_when_and_where_it_was_gathered() -> None:
    assert (PRICES.gathered, PRICES.source) == ("2026-10", "public price tables, October 2026")


def test_no_model_has_two_prices_on_one_day() -> None:
    for price in PRICES.price:
        for model in price.models:
            on_this_day = [p for p in PRICES.price if model in p.models and p.first <= price.first < p.until]
            assert on_this_day == [price]


def own(tmp_path: Path, text: str) -> Prices:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return load_prices(path)


def test_a_file_of_ones_own_goes_before_the_table_model_by_model(tmp_path: Path) -> None:
    text = 'gathered = "2027-03"\n[[price]]\nmodels = ["gemini-3.7-flash", "mine"]\ninput = 1\noutput = 2\n'
    prices = own(tmp_path, text)
    million = usage(1_000_000, 1_000_000)
    totals = {
        model: found.total
        for model in ("gemini-3.7-flash", "mine", "gemini-3.6-flash", FLASH)
        if (found := prices.cost_of(model, None, million, DAY))
    }
    assert totals == {"gemini-3.7-flash": 3, "mine": 3, "gemini-3.6-flash": Decimal("4.5"), FLASH: Decimal("10.5")}
    assert prices.gathered == "2027-03"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]]\nmodels = ['a']\ninput = -1\noutput = 1", "price.0.input.any"),
        ("[[price]]\nmodels = ['a']\ninput = nan\noutput = 1", "price.0.input.any"),
        ("[[price]]\nmodels = ['a']\noutptu = 1", "price.0.outptu"),
        ("[[price]]\nmodels = ['a']", "a price has an input and an output, or a song"),
        ("[[price]]\nmodels = []", "price.0.models"),
        ("gathered = ", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_it_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        own(tmp_path, text)
    assert said in str(caught.value)
    assert "prices.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_prices(tmp_path / "none.toml")


def test_a_sum_says_which_of_its_prices_only_a_third_party_lists() -> None:
    searched = usage(1_000, 500, grounding_tool_count=[{"type": "google_search", "count": 80}])
    sums = [cost_line([cost(model, searched)], emulated=False) for model in ("deep-research-preview-04-2026", FLASH)]
    said = "(google_search queries at a price that only a third party lists)"
    assert [said in line for line in sums] == [True, False]
    assert said not in cost_line([cost("deep-research-preview-04-2026", usage(1_000, 500))], emulated=False)
