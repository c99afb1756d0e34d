"""The job as Ray starts it: a process, a folder, and what the TypeScript side reads of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluate_folders import (
    DATASET,
    HORIZONS,
    WEEK,
    WEEKS,
    YEAR,
    Sales,
    toy_sales,
    write_model,
    write_oracle,
    write_training_data,
)

from shelfcast.calendar import is_holiday
from shelfcast.contracts.results import EvaluateResult, ForecasterLeftOut
from shelfcast.contracts.specs import EvaluateSpec
from shelfcast.contracts.wire import decode
from shelfcast.evaluate.__main__ import run
from shelfcast.job import UserError

PROJECT = Path(__file__).resolve().parents[3]
TEST_WEEKS = 4
CANDIDATE = {"last_year": 1.0, "is_holiday": 500.0}
CHAMPION = {"week_of_year": 1.0, "sales_0": 1.0}


def write_inputs(root: Path) -> dict[str, Any]:
    """Returns the spec of a whole run: candidate, champion and oracle."""
    return {
        "snapshot": {
            "id": "toy-1-0123456789ab",
            "dataset": DATASET,
            "batchId": 1,
            "contentHash": "",
            "rowCount": 419,
            "seriesCount": 6,
            "firstWeek": WEEKS[0].isoformat(),
            "lastWeek": WEEKS[-1].isoformat(),
        },
        "trainingDataUri": write_training_data(root / "data", toy_sales()).as_uri(),
        "oracleUri": write_oracle(root / "oracle.parquet", toy_sales()).as_uri(),
        "horizonWeeks": HORIZONS,
        "testWeeks": TEST_WEEKS,
        "candidateUri": write_model(root / "candidate", CANDIDATE).as_uri(),
        "championUri": write_model(root / "champion", CHAMPION).as_uri(),
    }


def run_job(folder: Path, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "shelfcast.evaluate", "--dir", folder.as_uri()]
    return subprocess.run(command, cwd=PROJECT / "ml", capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def job(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs") / "evaluate with a space"
    done = run_job(folder, inputs)
    assert done.returncode == 0, done.stderr
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def by_hand(horizons: range) -> dict[str, dict[str, float]]:
    """Returns wmae, wape, bias and rows of each forecaster, row by row from the sales."""
    sales = toy_sales()
    rows: list[tuple[float, float, dict[str, float]]] = []
    for (store, dept, week), actual in sales.items():
        for h in horizons:
            origin, year_before = week - h * WEEK, week - YEAR
            known = (store, dept, origin) in sales and (store, dept, year_before) in sales
            if week < WEEKS[-TEST_WEEKS] or not known:
                continue
            keys = 7 * store + 3 * dept + h
            last_year, last_week = sales[store, dept, year_before], sales[store, dept, origin]
            forecasts = {
                "candidate": last_year + 500 * is_holiday(week) + keys,
                "champion": week.isocalendar().week + last_week + keys,
                "naive": last_week,
                "seasonal_naive": last_year,
                "oracle": actual,
            }
            rows.append((actual, 5.0 if is_holiday(week) else 1.0, forecasts))
    return {
        name: {
            "wmae": sum(w * abs(f[name] - a) for a, w, f in rows) / sum(w for _, w, _ in rows),
            "wape": sum(abs(f[name] - a) for a, _, f in rows) / sum(abs(a) for a, _, _ in rows),
            "bias": sum(f[name] - a for a, _, f in rows) / len(rows),
            "rows": len(rows),
        }
        for name in rows[0][2]
    }


@pytest.mark.parametrize(
    ("part", "horizons"), [("overall", range(1, HORIZONS + 1)), ("oneWeekAhead", range(1, 2))]
)
def test_result_is_what_a_loop_over_the_sales_gives(job: Path, part: str, horizons: range) -> None:
    found = read(job / "result.json")[part]
    wanted = by_hand(horizons)
    assert found.keys() == wanted.keys()
    for name, metrics in wanted.items():
        assert {key: found[name][key] for key in metrics} == pytest.approx(metrics, rel=1e-6), name
        assert (found[name]["coverage80"] is None) == (name not in ("candidate", "champion"))
    assert found["oracle"]["wmae"] == 0


def test_mase_is_by_the_errors_of_last_year_before_the_test_weeks(job: Path) -> None:
    sales = toy_sales()
    changes = {key: [] for key in {(store, dept) for store, dept, _ in sales}}
    for (store, dept, week), value in sales.items():
        year_before = sales.get((store, dept, week - YEAR))
        if week < WEEKS[-TEST_WEEKS] and year_before is not None:
            changes[store, dept].append(abs(value - year_before))
    errors = []
    for (store, dept, week), value in sales.items():
        for h in range(1, HORIZONS + 1):
            known = (store, dept, week - YEAR) in sales and (store, dept, week - h * WEEK) in sales
            if week >= WEEKS[-TEST_WEEKS] and known:
                scale = sum(changes[store, dept]) / len(changes[store, dept])
                errors.append(abs(value - sales[store, dept, week - YEAR]) / scale)
    found = read(job / "result.json")["overall"]["seasonal_naive"]["mase"]
    assert found == pytest.approx(sum(errors) / len(errors))


def test_test_weeks_are_the_last_of_the_snapshot(job: Path) -> None:
    result = read(job / "result.json")
    assert result["testFirstWeek"] == WEEKS[-TEST_WEEKS].isoformat()
    assert result["testLastWeek"] == WEEKS[-1].isoformat()
    weeks = {
        json.loads(line)["targetWeek"] for line in (job / "analysis-rows.jsonl").read_text().splitlines()
    }
    assert weeks == {week.isoformat() for week in WEEKS[-TEST_WEEKS:]}


def test_slices_divide_the_rows(job: Path) -> None:
    result = read(job / "result.json")
    rows = {name: {by["rows"] for by in scores.values()} for name, scores in result["slices"].items()}
    total = result["overall"]["candidate"]["rows"]
    assert all(len(counts) == 1 for counts in rows.values()), "forecasters are scored on different rows"
    for kind, values in {
        "store_type": "ABC",
        "holiday": ("true", "false"),
        "volume": ("low", "medium", "high"),
        "horizon": "123",
    }.items():
        assert sum(rows[f"{kind}={value}"].copy().pop() for value in values) == total
    # 13 slices of the rows, of which some have none here, and the weeks ahead.
    none = {entry["slice"]: entry["reason"] for entry in result["slicesNotScored"]}
    assert none == dict.fromkeys(
        ("dept_group=medium", "new_series=true"), "no row that every forecaster can forecast"
    )
    assert len(rows) + len(none) == 13 + HORIZONS


def test_rows_left_out_are_in_report_and_progress(job: Path) -> None:
    metrics = read(job / "report" / "metrics.json")
    reason = "no sales are known 52 weeks before the target week"
    assert metrics["rows"] == {
        "found": metrics["rows"]["scored"] + HORIZONS,
        "scored": metrics["overall"]["candidate"]["rows"],
        "leftOut": [{"forecaster": "seasonal_naive", "reason": reason, "rows": HORIZONS}],
    }
    progress = [json.loads(line) for line in (job / "progress.jsonl").read_text().splitlines()]
    assert any(reason in line["message"] and line["message"].startswith("3 of 72 rows") for line in progress)
    assert progress[-1]["fraction"] == 1.0
    assert "candidate $" in progress[-1]["message"]


def test_report_holds_the_plots(job: Path) -> None:
    report = read(job / "result.json")["reportUri"]
    assert report == (job / "report").as_uri()
    for name in ("residuals.png", "errors-by-horizon.png"):
        assert (job / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_typescript_reads_all_of_it(job: Path) -> None:
    script = f"""
        import {{ readFileSync }} from 'node:fs';
        import {{ evaluateResultSchema, analysisRowSchema, jobProgressSchema }} from './contracts/jobs.ts';
        const read = (name) => readFileSync({json.dumps(str(job))} + '/' + name, 'utf8');
        const lines = (name) => read(name).trim().split('\\n').map((line) => JSON.parse(line));
        evaluateResultSchema.parse(JSON.parse(read('result.json')));
        lines('progress.jsonl').forEach((line) => jobProgressSchema.parse(line));
        console.log(lines('analysis-rows.jsonl').map((line) => analysisRowSchema.parse(line)).length);
    """
    command = ["node", "--import", "tsx", "--input-type=module", "--eval", script]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == read(job / "result.json")["overall"]["candidate"]["rows"]


def test_two_runs_give_the_same_bytes(job: Path, inputs: dict[str, Any], tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert run_job(again, inputs).returncode == 0
    for name in ("analysis-rows.jsonl", "report/metrics.json"):
        assert (again / name).read_bytes() == (job / name).read_bytes()


def test_a_damaged_champion_is_the_users_to_mend(tmp_path: Path) -> None:
    spec = write_inputs(tmp_path)
    with (tmp_path / "champion" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    done = run_job(tmp_path / "job", spec)
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "job" / "result.json").exists()
    error = read(tmp_path / "job" / "error.json")
    assert error["type"] == "InvalidInput"
    assert error["message"].startswith(f"the champion in {tmp_path / 'champion'} is damaged")


def refused(spec: dict[str, Any], folder: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        run(decode(EvaluateSpec, spec, "spec"), folder)
    return caught.value


def test_test_weeks_without_sales_are_bad_data(inputs: dict[str, Any], tmp_path: Path) -> None:
    last_week = (WEEKS[-1] + 60 * WEEK).isoformat()
    error = refused({**inputs, "snapshot": {**inputs["snapshot"], "lastWeek": last_week}}, tmp_path)
    assert error.type == "BadData"
    assert f"to {last_week} can be forecast" in str(error)


def test_more_weeks_ahead_than_there_are_features_for(inputs: dict[str, Any], tmp_path: Path) -> None:
    error = refused({**inputs, "horizonWeeks": HORIZONS + 1}, tmp_path)
    assert error.type == "InvalidInput"
    assert "needs 4 weeks ahead" in str(error)


def test_fewer_weeks_ahead_are_scored_alone(inputs: dict[str, Any], tmp_path: Path) -> None:
    result = run(decode(EvaluateSpec, {**inputs, "horizonWeeks": 1}, "spec"), tmp_path)
    assert result.overall == result.one_week_ahead


def test_a_candidate_that_answers_too_few_weeks_ahead(inputs: dict[str, Any], tmp_path: Path) -> None:
    short = write_model(tmp_path / "short", CANDIDATE, horizon_weeks=2)
    error = refused({**inputs, "candidateUri": short.as_uri()}, tmp_path)
    assert error.type == "CandidateFailed"
    assert "answers 2 weeks ahead, the run asks for 3" in str(error)


def test_a_first_model_has_no_champion_and_real_data_no_oracle(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    result = run(decode(EvaluateSpec, {**inputs, "championUri": None, "oracleUri": None}, "spec"), tmp_path)
    assert set(result.overall) == {"candidate", "naive", "seasonal_naive"}


def test_sales_of_a_target_week_change_no_forecast_of_it(inputs: dict[str, Any], tmp_path: Path) -> None:
    changed: Sales = {key: value * (9 if key[2] == WEEKS[-1] else 1) for key, value in toy_sales().items()}
    data = write_training_data(tmp_path / "data", changed)
    (tmp_path / "job").mkdir()
    run(decode(EvaluateSpec, {**inputs, "trainingDataUri": data.as_uri()}, "spec"), tmp_path / "job")
    rows = [json.loads(line) for line in (tmp_path / "job" / "analysis-rows.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["targetWeek"] == WEEKS[-1].isoformat()]
    assert last
    for row in last:
        year_before = toy_sales()[row["store"], row["dept"], WEEKS[-1] - YEAR]
        middle = year_before + 500 + 7 * row["store"] + 3 * row["dept"] + row["horizon"]
        assert row["expected"][1] == pytest.approx(middle)
        assert row["actual"] == changed[row["store"], row["dept"], WEEKS[-1]]


def test_the_simple_forecasts_are_scored_as_the_candidate_and_the_first_beside_it(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    simple = write_model(tmp_path / "simple", {"sales_0": 1.0}, preset="naive")
    worse = write_model(tmp_path / "worse", {"last_year": 3.0}, preset="seasonal_naive")
    (tmp_path / "job").mkdir()
    uris = [simple.as_uri(), worse.as_uri()]
    spec = decode(EvaluateSpec, {**inputs, "oracleUri": None, "simpleUris": uris}, "spec")
    result = run(spec, tmp_path / "job")
    assert result.simple is not None
    assert set(result.overall) == {"candidate", "champion", "simple", "naive", "seasonal_naive"}
    for one in result.simple:
        assert set(one.overall) == {"candidate", "champion", "naive", "seasonal_naive"}
        assert one.overall["champion"] == result.overall["champion"]
    first, second = (one.overall["candidate"] for one in result.simple)
    assert first == result.overall["simple"]
    assert second.wmae > 1.5 * first.wmae
    # The gate compares the candidate with the naive forecasts, whatever simple forecast was chosen.
    assert {one.against for one in result.comparisons} == {"champion", "naive", "seasonal_naive"}
    (text, *_) = (tmp_path / "job" / "simple-1" / "analysis-rows.jsonl").read_text().splitlines()
    row = json.loads(text)
    assert row["features"].keys() == {"sales_0"}
    keys = 7 * row["store"] + 3 * row["dept"] + row["horizon"]
    assert row["expected"][1] == pytest.approx(row["features"]["sales_0"] + keys, rel=1e-6)
    card = (tmp_path / "job" / "simple-1" / "report" / "model-card.md").read_text()
    assert card.startswith("# Model card: naive, trained on toy")
    second_card = (tmp_path / "job" / "simple-2" / "report" / "model-card.md").read_text()
    assert second_card.startswith("# Model card: seasonal_naive, trained on toy")


@pytest.mark.parametrize(("least", "is_scored"), [(0.65, True), (0.0, False)])
def test_the_candidate_with_wider_intervals_is_scored_where_its_own_hold_too_little(
    inputs: dict[str, Any], tmp_path: Path, least: float, is_scored: bool
) -> None:
    narrow = write_model(tmp_path / "narrow", CANDIDATE, spread=(-0.5, 0.0, 0.5))
    wide = write_model(tmp_path / "wide", CANDIDATE, spread=(-5e4, 0.0, 5e4))
    (tmp_path / "job").mkdir()
    changed = {"candidateUri": narrow.as_uri(), "wideUri": wide.as_uri(), "leastCoverage80": least}
    result = run(decode(EvaluateSpec, {**inputs, **changed}, "spec"), tmp_path / "job")
    assert result.overall["candidate"].coverage80 == 0
    if not is_scored:
        assert result.wide is None
        return
    assert result.wide is not None
    assert result.wide.overall["candidate"].coverage80 == 1
    assert result.wide.overall["candidate"].wmae == result.overall["candidate"].wmae
    assert result.wide.overall.keys() == result.overall.keys()
    assert (tmp_path / "job" / "wide" / "analysis-rows.jsonl").exists()


def job_on(sales: Sales, inputs: dict[str, Any], folder: Path) -> EvaluateResult:
    """Runs the job on other sales, without champion and oracle, and reads the model card."""
    data = write_training_data(folder / "data", sales)
    (folder / "job").mkdir()
    changed = {"trainingDataUri": data.as_uri(), "championUri": None, "oracleUri": None}
    result = run(decode(EvaluateSpec, {**inputs, **changed}, "spec"), folder / "job")
    assert (folder / "job" / "report" / "model-card.md").read_text() != ""
    return result


def test_without_a_last_year_anywhere_the_others_are_compared(inputs: dict[str, Any], tmp_path: Path) -> None:
    short = {key: value for key, value in toy_sales().items() if key[2] >= WEEKS[-45]}
    result = job_on(short, inputs, tmp_path)
    assert set(result.overall) == {"candidate", "naive"}
    reason = "no sales are known 52 weeks before the target week, for 72 of 72 rows"
    assert result.forecasters_left_out == [ForecasterLeftOut(forecaster="seasonal_naive", reason=reason)]
    progress = (tmp_path / "job" / "progress.jsonl").read_text()
    assert f"seasonal_naive left out of all comparisons: {reason}" in progress
    card = (tmp_path / "job" / "report" / "model-card.md").read_text()
    assert f"not compared with this forecaster: seasonal naive forecast (last year); {reason}." in card


def test_test_weeks_without_sales_have_errors_in_dollars_alone(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    sales = {key: 0.0 if key[2] >= WEEKS[-TEST_WEEKS] else value for key, value in toy_sales().items()}
    result = job_on(sales, inputs, tmp_path)
    assert result.overall["naive"].wape is None
    assert result.overall["naive"].wmae > 0
    assert result.slices == {}
    assert "all its actual sales are 0" in {entry.reason for entry in result.slices_not_scored}


def test_one_series_of_constant_sales_has_no_error_to_compare_with(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    result = job_on({key: 500.0 for key in toy_sales() if key[:2] == (1, 1)}, inputs, tmp_path)
    assert result.overall["naive"].wmae == 0
    assert result.overall["naive"].mase is None
    assert result.comparisons == []
    assert "not compared: naive has no error there" in {e.reason for e in result.slices_not_scored}
