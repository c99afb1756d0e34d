"""Model card in Markdown: provenance of the candidate, its errors, and its limits.

The promotion gate decides after this job; activities/model-card.ts adds its decision when it logs the card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shelfcast.contracts.model import ModelManifest
from shelfcast.contracts.results import FORECASTER_LABELS, Evaluated, Forecaster, LevelMetrics, Metrics
from shelfcast.contracts.specs import EvaluateSpec
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.code_version import code_version
from shelfcast.evaluate.metrics import ByForecaster
from shelfcast.formatting import amount, percent
from shelfcast.models.imputation import IMPUTATION

#: Metric, header in tables, and format of its values; None for an amount.
_METRICS: tuple[tuple[Callable[[Metrics], float | None], str, Callable[[float], str] | None], ...] = (
    (lambda metrics: metrics.wmae, "WMAE", None),
    (lambda metrics: metrics.wape, "WAPE", percent),
    (lambda metrics: metrics.mase, "MASE", "{:.3f}".format),
    (lambda metrics: metrics.rmse, "RMSE", None),
    (lambda metrics: metrics.bias, "bias", None),
    (lambda metrics: metrics.pinball, "pinball", None),
    (lambda metrics: metrics.coverage80, "in 80 % interval", percent),
    (lambda metrics: metrics.coverage95, "in 95 % interval", percent),
)


def model_card(spec: EvaluateSpec, manifest: ModelManifest, backtest: Backtest, result: Evaluated) -> str:
    """Returns the card in Markdown.

    Args:
        spec: Spec of the job.
        manifest: Manifest of the candidate.
        backtest: Backtest on the test weeks.
        result: Result of the job.
    """
    preset, unit = manifest.preset, spec.snapshot.unit
    unknown = (f"Not described for this preset: see the code of {preset} in ml/shelfcast/models.",)
    parts = [
        f"# Model card: {preset}, trained on {spec.snapshot.dataset}",
        f"Forecasts the weekly sales of a department in a store, {unit or 'US dollars'}, "
        f"1 to {manifest.horizon_weeks} weeks ahead: the quantiles "
        f"{', '.join(map(str, manifest.quantiles))}.",
        _table(("what", "value"), _facts(spec, manifest, backtest, result)),
        "## Errors on weeks that the model never saw",
        "Holiday weeks weigh 5 in WMAE. All forecasters are scored on the same rows."
        + (
            f" The {backtest.hidden_weeks:,} weeks of the data in which a series was shut or out of stock "
            "are not scored."
            if backtest.hidden_weeks
            else ""
        ),
        _errors(result.overall, unit),
        "### One week ahead",
        _errors(result.one_week_ahead, unit),
        "## Totals by level (WAPE)",
        _levels(result.levels or {}, unit),
        "## Slices (WMAE)",
        _slices(result.slices, unit),
        _list([f"{entry.slice}: {entry.reason}" for entry in result.slices_not_scored], "Not scored:"),
        "## Missing values",
        _list(IMPUTATION.get(preset, unknown)),
        "## Limits",
        _list(_limits(manifest, backtest, result)),
        "## Licence",
        "The code that trains and runs the model is under Apache-2.0. Its use also needs the consent of the "
        "owner of the sales data.",
    ]
    return "\n\n".join(part for part in parts if part != "") + "\n"


def _facts(
    spec: EvaluateSpec, manifest: ModelManifest, backtest: Backtest, result: Evaluated
) -> list[tuple[str, str]]:
    snapshot = spec.snapshot
    left_out = backtest.found - len(backtest.row)
    return [
        (
            "data snapshot",
            f"{snapshot.id}: {snapshot.row_count:,} rows of {snapshot.series_count:,} series, "
            f"{snapshot.first_week} to {snapshot.last_week}",
        ),
        ("trained on snapshot", manifest.snapshot_id),
        ("feature set version", f"{manifest.feature_set_version}, {len(manifest.features)} features"),
        ("preset", manifest.preset),
        ("model.onnx", f"SHA-256 {manifest.onnx_sha256}"),
        ("code", code_version()),
        ("test weeks", f"{result.test_first_week} to {result.test_last_week}"),
        ("forecasts scored", f"{len(backtest.row):,} of {backtest.found:,}, {left_out:,} left out for all"),
    ]


def _errors(by_forecaster: ByForecaster, unit: str | None) -> str:
    lines = []
    for name, metrics in by_forecaster.items():
        values = ((value_of(metrics), form) for value_of, _, form in _METRICS)
        cells = (
            "" if value is None else form(value) if form else amount(value, unit) for value, form in values
        )
        lines.append((FORECASTER_LABELS[name], *cells))
    return _table(("", *(head for _, head, _ in _METRICS)), lines)


def _levels(by_level: Mapping[str, Mapping[Forecaster, LevelMetrics]], unit: str | None) -> str:
    if not by_level:
        return ""
    names = list(next(iter(by_level.values())))
    lines = []
    for level, by_forecaster in by_level.items():
        candidate = by_forecaster["candidate"]
        errors = (by_forecaster[name].wape for name in names)
        lines.append(
            (
                level,
                f"{candidate.rows:,}",
                *("" if error is None else percent(error) for error in errors),
                amount(candidate.bias, unit),
                "" if candidate.coverage80 is None else percent(candidate.coverage80),
            )
        )
    labels = (FORECASTER_LABELS[name] for name in names)
    return _table(("level", "totals", *labels, "bias", "in 80 % interval"), lines)


def _slices(by_slice: Mapping[str, ByForecaster], unit: str | None) -> str:
    if not by_slice:
        return ""
    names = list(next(iter(by_slice.values())))
    lines = []
    for slice_, by_forecaster in by_slice.items():
        candidate = by_forecaster["candidate"]
        errors = (amount(by_forecaster[name].wmae, unit) for name in names)
        covered = candidate.coverage80
        # The name of a store type is text of the user's.
        name = slice_.replace("|", "\\|")
        lines.append((name, f"{candidate.rows:,}", *errors, "" if covered is None else percent(covered)))
    return _table(("slice", "rows", *(FORECASTER_LABELS[name] for name in names), "in 80 % interval"), lines)


def _limits(manifest: ModelManifest, backtest: Backtest, result: Evaluated) -> list[str]:
    covered = result.overall["candidate"].coverage80
    assert covered is not None
    weeks, holidays = np.unique(backtest.target_week), np.unique(backtest.target_week[backtest.holiday])
    return [
        f"It does not answer more than {manifest.horizon_weeks} weeks ahead.",
        f"The errors are of {len(weeks)} target weeks, {len(holidays)} of them with a holiday: other seasons "
        "may differ.",
        *(
            f"{entry.rows:,} forecasts are in none of these figures; "
            f"{FORECASTER_LABELS[entry.forecaster]}: {entry.reason}."
            for entry in backtest.left_out
        ),
        *(
            f"It is not compared with this forecaster: {FORECASTER_LABELS[entry.forecaster]}; {entry.reason}."
            for entry in backtest.forecasters_left_out
        ),
        "The seasonal naive forecast cannot answer for most weeks of a series in its first year: the figures "
        "say little of new series.",
        f"80 % intervals held {percent(covered)} of actual sales. They are calibrated on the validation "
        "weeks, over many series and weeks: a single series may have more or less.",
        "Quantiles of series must not be added up, since errors partly cancel out in a total: the endpoint "
        "answers p10 and p90 of totals.",
        "It knows no promotion, weather or closure of the target week unless a covariate known in advance "
        "holds it.",
    ]


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])] if len(head) > 2 else ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _list(sentences: Sequence[str], title: str = "") -> str:
    if not sentences:
        return ""
    items = "\n".join(f"- {sentence}" for sentence in sentences)
    return f"{title}\n\n{items}" if title else items
