"""Evaluate job, ``python -m shelfcast.evaluate --dir DIR``: backtests a candidate on the test weeks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from shelfcast.calendar import WEEK
from shelfcast.contracts.results import Evaluated, EvaluateResult
from shelfcast.contracts.specs import DEFAULT_UNIT, EvaluateSpec
from shelfcast.contracts.wire import encode
from shelfcast.evaluate.analysis_rows import write_analysis_rows
from shelfcast.evaluate.backtest import Backtest, run_backtest
from shelfcast.evaluate.level_scores import score_levels
from shelfcast.evaluate.metrics import score, score_slices, slices_of
from shelfcast.evaluate.model import Model, Role, load_model
from shelfcast.evaluate.model_card import model_card
from shelfcast.evaluate.naive_errors import naive_errors
from shelfcast.evaluate.report import plot_errors_by_horizon, plot_residuals
from shelfcast.evaluate.significance import OVERALL, compare
from shelfcast.features.samples import NUMPY_WEEK, OriginTable, read_origin_table
from shelfcast.formatting import amount
from shelfcast.job import UserError, main, path_of, report_progress, write_json

#: Number of analysis rows, enough that each store and department occurs.
ANALYSIS_ROWS = 600

_ANALYSIS_ROWS, _REPORT, _MODEL_CARD = "analysis-rows.jsonl", "report", "model-card.md"
#: Folders with the same files but plots, of each simple forecast and of the candidate with wider intervals.
_SIMPLE, _WIDE = "simple", "wide"


def run(spec: EvaluateSpec, directory: Path) -> EvaluateResult:
    """Scores the models and writes the analysis rows and the report."""
    last = np.datetime64(spec.snapshot.last_week)
    first = last - (spec.test_weeks - 1) * NUMPY_WEEK
    report_progress(directory, f"reading features for the test weeks {first} to {last}", fraction=0.0)
    table = _read_table(spec, first)
    models = _load_models(spec, table)
    rows, horizons = table.samples(first, last)
    within_horizon = horizons <= spec.horizon_weeks
    if not within_horizon.any():
        raise UserError(
            "BadData",
            f"no sales of the test weeks {first} to {last} can be forecast: the training data have no origin "
            "before them of a series with sales in them; load more weeks or lower testWeeks",
        )
    samples = rows[within_horizon], horizons[within_horizon]
    oracle = pq.read_table(path_of(spec.oracle_uri)) if spec.oracle_uri is not None else None
    scale = naive_errors(path_of(spec.training_data_uri), first)
    message = f"forecasting {within_horizon.sum():,} rows of the test weeks"

    def report(share: float) -> None:
        report_progress(directory, message, fraction=0.1 + 0.7 * share)

    dataset = spec.snapshot.dataset
    simple_models = [load_model(uri, "simple", dataset, table.features) for uri in spec.simple_uris or []]
    backtest = run_backtest(table, samples, models, oracle, scale, report, simple_models)
    _report_left_out(directory, backtest)
    evaluated, rows_chosen = _write(spec, directory, table, models, backtest)
    unit = spec.snapshot.unit or DEFAULT_UNIT
    plot_residuals(directory / _REPORT / "residuals.png", backtest, unit)
    plot_errors_by_horizon(directory / _REPORT / "errors-by-horizon.png", evaluated.slices, unit)
    report_progress(directory, f"{rows_chosen} rows chosen for the analysis of the canary", fraction=0.9)
    as_candidate: dict[Role, Model]
    simple = []
    for index, model in enumerate(simple_models):
        folder = directory / f"{_SIMPLE}-{index + 1}"
        folder.mkdir(exist_ok=True)
        as_candidate = {**models, "candidate": model}
        scored, _ = _write(spec, folder, table, as_candidate, backtest.with_simple_as_candidate(index))
        simple.append(scored)
    wide = None
    if spec.wide_uri is not None and _has_narrow_intervals(spec, evaluated):
        wide_model = load_model(spec.wide_uri, "candidate", dataset, table.features)
        as_candidate = {**models, "candidate": wide_model}
        (directory / _WIDE).mkdir(exist_ok=True)
        again = run_backtest(table, samples, as_candidate, oracle, scale, lambda _: None, simple_models[:1])
        wide, _ = _write(spec, directory / _WIDE, table, as_candidate, again)
    report_progress(directory, _summary(evaluated, spec.snapshot.unit), fraction=1.0)
    parts = {field.name: getattr(evaluated, field.name) for field in fields(evaluated)}
    return EvaluateResult(**parts, simple=simple or None, wide=wide)


def _has_narrow_intervals(spec: EvaluateSpec, evaluated: Evaluated) -> bool:
    """Whether the candidate's 80 % interval holds fewer sales than the gate allows."""
    coverage = evaluated.overall["candidate"].coverage80
    return coverage is not None and spec.least_coverage80 is not None and coverage < spec.least_coverage80


def _write(
    spec: EvaluateSpec,
    directory: Path,
    table: OriginTable,
    models: Mapping[Role, Model],
    backtest: Backtest,
) -> tuple[Evaluated, int]:
    """Writes the analysis rows and the report of the candidate; returns its scores and the number of rows."""
    evaluated = _evaluated(spec, directory, models, backtest)
    analysis_rows, report = directory / _ANALYSIS_ROWS, directory / _REPORT
    count = write_analysis_rows(analysis_rows, table, backtest, models["candidate"], ANALYSIS_ROWS)
    report.mkdir(exist_ok=True)
    scores = {key: value for key, value in encode(evaluated).items() if not key.endswith("Uri")}
    write_json(report / "metrics.json", {**scores, **_about(spec, models, backtest)})
    card = model_card(spec, models["candidate"].manifest, backtest, evaluated)
    (report / _MODEL_CARD).write_text(card, encoding="utf-8")
    return evaluated, count


def _read_table(spec: EvaluateSpec, first_target: np.datetime64) -> OriginTable:
    folder, horizon_weeks = path_of(spec.training_data_uri), spec.horizon_weeks
    table = read_origin_table(folder, first_origin=first_target - horizon_weeks * NUMPY_WEEK)
    if table.horizon_weeks < horizon_weeks:
        raise UserError(
            "InvalidInput",
            f"the backtest needs {horizon_weeks} weeks ahead, the training data in {folder} hold "
            f"{table.horizon_weeks}: run the features stage with the same horizonWeeks",
        )
    return table


def _load_models(spec: EvaluateSpec, table: OriginTable) -> dict[Role, Model]:
    dataset = spec.snapshot.dataset
    candidate = load_model(spec.candidate_uri, "candidate", dataset, table.features)
    if candidate.horizon_weeks < spec.horizon_weeks:
        raise UserError(
            "CandidateFailed",
            f"the candidate answers {candidate.horizon_weeks} weeks ahead, the run asks for "
            f"{spec.horizon_weeks}: train it with the run's horizonWeeks",
        )
    models: dict[Role, Model] = {"candidate": candidate}
    if spec.champion_uri is not None:
        models["champion"] = load_model(spec.champion_uri, "champion", dataset, table.features)
    return models


def _report_left_out(directory: Path, backtest: Backtest) -> None:
    for entry in backtest.left_out:
        report_progress(
            directory,
            f"{entry.rows:,} of {backtest.found:,} rows left out for all forecasters; "
            f"{entry.forecaster}: {entry.reason}",
        )
    for forecaster in backtest.forecasters_left_out:
        report_progress(
            directory, f"{forecaster.forecaster} left out of all comparisons: {forecaster.reason}"
        )


def _evaluated(
    spec: EvaluateSpec, directory: Path, models: Mapping[Role, Model], backtest: Backtest
) -> Evaluated:
    every, masks = np.full(len(backtest.row), True), slices_of(backtest, spec.horizon_weeks)
    by_slice, not_scored = score_slices(backtest, masks)
    comparisons, not_compared = compare(backtest, {OVERALL: every, **masks})
    last, report = spec.snapshot.last_week, directory / _REPORT
    return Evaluated(
        overall=score(backtest, every),
        one_week_ahead=score(backtest, backtest.horizon == 1),
        slices=by_slice,
        levels=score_levels(backtest, {role: model.manifest.levels for role, model in models.items()}),
        slices_not_scored=[*not_scored, *not_compared],
        forecasters_left_out=backtest.forecasters_left_out,
        comparisons=comparisons,
        test_first_week=last - (spec.test_weeks - 1) * WEEK,
        test_last_week=last,
        analysis_rows_uri=(directory / _ANALYSIS_ROWS).as_uri(),
        report_uri=report.as_uri(),
        model_card_uri=(report / _MODEL_CARD).as_uri(),
    )


def _about(spec: EvaluateSpec, models: Mapping[Role, Model], backtest: Backtest) -> dict[str, object]:
    """Returns the part of metrics.json that is not in the result."""
    return {
        "snapshotId": spec.snapshot.id,
        "models": {
            role: {
                "onnxSha256": model.manifest.onnx_sha256,
                "snapshotId": model.manifest.snapshot_id,
                "featureSetVersion": model.manifest.feature_set_version,
                "horizonWeeks": model.manifest.horizon_weeks,
            }
            for role, model in models.items()
        },
        "rows": {"found": backtest.found, "scored": len(backtest.row), "leftOut": backtest.left_out},
    }


def _summary(result: Evaluated, unit: str | None) -> str:
    errors = ", ".join(f"{name} {amount(by.wmae, unit)}" for name, by in result.overall.items())
    return f"WMAE over {result.overall['candidate'].rows:,} rows: {errors}"


if __name__ == "__main__":
    main(run, EvaluateSpec)
