"""The backtest command on a folder, from its files to its files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sales_folder
from sales_folder import DEPARTMENTS, STORES
from train_here import train_here

from shelfcast.backtest.__main__ import main
from shelfcast.calendar import WEEK
from shelfcast.contracts.results import JobError, TrainResult
from shelfcast.contracts.wire import read_json
from shelfcast.job import write_json

QUICK = ["--max-epochs", "2", "--processes", "1", "--baselines", "naive", "--validation-weeks", "4"]
KEYS = ["origin", "store", "dept", "target_week", "horizon"]


def backtest(data: Path, out: Path, origins: Sequence[date], *more: str) -> pd.DataFrame:
    """Runs the command and returns forecasts.csv."""
    asked = ["--data", str(data), "--out", str(out), "--origins", ",".join(map(str, origins))]
    assert main([*asked, "--horizon", "3", *QUICK, *more]) == 0
    return pd.read_csv(out / "forecasts.csv")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings spare the import of PyTorch; those of ``whole`` have processes of their own."""
    training = "shelfcast.backtest.origin._run_training"
    monkeypatch.setattr(training, lambda directory, *_: train_here(directory))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[date]]:
    """A folder with ``data``, and the weeks of the data."""
    folder = tmp_path_factory.mktemp("backtest")
    return folder, sales_folder.write(folder / "data")


@pytest.fixture(scope="module")
def whole(written: tuple[Path, list[date]]) -> tuple[Path, list[date], pd.DataFrame]:
    """A folder, its weeks, and forecasts from two origins, of which the second has one later week."""
    folder, weeks = written
    return folder, weeks, backtest(folder / "data", folder / "out", [weeks[-5], weeks[-2]])


def test_every_series_is_forecast_for_each_week_ahead(
    whole: tuple[Path, list[date], pd.DataFrame],
) -> None:
    folder, weeks, rows = whole
    assert len(rows) == 2 * STORES * DEPARTMENTS * 3
    assert not rows.duplicated(KEYS).any()
    assert list(rows.columns[:8]) == [*KEYS, "p10", "p50", "p90"]
    targets = pd.to_datetime(rows["target_week"]) - pd.to_datetime(rows["origin"])
    assert (targets.dt.days == 7 * rows["horizon"]).all()
    quantiles = rows[["p2_5", "p10", "p50", "p90", "p97_5"]].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    # Of the second origin's weeks only the next one is in the folder.
    known = rows.groupby(["origin", "horizon"])["actual"].apply(lambda actual: actual.notna().all())
    assert known.tolist() == [True, True, True, True, False, False]
    html = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "seasonal naive forecast (last year)" in html
    assert html.count("data:image/png;base64,") == 3
    assert str(weeks[-5]) in html


def test_metrics_are_those_of_the_forecasts(whole: tuple[Path, list[date], pd.DataFrame]) -> None:
    folder, _, rows = whole
    metrics = json.loads((folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    known = rows[rows["actual"].notna()]
    error = (known["p50"] - known["actual"]).abs()
    overall = metrics["overall"]["global"]
    assert overall["rows"] == len(known) == metrics["withActual"]
    assert overall["wape"] == pytest.approx(error.sum() / known["actual"].abs().sum(), rel=1e-4)
    inside = (known["p10"] <= known["actual"]) & (known["actual"] <= known["p90"])
    assert overall["coverage80"] == pytest.approx(inside.mean())
    naive_error = (known["naive"] - known["actual"]).abs()
    assert metrics["overall"]["naive"]["wape"] == pytest.approx(
        naive_error.sum() / known["actual"].abs().sum(), rel=1e-4
    )
    assert {"1", "2", "3"} == metrics["byHorizon"].keys()
    by_store = known.groupby(["origin", "target_week", "store"])[["p50", "actual"]].sum()
    of_stores = (by_store["p50"] - by_store["actual"]).abs().sum() / by_store["actual"].abs().sum()
    of_level = metrics["levels"]["store"]["global"]
    assert of_level["wape"] == pytest.approx(of_stores, rel=1e-4)
    assert (list(metrics["levels"]), of_level["rows"]) == (["store", "dept", "total"], len(by_store))


def test_totals_are_sums_with_intervals_of_their_own(whole: tuple[Path, list[date], pd.DataFrame]) -> None:
    folder, _, rows = whole
    totals = pd.read_csv(folder / "out" / "levels.csv", dtype={"member": str})
    key = ["origin", "target_week", "horizon"]
    summed = rows.groupby([*key, "store"])[["p10", "p50", "p90", "naive"]].sum().reset_index()
    of_stores = totals[totals["level"] == "store"].sort_values([*key, "member"]).reset_index(drop=True)
    assert of_stores["member"].tolist() == summed["store"].astype(str).tolist()
    for name in ("p50", "naive"):
        np.testing.assert_allclose(of_stores[name], summed[name], atol=0.05)
    assert (of_stores["series"] == DEPARTMENTS).all()
    whole_width = totals[totals["level"] == "total"].eval("p90 - p10").to_numpy()
    by_week = rows.groupby(key)[["p10", "p90"]].sum()
    assert (whole_width < (by_week["p90"] - by_week["p10"]).to_numpy()).all()
    quantiles = totals[["p2_5", "p10", "p50", "p90", "p97_5"]].to_numpy()
    assert (np.diff(quantiles[:, 1:4], axis=1) >= 0).all()
    html = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "Totals by level (WAPE)" in html


@pytest.mark.usefixtures("in_this_process")
def test_nothing_after_the_origin_is_used(
    whole: tuple[Path, list[date], pd.DataFrame], tmp_path: Path
) -> None:
    _, weeks, rows = whole
    origin = weeks[-5]

    def doubled(sales: pd.DataFrame) -> pd.DataFrame:
        sales.loc[sales["Date"] > origin, "Weekly_Sales"] *= 2
        return sales

    sales_folder.write(tmp_path / "later", doubled)
    later = backtest(tmp_path / "later", tmp_path / "out", [origin])
    before = rows[rows["origin"] == str(origin)].reset_index(drop=True)
    pd.testing.assert_frame_equal(later.drop(columns="actual"), before.drop(columns="actual"))
    # The test can fail: what was known counts.
    sales_folder.write(
        tmp_path / "earlier",
        lambda sales: sales.assign(
            Weekly_Sales=np.where(sales["Date"] == origin, 2.0, 1.0) * sales["Weekly_Sales"]
        ),
    )
    earlier = backtest(tmp_path / "earlier", tmp_path / "out-earlier", [origin])
    assert not np.allclose(earlier["p50"], before["p50"], rtol=1e-3)
    # A training on other data is not reused.
    corrected = backtest(tmp_path / "earlier", tmp_path / "out", [origin])
    pd.testing.assert_frame_equal(corrected, earlier)


@pytest.mark.usefixtures("in_this_process")
def test_a_repeated_command_reuses_only_a_training_with_the_same_settings(
    whole: tuple[Path, list[date], pd.DataFrame], tmp_path: Path
) -> None:
    folder, weeks, rows = whole
    origin, out = weeks[-5], tmp_path / "out"
    training = out / "origins" / str(origin) / "train"
    result, error = training / "result.json", training / "error.json"
    stale = JobError(type="InvalidInput", message="an earlier start failed")
    one_epoch = backtest(folder / "data", out, [origin], "--max-epochs", "1")
    trained = result.stat().st_mtime_ns

    write_json(error, stale)
    again = backtest(folder / "data", out, [origin], "--max-epochs", "1")
    pd.testing.assert_frame_equal(again, one_epoch)
    assert result.stat().st_mtime_ns == trained

    write_json(error, stale)
    two_epochs = backtest(folder / "data", out, [origin])
    assert read_json(TrainResult, result).started_from_epochs == [0]
    pd.testing.assert_frame_equal(
        two_epochs.drop(columns="actual"), rows[rows["origin"] == str(origin)].drop(columns="actual")
    )


@pytest.mark.usefixtures("in_this_process")
def test_series_that_skip_the_origin_or_are_new_are_forecast_too(tmp_path: Path) -> None:
    weeks: list[date] = []

    def gaps(sales: pd.DataFrame) -> pd.DataFrame:
        weeks.extend(sorted(sales["Date"].unique()))
        origin = weeks[-4]
        one, two = (sales["Store"] == 1) & (sales["Dept"] == 1), (sales["Store"] == 2) & (sales["Dept"] == 2)
        only_three = (sales["Store"] == 3) & (sales["Dept"] == 3)
        other = sales["Dept"] == 1
        drop = (
            (one & (sales["Date"] == origin))
            | (two & (sales["Date"] <= origin))
            | (only_three & (sales["Date"] < origin - 2 * WEEK))
            | ((sales["Store"] == 4) & ~other & (sales["Date"] > origin - 60 * WEEK))
        )
        unknown = sales[one & (sales["Date"] > origin)].assign(Dept=9)
        return pd.concat([sales[~drop], unknown])

    sales_folder.write(tmp_path / "data", gaps)
    sales_folder.write_with_text_ids(tmp_path / "data", tmp_path / "text")
    rows = backtest(tmp_path / "text", tmp_path / "out", [weeks[-4]])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["leftOut"] == [{"origin": str(weeks[-4]), "store": "CA_1", "dept": "FOODS, 9"}]
    assert {name for name in metrics["slices"] if "type" in name} <= {f"store_type={t}" for t in "ABC"}
    assert rows["store"].str.fullmatch("CA_[1-4]").all()
    assert rows["dept"].str.fullmatch("FOODS, [1-3]").all()
    numbers = {of: rows[of].str[-1].astype(int) for of in ("store", "dept")}
    means = rows.assign(**numbers).groupby(["store", "dept"])["p50"].mean()
    assert np.isfinite(rows[["p10", "p50", "p90", "naive", "seasonal_naive"]]).all(axis=None)
    history = pd.read_csv(tmp_path / "data" / "train.csv").groupby(["Store", "Dept"])["Weekly_Sales"].mean()
    # One that pauses, one that is new, one of three weeks: near the size of what is known of its like.
    assert means[1, 1] == pytest.approx(history[1, 1], rel=0.5)
    assert means[2, 2] == pytest.approx((history[1, 2] + history[3, 2]) / 2, rel=0.8)
    assert means[3, 3] == pytest.approx(history[3, 3], rel=0.5)
    # One that stopped selling over a year ago stays closed.
    assert abs(means[4, 2]) < 0.1 * history[4, 2]


@pytest.mark.usefixtures("in_this_process")
def test_a_simple_preset_stands_beside_the_seasonal_methods(
    whole: tuple[Path, list[date], pd.DataFrame], tmp_path: Path
) -> None:
    folder, weeks, _ = whole
    options = ["--preset", "seasonal_average", "--baselines", "seasonal_methods"]
    rows = backtest(folder / "data", tmp_path / "out", [weeks[-5]], *options)
    assert not np.allclose(rows["p50"], rows["seasonal_methods"], rtol=1e-3)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["overall"]) == ["seasonal_average", "naive", "seasonal_naive", "seasonal_methods"]


@pytest.mark.usefixtures("in_this_process")
def test_one_model_may_serve_all_origins(
    whole: tuple[Path, list[date], pd.DataFrame], tmp_path: Path
) -> None:
    folder, weeks, rows = whole
    origins = [weeks[-5], weeks[-2]]
    fixed = backtest(folder / "data", tmp_path / "out", origins, "--refit", "false")
    first = fixed["origin"] == str(origins[0])
    pd.testing.assert_frame_equal(fixed[first], rows[first])
    assert not np.allclose(fixed[~first]["p50"], rows[~first]["p50"], rtol=1e-3)
    assert (tmp_path / "out" / "origins" / str(origins[0]) / "train" / "model").is_dir()
    assert not (tmp_path / "out" / "origins" / str(origins[1]) / "train").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--origins", "2020-13-01"], "write them as 2011-07-29,2011-08-05"),
        (["--origins", "2099-01-01"], "is no week of the folder|must be from"),
        (["--baselines", "prophet"], "prophet is none of naive"),
        (["--preset", "magic"], "magic is none of"),
        (["--horizon", "0"], "--horizon is 0; it must be 1 to 39"),
        (["--horizon", "50"], "--horizon is 50; it must be 1 to 39"),
        (["--max-epochs", "0"], "--max-epochs is 0; it must be 1 to 1000"),
        (["--processes", "0"], "--processes is 0; it must be 1 to 16"),
        (["--processes", "17"], "--processes is 17; it must be 1 to 16"),
        (["--seed", "-1"], "--seed is -1; it must be 0 to"),
        (["--validation-weeks", "0"], "--validation-weeks is 0; it must be 1 to 52"),
        (["--validation-weeks", "52", "--origins", "EARLY"], "validationWeeks 52, none is left for training"),
    ],
)
def test_wrong_input_gets_a_sentence(
    written: tuple[Path, list[date]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    folder, weeks = written
    usual = ["--data", str(folder / "data"), "--out", str(tmp_path / "out"), "--origins", str(weeks[-2])]
    asked = [str(weeks[40]) if option == "EARLY" else option for option in options]
    assert main([*usual, *QUICK, *asked]) == 2
    assert re.search(says, capsys.readouterr().err)
