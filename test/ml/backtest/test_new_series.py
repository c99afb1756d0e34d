"""Series that begin after the origin are forecast as soon as any store sells their department."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from shelfcast.backtest.folder import read
from shelfcast.backtest.origin import Settings, prepare
from shelfcast.calendar import WEEK, week_range

FIRST = date(2024, 1, 5)
WEEKS = week_range(FIRST, FIRST + 39 * WEEK)
ORIGIN = WEEKS[35]


def test_a_new_store_and_a_new_department_of_a_store_are_forecast(tmp_path: Path) -> None:
    begins = {(1, 1): FIRST, (1, 2): FIRST, (2, 1): FIRST, (2, 2): WEEKS[37], (3, 1): WEEKS[36]}
    unknown = {(3, 9): WEEKS[36]}
    rows = [
        f"{store},{dept},{week},{100 * store * dept}"
        for (store, dept), begin in (begins | unknown).items()
        for week in WEEKS
        if week >= begin
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales", *rows, ""]), encoding="utf-8")
    (folder / "stores.csv").write_text("store,type,size\n1,A,1000\n2,A,2000\n3,B,6000\n", encoding="utf-8")
    source = read(folder, tmp_path / "bad-rows.csv")
    origin = prepare(source, ORIGIN, tmp_path / "out", Settings(4, "naive", ("naive",), validation_weeks=4))
    assert origin.left_out == ((3, 9),)
    table, at = origin.table, origin.rows
    names = [feature.name for feature in table.features]
    sales = table.fixed[at][:, names.index("sales_0")].tolist()
    found = dict(zip(zip(table.store[at].tolist(), table.dept[at].tolist(), strict=True), sales, strict=True))
    # Store 2 sells twice of what store 1 does; store 3 is four times as large as both on average.
    assert found == {(1, 1): 100, (1, 2): 200, (2, 1): 200, (2, 2): 400, (3, 1): 150 * 4}
    assert np.isnan(table.fixed[at][:, names.index("weeks_since_first")]).sum() == 2
