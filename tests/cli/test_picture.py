"""What is drawn of a view, at every size and of whatever a row or a service says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from batchrun.cli.paper import Paper
from batchrun.cli.picture import picture
from batchrun.cli.region import Region
from batchrun.cli.wording import big, left_words, pace, progress_line, rough
from batchrun.rows import Outcome
from batchrun.views.estimate import Left
from batchrun.views.troubles import Trouble
from batchrun.views.view import Standing, State, Tokens, View, together

ENDED = {Outcome.SUCCEEDED: 1200, Outcome.FAILED: 30, Outcome.INVALID_OUTPUT: 4, Outcome.AMBIGUOUS: 2}
VIEW = View(
    "invoices", State.RUNNING, Standing(ENDED, in_flight=500, waiting=3264), 192.0, rows_a_second=6.2,
    posts_a_minute=588.0, rpm=600, tokens=Tokens(1_234_567, 345_678, 80_000), tokens_a_minute=95_000,
    charged=1.234, max_cost=5.0, left=Left(700, 900),
    troubles=(Trouble("timed_out", 30, "r17", "no answer within 600 s"), Trouble("api_error", 4, "r3", "Internal")),
    notices=("the service asked for a pause: 12s more, then one request to see: HTTP 429",),
    warnings=("WARNING: 3 interactions in flight past nine tenths of the 30 days that results are kept",),
)  # fmt: skip
STAGES = {f"stage-{n}": Standing({Outcome.SUCCEEDED: n, Outcome.SKIPPED: 1}, 2, 9) for n in range(12)}
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "[bold red]x[/bold red]", "[/]", "a\nb\r\nc\td", "漢字" * 200, "e\u0301" * 300,
    "z" + "\u0300" * 5000, "\u202eabc", "👨‍👩‍👧" * 90, "\ud800", "x" * 100_000, "", " ", ":smile:", "\\[bold]",
)  # fmt: skip
SIZES = [(width, height) for width in (1, 5, 30, 60, 100, 200) for height in (1, 3, 8, 23, 60)]


def drawn(view: View, width: int = 100, height: int = 40, encoding: str = "utf-8") -> list[str]:
    return [line.plain for line in picture(view, Paper(width, height, encoding))]


def test_a_run_at_100_columns() -> None:
    assert drawn(VIEW) == [
        "invoices · running · 3m 12s",
        "██████████▒▒▒▒░░░░░░░░░░░░░░░░░░░░░░░░░░  1,236 of 5,000 rows  24%  12m to 15m left",
        "1,200 succeeded · 30 failed · 4 invalid output · 2 ambiguous · 500 in flight · 3,264 to be sent",
        "6.2 rows/s · 588 of 600 POSTs/min · tokens: 1.23M in · 346k out · 80k thought · 95k tokens/min",
        "$1.23 of $5.00 charged",
        "  30  timed_out  row r17: no answer within 600 s",
        "   4  api_error  row r3: Internal",
        "the service asked for a pause: 12s more, then one request to see: HTTP 429",
        "WARNING: 3 interactions in flight past nine tenths of the 30 days that results are kept",
    ]


def test_a_run_at_30_columns() -> None:
    assert drawn(VIEW, 30)[:12] == [
        "invoices · running · 3m 12s",
        "███████▒▒▒░░░░░░░░░░░░░░░░░░░░",
        "1,236 of 5,000 rows · 24%",
        "12m to 15m left",
        "1,200 succeeded · 30 failed",
        "4 invalid output · 2 ambiguous",
        "500 in flight",
        "3,264 to be sent",
        "6.2 rows/s",
        "588 of 600 POSTs/min",
        "tokens: 1.23M in · 346k out",
        "80k thought · 95k tokens/min",
    ]


def test_a_pipeline_has_a_line_for_each_stage_and_says_that_rows_may_follow() -> None:
    stages = {
        "extract": Standing({Outcome.SUCCEEDED: 60, Outcome.FAILED: 2}, 30, 8),
        "sum up": Standing({Outcome.SUCCEEDED: 10, Outcome.SKIPPED: 2}, 1, 0),
    }
    view = replace(VIEW, standing=together(stages), stages=stages, more=True)
    lines = drawn(view, 80)
    assert "74 of 113 rows so far  65%  at least 12m left" in lines[1]
    assert "  extract  ██████▒▒▒░  62 of 100, 2 failed, 30 in flight" in lines
    assert "  sum up   █████████▒  12 of 13, 2 skipped, 1 in flight" in lines
    assert "  extract  62 of 100, 2 failed, 3…"[:30] in [line[:30] for line in drawn(view, 34, 60)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_picture_never_has_more_lines_or_columns_than_there_are(width: int, height: int, encoding: str) -> None:
    for said in ("short", *HOSTILE):
        troubles = (Trouble(said, 7, said, said), *VIEW.troubles)
        view = replace(VIEW, job=said, stages={said: Standing(), **STAGES}, troubles=troubles, notices=(said,) * 9)
        lines = drawn(view, width, height, encoding)
        assert 1 <= len(lines) <= height
        assert all(cell_len(line) <= width for line in lines)
        assert all(line.isprintable() or "\u200d" in line for line in lines)
        "".join(lines).encode(encoding)


@pytest.mark.parametrize("said", HOSTILE)
def test_what_rows_say_is_shown_as_text(said: str) -> None:
    """No markup, no emoji codes, no escapes of the terminal's; `rich` must not make anything of it."""
    view = replace(VIEW, troubles=(Trouble("kind", 1, "key", said),), stages={})
    (line,) = (line for line in drawn(view, 10_000) if "row key: " in line)
    assert "\x1b" not in line
    if said.isprintable() and len(said) < 100:
        assert line.endswith(f"row key: {said.strip()}")


def test_in_a_low_window_stages_give_way_and_that_is_said() -> None:
    view = replace(VIEW, stages=STAGES, warnings=())
    lines = drawn(view, 100, 10)
    assert len(lines) == 10
    assert any("and 9 more stages" in line for line in lines)
    assert lines[-1].startswith("the service asked for a pause")


def test_with_little_room_the_state_stays() -> None:
    assert drawn(VIEW, 100, 1) == ["invoices · running · 3m 12s"]


def test_signs_are_ascii_where_the_terminal_has_no_others() -> None:
    lines = drawn(replace(VIEW, job="über", stages=STAGES), encoding="latin-1")
    assert lines[0] == "über - running - 3m 12s"
    assert lines[1].startswith("##########~~~~....")
    assert "".join(drawn(replace(VIEW, job="über"), encoding="ascii")).isascii()


def test_a_run_of_which_nothing_is_known_is_drawn() -> None:
    assert drawn(View("job", State.NEW, Standing())) == ["job · not begun"]


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, ""), (Left(700, 900), "12m to 15m left"), (Left(600, 660), "about 10m left"),
        (Left(600, None), "at least 10m left"), (Left(1, 3), "about 2s left"), (Left(7000, 90000), "2h to 25h left"),
    ],
)  # fmt: skip
def test_what_is_left_is_told_as_a_range_unless_it_is_a_narrow_one(left: Left | None, said: str) -> None:
    assert left_words(replace(VIEW, left=left)) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"),
        (59.6, "60s"),
        (90, "2m"),
        (3599, "60m"),
        (5400, "1h 30m"),
        (7200, "2h"),
        (86400, "24h"),
        (190000, "2d 5h"),
    ],
)
def test_a_rough_time_has_no_more_figures_than_it_deserves(seconds: float, said: str) -> None:
    assert rough(seconds) == said


def test_counts_and_rates_are_figures_to_think_in() -> None:
    assert [big(n) for n in (0, 950, 1000, 12_345, 999_499, 1_234_567, 2.5e9)] == [
        "0", "950", "1k", "12.3k", "999k", "1.23M", "2.5G",
    ]  # fmt: skip
    assert [pace(n) for n in (1234.5, 6.2, 0.2, 0.001)] == [
        "1,234.5 rows/s",
        "6.2 rows/s",
        "12.0 rows/min",
        "3.6 rows/h",
    ]


def test_a_plain_line_says_the_same() -> None:
    assert progress_line(VIEW).startswith(
        "1,236 of 5,000 done · 30 failed · 4 invalid output · 2 ambiguous · 500 in flight"
    )
    assert progress_line(replace(VIEW, state=State.PAUSED)).startswith("paused · ")


# -- the region --------------------------------------------------------------------------------------------------------


def test_a_frame_erases_as_many_rows_as_the_last_one_takes_now() -> None:
    region = Region()
    assert region.frame(["a", "b"], [1, 1], 80).count("\x1b[A") == 0
    assert region.frame(["a" * 70], [70], 80).count("\x1b[A") == 1
    assert region.frame(["a"], [1], 30).count("\x1b[A") == 2, "the terminal has wrapped it since"


def test_lines_wrap_above_the_region_and_not_in_it() -> None:
    text = Region().frame(["drawn"], [5], 80, above=["said"])
    assert text.index("said\r\n") < text.index("\x1b[?7l") < text.index("drawn") < text.index("\x1b[?7h")


def test_what_is_left_alone_stays() -> None:
    region = Region()
    region.frame(["a", "b"], [1, 1], 80)
    assert region.leave() == "\r\n"
    assert region.leave() == ""
    assert "\x1b[A" not in region.frame(["a"], [1], 80)
