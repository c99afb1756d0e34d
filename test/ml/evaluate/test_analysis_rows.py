from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from evaluate_folders import DATASET, WEEKS, toy_sales, write_model, write_training_data

from shelfcast.evaluate.analysis_rows import spread, write_analysis_rows
from shelfcast.evaluate.backtest import run_backtest
from shelfcast.evaluate.model import load_model
from shelfcast.evaluate.naive_errors import NaiveErrors
from shelfcast.features.samples import read_origin_table


def counts(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_counts=True)[1]


def retailer() -> list[np.ndarray]:
    """Returns store, dept, horizon and week of 45 x 80 series, a third of which lack most weeks."""
    random = np.random.default_rng(3)
    store, dept, horizon, week = (a.ravel() for a in np.indices((45, 80, 8, 8)))
    kept = (random.random((45, 80)) < 0.67)[store, dept] | (random.random(len(store)) < 0.02)
    return [values[kept] for values in (store, dept, horizon, week)]


def test_spread_is_even_over_every_group() -> None:
    groups = retailer()
    chosen = spread(groups, 600)
    assert len(set(chosen.tolist())) == 600
    for values in groups:
        picked, even = counts(values[chosen]), 600 / len(np.unique(values))
        assert len(picked) == len(np.unique(values)), "a value is missing"
        assert picked.min() >= 0.7 * even - 1
        assert picked.max() <= 1.3 * even + 1


def test_a_first_part_is_spread_too() -> None:
    store, _, horizon, week = retailer()
    first = spread(retailer(), 600)[:160]
    for values in (store[first], horizon[first], week[first]):
        assert counts(values).max() <= 1.5 * len(first) / len(counts(values)) + 1


def test_a_rare_value_is_there() -> None:
    groups = retailer()
    rare = groups[1] == 79
    # 2 of about 155,000 rows would hardly be met by chance.
    keep = ~rare | (np.cumsum(rare) <= 40)
    groups = [values[keep] for values in groups]
    assert 79 in groups[1][spread(groups, 600)]


def test_fewer_rows_than_asked_for_are_all_taken() -> None:
    groups = [np.array([1, 1, 2]), np.array([5, 6, 7])]
    assert sorted(spread(groups, 600).tolist()) == [0, 1, 2]


def test_spread_is_the_same_every_time() -> None:
    np.testing.assert_array_equal(spread(retailer(), 100), spread(retailer(), 100))


@pytest.mark.parametrize("count", [20, 600])
def test_written_rows_repeat_in_onnxruntime(tmp_path: Path, count: int) -> None:
    sales = toy_sales()
    zero = (1, 2, WEEKS[-1])
    sales[zero] = 0.0
    table = read_origin_table(write_training_data(tmp_path / "data", sales))
    weights = {"temperature": 0.3, "sales_0": 1 / 3, "week_of_year": 0.1, "last_year": 0.7}
    folder = write_model(tmp_path / "model", weights)
    candidate = load_model(folder.as_uri(), "candidate", DATASET, table.features)
    samples = table.samples(np.datetime64(WEEKS[-4]), np.datetime64(WEEKS[-1]))
    backtest = run_backtest(table, samples, {"candidate": candidate}, None, NaiveErrors({}), lambda _: None)

    written = write_analysis_rows(tmp_path / "analysis-rows.jsonl", table, backtest, candidate, count)
    rows = [json.loads(line) for line in (tmp_path / "analysis-rows.jsonl").read_text().splitlines()]
    assert len(rows) == written == min(count, len(backtest.row))
    by_key = {
        (int(s), int(d), str(w), int(h)): n
        for n, (s, d, w, h) in enumerate(
            zip(backtest.store, backtest.dept, backtest.target_week, backtest.horizon, strict=True)
        )
    }
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for row in rows:
        n = by_key[row["store"], row["dept"], row["targetWeek"], row["horizon"]]
        assert row["actual"] == backtest.actual[n]
        # JSON's decimals lose nothing of a float32.
        np.testing.assert_array_equal(
            np.array(row["expected"], np.float32), backtest.quantiles["candidate"][n]
        )
        assert list(row["features"]) == list(weights)
        assert (row["features"]["temperature"] is None) == (row["store"] == 2)
        features = [np.nan if value is None else value for value in row["features"].values()]
        inputs = {key: np.array([row[key]]) for key in ("store", "dept", "horizon")}
        answer = session.run(["quantiles"], {"features": np.array([features]), **inputs})[0][0]
        np.testing.assert_allclose(answer, row["expected"], rtol=1e-6)
    assert len(
        {tuple(row[key] for key in ("store", "dept", "targetWeek", "horizon")) for row in rows}
    ) == len(rows)
    if count == 600:
        assert any(row["actual"] == 0 for row in rows)
