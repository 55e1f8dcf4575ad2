"""The scoreboard's page keeps what it has and takes what is new."""

from __future__ import annotations

from tests.reliability.figures import Figure
from tests.reliability.page import BEGIN, END, updated

EMPTY = f"Before.\n{BEGIN}{END}\nAfter.\n"
KILLS = Figure("kills", "0 lost", "0 of 100", True, "by seed")
STARTS = Figure("starts", "one posts", "one of 8", True)


def test_figures_of_other_proofs_stay() -> None:
    page = updated(updated(EMPTY, [KILLS], "Monday, abc"), [STARTS], "Tuesday, def")
    assert "| kills | 0 lost | 0 of 100 | met | Monday, abc |" in page
    assert "| starts | one posts | one of 8 | met | Tuesday, def |" in page
    assert "- kills: by seed" in page


def test_a_figure_made_again_takes_the_place_of_the_old_one() -> None:
    again = Figure("kills", "0 lost", "1 of 100", False)
    page = updated(updated(EMPTY, [KILLS], "Monday, abc"), [again], "Tuesday, def")
    assert "| kills | 0 lost | 1 of 100 | missed | Tuesday, def |" in page
    assert "Monday" not in page
    assert "by seed" not in page


def test_a_note_made_again_takes_the_place_of_the_old_one_whatever_its_figure_is_called() -> None:
    page = updated(EMPTY, [Figure("daemon: slots lost: any", "0", "0", True, "old: by seed")], "Monday, abc")
    page = updated(page, [Figure("daemon: slots lost: any", "0", "0", True, "new: by hand")], "Tuesday, def")
    assert [line for line in page.splitlines() if line.startswith("- ")] == ["- daemon: slots lost: any: new: by hand"]


def test_the_page_around_the_scoreboard_is_left_alone() -> None:
    page = updated(updated(EMPTY, [KILLS], "Monday, abc"), [KILLS], "Monday, abc")
    assert page.startswith("Before.\n")
    assert page.endswith("\nAfter.\n")
    assert page == updated(EMPTY, [KILLS], "Monday, abc")
