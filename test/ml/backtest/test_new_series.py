"""Series that begin after the origin are forecast as soon as any store sells their department."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from train_here import train_here

from shelfcast.backtest.__main__ import main
from shelfcast.backtest.folder import read
from shelfcast.backtest.origin import Settings, prepare
from shelfcast.backtest.scores import comparable
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


def test_a_series_that_was_never_in_stock_so_far_is_forecast_as_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelfcast.backtest.origin._run_training", lambda folder, *_: train_here(folder))
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    # Department 1 of store 1 gets its first stock after the origin; department 9 has never any up to it.
    # Department 3 of store 1 ended five weeks before the origin, and that of store 2 is sold out after it.
    out_of_stock = {(1, 1): range(37), (2, 9): range(37), (2, 3): [36]}
    rows = [
        f"{store},{dept},{week},{100 * store * dept + n},{int(n not in out_of_stock.get((store, dept), []))}"
        for store, dept in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 9)]
        for n, week in enumerate(WEEKS)
        if (store, dept) != (1, 3) or n <= 30
    ]
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales,stock", *rows, ""]), encoding="utf-8")
    (folder / "shelfcast.json").write_text('{"columns": {"stock": "stock"}}', encoding="utf-8")
    asked = ["--data", str(folder), "--out", str(out), "--origins", str(ORIGIN), "--horizon", "4"]
    few = ["--preset", "naive", "--validation-weeks", "4", "--processes", "1"]
    assert main([*asked, *few, "--baselines", "seasonal_methods"]) == 0
    forecasts = pd.read_csv(out / "forecasts.csv")
    found = {*zip(forecasts["store"], forecasts["dept"], strict=True)}
    assert found == {(store, dept) for store in (1, 2) for dept in (1, 2, 3)}
    # The newest sales of its department in the only store that sells it.
    of_new = forecasts[(forecasts["store"] == 1) & (forecasts["dept"] == 1)]
    for name in ("seasonal_naive", "seasonal_methods"):
        assert of_new[name].tolist() == [235.0] * 4
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert [(of["store"], of["dept"]) for of in metrics["leftOut"]] == [(2, 9)]
    scored = metrics["overall"]["seasonal_naive"]["rows"]
    assert (metrics["notCompared"], scored) == (0, metrics["withActual"])
    # Totals are those of the endpoint: without the new series, and without the one that ended.
    totals = pd.read_csv(out / "levels.csv", dtype={"member": str})
    of_stores = totals[totals["level"] == "store"].set_index(["member", "horizon"])
    assert of_stores["series"].tolist() == [1] * 4 + [3] * 4
    assert of_stores["with_actual"].tolist() == [1] * 4 + [2, 3, 3, 3]
    assert np.isnan(of_stores.loc[("2", 1), "actual"])
    assert of_stores.loc[("2", 2), "actual"] == 200 + 400 + 600 + 3 * 37
    # Errors of totals are over the series that were compared, on both sides.
    assert metrics["levels"]["store"]["seasonal_naive"]["rows"] == 8


def test_there_are_no_totals_where_no_series_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelfcast.backtest.origin._run_training", lambda folder, *_: train_here(folder))
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    # Store 1 ended five weeks before the origin, and store 2 has no stock yet.
    rows = [f"1,1,{week},{100 + n},1" for n, week in enumerate(WEEKS[:30])]
    rows += [f"2,1,{week},0,0" for week in WEEKS[32:]]
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales,stock", *rows, ""]), encoding="utf-8")
    (folder / "shelfcast.json").write_text('{"columns": {"stock": "stock"}}', encoding="utf-8")
    asked = ["--data", str(folder), "--out", str(out), "--origins", str(ORIGIN), "--horizon", "4"]
    few = ["--preset", "naive", "--validation-weeks", "8", "--processes", "1", "--baselines", "naive"]
    assert main([*asked, *few]) == 0
    assert set(pd.read_csv(out / "forecasts.csv")["store"]) == {1, 2}
    totals = (out / "levels.csv").read_text(encoding="utf-8").splitlines()
    assert totals == [
        "origin,level,member,target_week,horizon,series,with_actual,p2_5,p10,p50,p90,p97_5,seasonal_naive,actual"
    ]


def test_rows_that_a_baseline_cannot_forecast_are_compared_of_no_forecaster() -> None:
    rows = pd.DataFrame({"p50": [1.0, 2.0, 3.0], "naive": [1.0, np.nan, 3.0], "lightgbm": [np.inf, 2.0, 3.0]})
    assert comparable(rows, ["naive", "lightgbm"])["p50"].tolist() == [3]
    assert comparable(rows, ["naive"])["p50"].tolist() == [1, 3]
