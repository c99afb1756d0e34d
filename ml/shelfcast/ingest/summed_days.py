"""Files of days in the long layout, as files of weeks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from shelfcast.ingest.covariates import Covariates
from shelfcast.ingest.days import (
    SUNDAY,
    WEEKDAYS,
    PartialWeeks,
    find_partial_weeks,
    in_order_of_days,
    sum_to_weeks,
    today_in,
    with_common_flags,
    with_weeks,
    without,
)
from shelfcast.ingest.declaration import Declared
from shelfcast.job import UserError
from shelfcast.snapshot import SALES

#: Names of the files of the long layout.
FileName = Literal["sales", "series_weeks", "store_weeks", "stores", "items", "events"]


def sum_days(
    values: Mapping[FileName, pa.Table],
    keys: Mapping[FileName, tuple[str, ...]],
    known: Mapping[str, pa.Table],
    covariates: Covariates,
    declared: Declared,
    names: Mapping[int, str],
) -> tuple[dict[FileName, pa.Table], PartialWeeks]:
    """Returns the values of the files, summed to weeks, and the weeks of sales that are left out.

    Args:
        values: Good rows by file, with a day as ``week``.
        keys: Columns of the key of each weekly file.
        known: Rows of the data set's newest snapshot by table name.
        covariates: Covariates of the load.
        declared: Declaration of the source.
        names: Id of each store, for the report.

    Raises:
        UserError: The declared weekday is not that of the data set.
    """
    weekly: dict[FileName, pa.Table] = {name: values[name] for name in keys if name in values}
    weekday = _weekday(weekly, known[SALES.name], declared)
    left_out, partial = find_partial_weeks(
        values["sales"], weekday, today_in(declared.declaration.time_zone), names
    )
    summed = dict(values)
    for name, rows in weekly.items():
        last = [column for column in rows.column_names if column in covariates.last]
        summed[name] = sum_to_weeks(with_weeks(in_order_of_days(rows), weekday), keys[name], last)
    if "store_weeks" in summed and "is_holiday" in summed["sales"].column_names:
        pair = with_common_flags(summed["sales"], summed["store_weeks"])
        summed["sales"], summed["store_weeks"] = pair
    summed["sales"] = without(summed["sales"], left_out)
    return summed, partial


def _weekday(weekly: Mapping[FileName, pa.Table], known: pa.Table, declared: Declared) -> int:
    """Returns the weekday on which weeks end: the declared one, that of the data set or of another file.

    Days alone do not tell it; then weeks end on Sunday, as in ISO 8601.
    """
    name = declared.declaration.week_ends
    of_dataset = known["week"][0].as_py().weekday() if len(known) else None
    if name is not None:
        weekday = WEEKDAYS.index(name)
        if of_dataset not in (None, weekday):
            raise UserError(
                declared.error,
                f"weekEnds of {declared.where} is {name}, and the weeks of the data set end on "
                f"{WEEKDAYS[of_dataset]}; give the new weeks a data set of their own, or leave weekEnds out",
            )
        return weekday
    if of_dataset is not None:
        return int(of_dataset)
    others = {
        day.weekday()
        for file, rows in weekly.items()
        if file != "sales"
        for day in rows["week"].unique().to_pylist()
    }
    return others.pop() if len(others) == 1 else SUNDAY
