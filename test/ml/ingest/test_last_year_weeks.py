"""The week of last year that is alike, for holidays that move, with names and without."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from shelfcast.ingest.last_year_weeks import weeks_back

WEEKS = 130
NONE = frozenset[str]()


def backs(holidays: Mapping[int, str], unknown_from: int = WEEKS) -> list[int]:
    """Returns the weeks back of each week; ``holidays`` has the name, or an empty text, by week number."""
    flags = np.array([float(week in holidays) for week in range(WEEKS)])
    flags[unknown_from:] = np.nan
    names = [frozenset({holidays[week]}) if holidays.get(week) else NONE for week in range(WEEKS)]
    return weeks_back(flags, names).astype(int).tolist()


def test_a_feast_that_moves_looks_at_itself_a_year_ago() -> None:
    # Eleven days a year: 50 weeks later.
    found = backs({46: "", 96: ""})
    assert found[96] == 50
    # The weeks beside it move with it.
    assert (found[95], found[97]) == (50, 50)
    # The week that a year ago had the feast is an ordinary one, and looks at an ordinary one.
    assert found[98] != 52
    assert 98 - found[98] not in (45, 46, 47)
    # Everything else is a year ago.
    assert set(found) - {found[98]} == {52, 50, found[97], found[99]}
    assert found[110] == 52


def test_a_holiday_a_week_late_looks_53_weeks_back_and_the_week_before_it_is_ordinary() -> None:
    found = backs({30: "Labor Day", 83: "Labor Day"})
    assert found[83] == 53
    assert found[82] == 53
    assert 30 not in {week - back for week, back in enumerate(found) if week != 83}


def test_names_decide_between_holidays_that_pass_each_other() -> None:
    # One stays in its week, the other passes it.
    holidays = {20: "moving", 22: "fixed", 74: "fixed", 75: "moving"}
    found = backs(holidays)
    assert (found[74], found[75]) == (52, 55)
    # Without names the nearest one is taken, and each is taken in its order.
    assert backs(dict.fromkeys(holidays, ""))[74] == 52


def test_a_feast_of_several_weeks_is_matched_week_by_week() -> None:
    found = backs(dict.fromkeys([*range(40, 44), *range(90, 95)], ""))
    assert found[90:94] == [50, 50, 50, 50]
    # It is a week longer than last year's, whose last week counts twice.
    assert 94 - found[94] == 43


@pytest.mark.parametrize("week", [96, 100])
def test_a_holiday_without_one_last_year_looks_52_weeks_back(week: int) -> None:
    assert backs({week: "new"})[week] == 52
    assert backs({week: ""})[week] == 52


def test_the_other_kind_of_weeks_and_unknown_ones_look_52_weeks_back() -> None:
    assert set(backs({})) == {52}
    found = backs({46: ""}, unknown_from=90)
    assert found[98] == 52  # nobody knows whether it is the feast


def test_two_holidays_in_a_week_look_at_the_week_with_both() -> None:
    flags = np.zeros(WEEKS)
    names = [NONE] * WEEKS
    for week, found in {20: {"a"}, 22: {"a", "b"}, 73: {"a", "b"}}.items():
        flags[week], names[week] = 1, frozenset(found)
    assert weeks_back(flags, names)[73] == 51


def test_a_53rd_week_changes_nothing() -> None:
    """Weeks are counted in days: a fiscal year of 52 or 53 weeks has no part in it."""
    found = backs({51: "Christmas", 104: "Christmas"})
    assert found[104] == 53
    assert backs({51: "Christmas", 103: "Christmas"})[103] == 52
