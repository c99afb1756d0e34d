"""A data set's own holiday flags become covariates that are known in advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shelfcast import calendar
from shelfcast.features.definitions import FeatureSet
from shelfcast.ingest.generator import generate
from shelfcast.ingest.holiday_checks import check_holidays
from shelfcast.ingest.holiday_covariates import with_holidays
from shelfcast.ingest.holiday_rows import COMPLETE, NEW_STORE, LoadHolidays, NamedDays
from shelfcast.ingest.quality import Check
from shelfcast.snapshot import COVARIATES, EXTRAS, IDS, SALES, STORE_WEEKS, covariates_of, empty_tables

FIRST = date(2024, 1, 5)
Flag = Callable[[int, int], bool]


def week(number: int) -> date:
    return FIRST + timedelta(weeks=number)


def load(weeks: Sequence[int], flag: Flag, stores: Sequence[int] = (1, 2)) -> dict[str, pa.Table]:
    """Returns the tables of a load whose flags are by store and number of the week."""
    keys = [(store, number) for store in stores for number in weeks]
    columns = {
        "store": [store for store, _ in keys],
        "week": [week(number) for _, number in keys],
        "is_holiday": [flag(*key) for key in keys],
    }
    rows = pa.table({n: columns.get(n, pa.nulls(len(keys), pa.float64())) for n in STORE_WEEKS.schema.names})
    sales = {"store": columns["store"], "dept": [1] * len(keys), "week": columns["week"]}
    sales |= {"weekly_sales": [1.0] * len(keys), "is_holiday": columns["is_holiday"]}
    tables = empty_tables()
    tables[STORE_WEEKS.name] = rows.cast(STORE_WEEKS.schema)
    tables["sales"] = pa.table(sales).cast(tables["sales"].schema)
    return tables


def american(store: int, number: int) -> bool:  # noqa: ARG001
    return calendar.is_holiday(week(number))


def feast(store: int, number: int) -> bool:  # noqa: ARG001
    return number in (12, 62)


def values(tables: dict[str, pa.Table], name: str, store: int = 1) -> dict[int, float | None]:
    """Returns the covariate's values by number of the week."""
    rows = tables[EXTRAS.name].filter((pc.field("name") == name) & (pc.field("store") == store))
    return {(row["week"] - FIRST).days // 7: row["value"] for row in rows.to_pylist()}


def merged(*loads: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Returns the newest row of each key, as a snapshot has it."""
    snapshot = {}
    for raw in (SALES, STORE_WEEKS, COVARIATES, EXTRAS):
        by_key = {
            tuple(row[k] for k in raw.key): row for tables in loads for row in tables[raw.name].to_pylist()
        }
        snapshot[raw.name] = pa.Table.from_pylist(list(by_key.values()), raw.schema)
    return empty_tables() | snapshot


def checked(
    tables: dict[str, pa.Table], load: LoadHolidays, known: dict[str, pa.Table] | None = None
) -> dict[str, Check]:
    """Returns the checks of holidays by rule."""
    return {check.rule: check for check in check_holidays(tables, known or empty_tables(), load)}


def test_flags_of_the_calendar_change_nothing() -> None:
    tables = load(range(120), american)
    assert with_holidays(tables, empty_tables(), LoadHolidays(True)) == tables
    # Without own flags these are the calendar's, whatever they are.
    other = load(range(120), feast)
    assert with_holidays(other, empty_tables(), LoadHolidays(False)) == other
    generated = generate(3, 2, 104, 7).tables
    assert with_holidays(generated, empty_tables(), LoadHolidays(True)) == generated


def test_own_flags_become_features_that_are_known_in_advance() -> None:
    tables = with_holidays(load(range(90), feast), empty_tables(), LoadHolidays(True))
    assert [n for n, flag in values(tables, "holiday").items() if flag] == [12, 62]
    assert values(tables, "holiday_weeks_back")[62] == 50
    until, since = values(tables, "holiday_days_until"), values(tables, "holiday_days_since")
    assert [until[n] for n in range(57, 63)] == [28, 28, 21, 14, 7, 28]
    assert [since[n] for n in range(61, 67)] == [28, 0, 7, 14, 21, 28]
    # What follows the last flag is unknown, so the next holiday is, too.
    assert [until[n] for n in (85, 86, 89)] == [28, None, None]
    features = FeatureSet(8, tuple(covariates_of(tables[COVARIATES.name])))
    assert "holiday_h8" in features.view_columns["store_externals"]
    assert "last_year_alike_h8" in features.view_columns["sales_history"]


def test_the_report_tells_that_american_holidays_count_because_nobody_said_which() -> None:
    tables = load(range(60), american)
    assert checked(tables, LoadHolidays(True))["holiday-source"].rows == 0
    assert "--holidays DE" in checked(tables, LoadHolidays(False))["holiday-source"].examples[0]


def test_a_flag_without_holidays_at_all_is_an_own_one() -> None:
    tables = with_holidays(load(range(60), lambda *_: False), empty_tables(), LoadHolidays(True))
    assert set(values(tables, "holiday").values()) == {0}


def test_stores_have_their_own_holidays() -> None:
    tables = load(range(60), lambda store, number: number == 10 + store)
    tables = with_holidays(tables, empty_tables(), LoadHolidays(True))
    for store in (1, 2):
        assert [n for n, flag in values(tables, "holiday", store).items() if flag] == [10 + store]


def test_a_later_load_adds_weeks_and_corrects_flags() -> None:
    before = with_holidays(load(range(60), feast), empty_tables(), LoadHolidays(True))
    known = merged(before)
    # The new week and the flags of coming weeks; week 12 was no holiday after all.
    after = with_holidays(load([12, *range(60, 75)], lambda _, n: n == 62), known, LoadHolidays(True))
    snapshot = merged(before, after)
    assert [n for n, flag in values(snapshot, "holiday").items() if flag] == [62]
    assert values(snapshot, "holiday_weeks_back")[62] == 52


def test_a_load_without_flags_keeps_them_and_makes_up_none() -> None:
    before = with_holidays(load(range(60), feast), empty_tables(), LoadHolidays(True))
    after = with_holidays(load([60], american), merged(before), LoadHolidays(False))
    assert values(merged(before, after), "holiday") == values(before, "holiday")


def test_flags_of_a_data_set_from_before_count_from_its_next_load_on() -> None:
    """Version 0.1.0 stored flags and used none."""
    known = merged(load(range(60), feast))
    tables = with_holidays(load([60], lambda *_: False), known, LoadHolidays(True))
    assert [n for n, flag in values(tables, "holiday").items() if flag] == [12]
    assert max(values(tables, "holiday")) == 60


def test_a_store_without_rows_has_the_flag_that_all_others_share() -> None:
    tables, new = load(range(40), feast), load(range(20, 40), feast, [3])
    tables[STORE_WEEKS.name] = pa.concat_tables([tables[STORE_WEEKS.name], new[STORE_WEEKS.name]])
    assert values(with_holidays(tables, empty_tables(), LoadHolidays(True)), "holiday", 3)[12] == 1


@pytest.mark.parametrize(("last", "stores_told"), [(89, 2), (101, 2), (102, 0)])
def test_the_report_tells_that_coming_holidays_are_unknown(last: int, stores_told: int) -> None:
    tables = load(range(last + 1), feast)
    sales = tables["sales"]
    tables["sales"] = sales.filter(pc.less_equal(sales["week"], pa.scalar(week(89))))
    tables = with_holidays(tables, empty_tables(), LoadHolidays(True))
    id_ = {"of": "store", "id": "CA_1", "number": 1, "is_current": True}
    tables["id"] = pa.Table.from_pylist([id_], IDS.schema)
    checks = checked(tables, LoadHolidays(False))
    assert checks["holidays-ahead"].rows == stores_told
    known = f"store CA_1: known to {week(last)}, not to {week(102)}"
    assert stores_told == 0 or checks["holidays-ahead"].examples[0] == known
    assert checks["holiday-source"].rows == 0


def day(number: int, before_end: int = 0) -> date:
    return week(number) - timedelta(days=before_end)


def flagged(tables: dict[str, pa.Table], store: int = 1) -> list[int]:
    return [number for number, flag in sorted(values(tables, "holiday", store).items()) if flag]


EASTER = NamedDays({1: [(day(12, 5), "Easter"), (day(62, 2), "Easter"), (day(80), "May Day")]}, day(120))


def test_a_calendar_gives_the_holidays_of_weeks_without_flags() -> None:
    tables = with_holidays(load(range(70), american, [1]), empty_tables(), LoadHolidays(False, EASTER))
    assert flagged(tables) == [12, 62, 80]
    # It is known to have no other one up to its end.
    assert max(values(tables, "holiday")) == 120
    assert values(tables, "holiday_weeks_back")[62] == 50
    until, since = values(tables, "holiday_days_until"), values(tables, "holiday_days_since")
    assert [until[n] for n in (8, 9, 10, 11)] == [23, 16, 9, 2]
    assert [since[n] for n in (12, 13, 14)] == [5, 12, 19]


def test_flags_are_the_truth_and_the_calendar_gives_what_they_do_not() -> None:
    loaded = load(range(70), lambda _, number: number in (12, 30), [1])
    tables = with_holidays(loaded, empty_tables(), LoadHolidays(True, EASTER))
    assert flagged(tables) == [12, 30, 80]


def test_a_later_load_without_the_calendar_keeps_it() -> None:
    before = with_holidays(load(range(70), american, [1]), empty_tables(), LoadHolidays(False, EASTER))
    after = with_holidays(load([70], american, [1]), merged(before), LoadHolidays(False))
    assert values(merged(before, after), "holiday") == values(before, "holiday")
    # Nothing is stored twice.
    assert len(after[EXTRAS.name]) == 0


def test_a_corrected_calendar_replaces_the_earlier_one() -> None:
    before = with_holidays(load(range(70), american, [1]), empty_tables(), LoadHolidays(False, EASTER))
    other = NamedDays({1: [(day(13), "Easter")]}, day(110))
    after = with_holidays(load([70], american, [1]), merged(before), LoadHolidays(False, other))
    assert flagged(merged(before, after)) == [13]


def test_events_of_all_stores_and_of_one_past_and_future() -> None:
    events = NamedDays({2: [(day(75), "opening")]}, day(75), [(day(20), "sale"), (day(73), "sale")])
    tables = with_holidays(load(range(70), american), empty_tables(), LoadHolidays(False, None, events))
    assert (flagged(tables, 1), flagged(tables, 2)) == ([20, 73], [20, 73, 75])
    # Whether another event follows the last one is unknown.
    assert max(values(tables, "holiday")) == 75
    assert values(tables, "holiday_weeks_back")[73] == 53
    # The next list lacks an event: it was cancelled.
    fewer = NamedDays({}, day(74), [(day(20), "sale"), (day(74), "sale")])
    after = with_holidays(load([70], american), merged(tables), LoadHolidays(False, None, fewer))
    assert flagged(merged(tables, after), 2) == [20, 74]


@pytest.mark.parametrize("before_end", [(4, 1), (1, 4)])
def test_an_event_of_several_days_begins_with_the_first(before_end: tuple[int, int]) -> None:
    events = NamedDays({}, day(20), [(day(20, n), "fair") for n in before_end])
    tables = with_holidays(load(range(70), american), empty_tables(), LoadHolidays(False, None, events))
    assert values(tables, "holiday_days_until")[19] == 3


def test_of_two_holidays_in_a_week_the_next_one_and_the_last_one_count() -> None:
    events = NamedDays({}, day(20), [(day(20, 4), "eve"), (day(20, 1), "feast")])
    tables = with_holidays(load(range(70), american), empty_tables(), LoadHolidays(False, None, events))
    until, since = values(tables, "holiday_days_until"), values(tables, "holiday_days_since")
    assert [until[18], until[19], since[20], since[21]] == [10, 3, 1, 8]


def test_an_empty_list_cancels_the_events_and_says_so() -> None:
    none = LoadHolidays(False, None, NamedDays({}, date.min))
    events = NamedDays({2: [(day(75), "opening")]}, day(75), [(day(20), "sale")])
    known = merged(
        with_holidays(load(range(70), american), empty_tables(), LoadHolidays(False, None, events))
    )
    after = with_holidays(load([70], american), known, none)
    assert [flagged(merged(known, after), store) for store in (1, 2)] == [[], []]
    assert checked(after, none, known)["events-empty"].examples == [
        "the list of events has no row: the 2 earlier ones are cancelled"
    ]
    # It is complete up to the newest week with sales.
    assert list(values(after, COMPLETE)) == [70]
    # It is no word about holidays where there never was an event.
    tables = load(range(70), american)
    assert with_holidays(tables, empty_tables(), none) == tables
    assert [checked(tables, none)[rule].rows for rule in ("events-empty", "holiday-source")] == [1, 1]
    assert checked(tables, LoadHolidays(False, None, events))["events-empty"].rows == 0


def in_regions(default: bool, stores: Sequence[int] = (1, 2)) -> NamedDays:
    """Returns a calendar in which store 2 has a feast instead of the day of May."""
    may_day, feast = (day(80), "May Day"), (day(30), "feast")
    usual = {store: [may_day] for store in (*stores, *([NEW_STORE] if default else []))}
    return NamedDays(usual | {2: [feast]}, day(120))


def after_a_new_store(named: LoadHolidays, later: LoadHolidays) -> tuple[dict[str, pa.Table], Check]:
    """Returns the snapshot after store 3 came with week 70, and the check of what is known ahead."""
    known = merged(with_holidays(load(range(70), american), empty_tables(), named))
    after = with_holidays(load(range(60, 71), american, [1, 2, 3]), known, later)
    return merged(known, after), checked(after, later, known)["holidays-ahead"]


@pytest.mark.parametrize("later", [None, NamedDays({}, day(75), [(day(75), "sale")])])
def test_a_new_store_has_the_calendar_of_all_other_stores(later: NamedDays | None) -> None:
    events = NamedDays({1: [(day(66), "opening")]}, day(75), [(day(75), "sale")])
    first = LoadHolidays(False, in_regions(default=True), events)
    snapshot, ahead = after_a_new_store(first, LoadHolidays(False, None, later))
    assert [flagged(snapshot, store) for store in (2, 3)] == [[30, 75], [75, 80]]
    assert max(values(snapshot, "holiday", 3)) == 120
    assert ahead.rows == 0
    assert values(snapshot, "holiday", NEW_STORE) == {}


@pytest.mark.parametrize("later", [None, NamedDays({}, day(110), [(day(75), "sale")])])
def test_a_new_store_without_a_calendar_is_told(later: NamedDays | None) -> None:
    """A list of events says nothing about its public holidays."""
    first = LoadHolidays(False, in_regions(default=False))
    snapshot, ahead = after_a_new_store(first, LoadHolidays(False, None, later))
    assert values(snapshot, "holiday", 3).get(80) is None
    assert ahead.examples == [
        "store 3: unknown in 1 of its weeks, 2025-07-18 to 2025-07-18; it has no calendar: declare holidays "
        "again, with its country"
    ]


def test_past_weeks_of_a_new_store_are_told_too() -> None:
    named = LoadHolidays(False, in_regions(default=False))
    known = merged(with_holidays(load(range(70), american), empty_tables(), named))
    after = with_holidays(load(range(25, 71), american, [3]), known, LoadHolidays(False))
    assert (
        checked(after, LoadHolidays(False), known)["holidays-ahead"]
        .examples[0]
        .startswith(f"store 3: unknown in 2 of its weeks, {week(30)} to {week(80)}")
    )


def test_a_new_store_no_longer_has_a_calendar_that_was_replaced() -> None:
    known = merged(
        with_holidays(
            load(range(60), american), empty_tables(), LoadHolidays(False, in_regions(default=True))
        )
    )
    other = LoadHolidays(False, in_regions(default=False))
    known = merged(known, with_holidays(load(range(60, 70), american), known, other))
    after = with_holidays(load([70], american, [3]), known, LoadHolidays(False))
    assert values(after, "holiday", 3).get(80) is None


def test_a_new_store_has_the_events_of_all_stores() -> None:
    events = NamedDays({1: [(day(66), "opening")]}, day(75), [(day(75), "sale")])
    snapshot, _ = after_a_new_store(LoadHolidays(False, None, events), LoadHolidays(False))
    assert (flagged(snapshot, 3), values(snapshot, "holiday", 3)[66]) == ([75], 0)


def test_what_follows_the_end_of_a_calendar_is_unknown() -> None:
    named = LoadHolidays(False, in_regions(default=True))
    known = merged(with_holidays(load(range(70), american), empty_tables(), named))
    later = with_holidays(load(range(70, 130), american), known, LoadHolidays(False))
    assert max(values(merged(known, later), "holiday")) == 120
    assert checked(later, LoadHolidays(False), known)["holidays-ahead"].examples[0] == (
        f"store 1: known to {week(120)}, not to {week(142)}"
    )


def test_own_flags_before_and_events_after_the_newest_week() -> None:
    events = NamedDays({}, day(75), [(day(75), "feast")])
    tables = with_holidays(load(range(70), feast), empty_tables(), LoadHolidays(True, None, events))
    assert flagged(tables) == [12, 62, 75]
    assert [values(tables, "holiday").get(n) for n in (71, 76)] == [0, None]


@pytest.mark.parametrize("weekday", range(7))
def test_weeks_may_end_on_any_weekday_and_a_year_may_have_53(weekday: int) -> None:
    """Fiscal years of 52 and 53 weeks have no part in it: weeks are counted in days."""
    shift = timedelta(days=weekday)
    tables = load(range(160), american, [1])
    for name in ("sales", STORE_WEEKS.name):
        weeks = pa.array([w + shift for w in tables[name]["week"].to_pylist()], pa.date32())
        rows = tables[name]
        moved = rows.set_column(rows.column_names.index("week"), "week", weeks)
        tables[name] = moved.cast(rows.schema)
    years = (2024, 2025, 2026)
    days = NamedDays({1: [(date(year, 12, 25), "Christmas") for year in years]}, date(2027, 1, 31))
    extras = with_holidays(tables, empty_tables(), LoadHolidays(False, days))[EXTRAS.name]
    found = {
        name: {row["week"]: row["value"] for row in extras.filter(pc.field("name") == name).to_pylist()}
        for name in ("holiday", "holiday_weeks_back", "holiday_days_since")
    }
    ends = [w for w, flag in found["holiday"].items() if flag]
    assert [calendar.week_of(date(year, 12, 25), ends[0].weekday()) for year in years] == ends
    for earlier, later in pairwise(ends):
        assert found["holiday_weeks_back"][later] == (later - earlier).days // 7
        assert found["holiday_days_since"][later] == (later - date(later.year, 12, 25)).days
