"""A data set's own holiday flags become covariates that are known in advance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shelfcast import calendar
from shelfcast.features.definitions import FeatureSet
from shelfcast.ingest.covariate_checks import check_covariates
from shelfcast.ingest.generator import generate
from shelfcast.ingest.holiday_covariates import with_holidays
from shelfcast.snapshot import COVARIATES, EXTRAS, IDS, STORE_WEEKS, covariates_of, empty_tables

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
    for raw in (STORE_WEEKS, COVARIATES, EXTRAS):
        by_key = {
            tuple(row[k] for k in raw.key): row for tables in loads for row in tables[raw.name].to_pylist()
        }
        snapshot[raw.name] = pa.Table.from_pylist(list(by_key.values()), raw.schema)
    return empty_tables() | snapshot


def test_flags_of_the_calendar_change_nothing() -> None:
    tables = load(range(120), american)
    assert with_holidays(tables, empty_tables(), has_flags=True) == tables
    # Without own flags these are the calendar's, whatever they are.
    other = load(range(120), feast)
    assert with_holidays(other, empty_tables(), has_flags=False) == other
    generated = generate(3, 2, 104, 7).tables
    assert with_holidays(generated, empty_tables(), has_flags=True) == generated


def test_own_flags_become_features_that_are_known_in_advance() -> None:
    tables = with_holidays(load(range(90), feast), empty_tables(), has_flags=True)
    assert [n for n, flag in values(tables, "holiday").items() if flag] == [12, 62]
    assert values(tables, "holiday_weeks_back")[62] == 50
    until, since = values(tables, "holiday_days_until"), values(tables, "holiday_days_since")
    assert [until[n] for n in range(57, 63)] == [28, 28, 21, 14, 7, 28]
    assert [since[n] for n in range(61, 67)] == [28, 0, 7, 14, 21, 28]
    # What follows the last flag is unknown, so the next holiday is, too.
    assert [until[n] for n in (86, 87, 89)] == [28, None, None]
    features = FeatureSet(8, tuple(covariates_of(tables[COVARIATES.name])))
    assert "holiday_h8" in features.view_columns["store_externals"]
    assert "last_year_alike_h8" in features.view_columns["sales_history"]


def test_a_flag_without_holidays_at_all_is_an_own_one() -> None:
    tables = with_holidays(load(range(60), lambda *_: False), empty_tables(), has_flags=True)
    assert set(values(tables, "holiday").values()) == {0}


def test_stores_have_their_own_holidays() -> None:
    tables = load(range(60), lambda store, number: number == 10 + store)
    tables = with_holidays(tables, empty_tables(), has_flags=True)
    for store in (1, 2):
        assert [n for n, flag in values(tables, "holiday", store).items() if flag] == [10 + store]


def test_a_later_load_adds_weeks_and_corrects_flags() -> None:
    before = with_holidays(load(range(60), feast), empty_tables(), has_flags=True)
    known = merged(before)
    # The new week and the flags of coming weeks; week 12 was no holiday after all.
    after = with_holidays(load([12, *range(60, 75)], lambda _, n: n == 62), known, has_flags=True)
    snapshot = merged(before, after)
    assert [n for n, flag in values(snapshot, "holiday").items() if flag] == [62]
    assert values(snapshot, "holiday_weeks_back")[62] == 52


def test_a_load_without_flags_keeps_them_and_makes_up_none() -> None:
    before = with_holidays(load(range(60), feast), empty_tables(), has_flags=True)
    after = with_holidays(load([60], american), merged(before), has_flags=False)
    assert values(merged(before, after), "holiday") == values(before, "holiday")


def test_flags_of_a_data_set_from_before_count_from_its_next_load_on() -> None:
    """Version 0.1.0 stored flags and used none."""
    known = merged(load(range(60), feast))
    tables = with_holidays(load([60], lambda *_: False), known, has_flags=True)
    assert [n for n, flag in values(tables, "holiday").items() if flag] == [12]
    assert max(values(tables, "holiday")) == 60


def test_a_store_without_rows_has_the_flag_that_all_others_share() -> None:
    tables, new = load(range(40), feast), load(range(20, 40), feast, [3])
    tables[STORE_WEEKS.name] = pa.concat_tables([tables[STORE_WEEKS.name], new[STORE_WEEKS.name]])
    assert values(with_holidays(tables, empty_tables(), has_flags=True), "holiday", 3)[12] == 1


@pytest.mark.parametrize(("last", "stores_told"), [(89, 2), (102, 0)])
def test_the_report_tells_that_coming_holidays_are_unknown(last: int, stores_told: int) -> None:
    tables = load(range(last + 1), feast)
    sales = tables["sales"]
    tables["sales"] = sales.filter(pc.less_equal(sales["week"], pa.scalar(week(89))))
    tables = with_holidays(tables, empty_tables(), has_flags=True)
    id_ = {"of": "store", "id": "CA_1", "number": 1, "is_current": True}
    tables["id"] = pa.Table.from_pylist([id_], IDS.schema)
    checks = {check.rule: check for check in check_covariates(tables, empty_tables())}
    assert checks["holidays-ahead"].rows == stores_told
    assert checks["covariate-late"].rows == 0
    known = f"store CA_1: known to {week(last)}, not to {week(102)}"
    assert stores_told == 0 or checks["holidays-ahead"].examples[0] == known
