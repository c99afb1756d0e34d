"""Files that jobs write: results, errors, progress, and samples for the rollout.

Generated from contracts/ by ``npm run generate``; never edited by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from shelfcast.contracts.specs import Snapshot
from shelfcast.contracts.wire import Bounds

#: Consequence of a broken rule: `error` stops the run before anything is written, `warning` is reported.
Severity = Literal["error", "warning"]


#: Outcome of a rule; `notChecked` if there is nothing to compare with, or it does not apply to the source.
Outcome = Literal["kept", "warned", "stopped", "overridden", "notChecked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRule:
    """A rule of the data-quality checks and its outcome.

    Attributes:
        name: Name of the rule.
        text: Sentence that the data must satisfy.
        rows: Number of rows, weeks or stores that break the rule; `text` names which.
        examples: Up to five violations in words.
    """

    name: str
    severity: Severity
    text: str
    outcome: Outcome
    rows: int
    examples: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Outcome of the data-quality checks.

    Attributes:
        report_uri: Folder with quality.html and quality.json.
        rules: All rules.
    """

    report_uri: str
    rules: list[QualityRule]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """Result of the ingest job.

    Attributes:
        inserted_rows: Rows that were new or differed from the newest known value.
        unchanged_rows: Rows that equalled the newest known value.
        bad_rows: Rows that break a rule for single rows.
        bad_rows_uri: bad-rows.csv (file, line, column, value, rule, name), or null when there were none.
        oracle_uri: Parquet (store, dept, week, expected_sales) of the generator's noise-free means; null for
            real data.
    """

    snapshot: Snapshot
    inserted_rows: int
    unchanged_rows: int
    bad_rows: int
    bad_rows_uri: str | None
    oracle_uri: str | None
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesResult:
    """Result of the features job.

    Attributes:
        feature_set_version: Hash of the feature definitions; a change of definition is a new version.
        training_data_uri: Folder with `series-*.parquet` (one row per series and origin), `calendar.parquet`
            and `features.json`.
        offline_rows: Number of rows of sales_history in Feast's offline store.
        online_entities: Number of series in Feast's online store.
        window_start: First origin that was materialized online.
        window_end: Last origin that was materialized online.
        skew_sample_uri: JSON file of a `SkewSample`.
    """

    feature_set_version: str
    training_data_uri: str
    offline_rows: int
    online_entities: int
    window_start: date
    window_end: date
    skew_sample_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """A finished epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Weighted mean of the quantile loss over the members of the network, USD.
        validation_loss: Quantile loss of the combined forecast on the validation weeks, USD.
        seconds: Duration of the epoch.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    seconds: float


#: Reason why no further epoch was trained.
StoppedBy = Literal["epochs", "patience", "wallTime", "gpuSeconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialParameters:
    """Searched parameters.

    Attributes:
        learning_rate: Peak learning rate.
        batch_size: Samples in a minibatch.
        weight_decay_factor: Factor on the weight decay of the preset's members.
    """

    learning_rate: float
    batch_size: int
    weight_decay_factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A short training of the parameter search.

    Attributes:
        number: Number of the trial, from 1; the first one has the run's own parameters.
        validation_loss: Lowest validation loss of the trial's epochs; null when its loss was not finite.
    """

    number: int
    parameters: TrialParameters
    validation_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """Result of the parameter search.

    Attributes:
        trials: All trials, in order.
        best: Trial with the lowest loss, whose parameters the training used.
    """

    trials: list[Trial]
    best: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleForecastResult:
    """A simple forecast that may take the place of the model.

    Attributes:
        name: Name of the simple forecast.
        model_uri: Its model folder.
        model_hash: SHA-256 of its model.onnx, hex.
        validation_wmae: Its WMAE on the validation weeks, USD.
    """

    name: str
    model_uri: str
    model_hash: str
    validation_wmae: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WideIntervals:
    """The model with intervals that held 80 % of the sales in each single validation week.

    Attributes:
        model_uri: Its model folder.
        model_hash: SHA-256 of its model.onnx, hex.
        factor: Factor on the width of the intervals.
    """

    model_uri: str
    model_hash: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Result of the train job.

    Attributes:
        model_uri: Folder in MLflow's model format with model.onnx, model.json and MLmodel.
        model_hash: SHA-256 of model.onnx, hex.
        parameter_count: Number of parameters; 0 for a simple forecast.
        best_epoch: Epoch whose weights were kept.
        epochs: All epochs, in order.
        started_from_epochs: Epoch that each start of the training resumed from; [0] for a run without
            interruption.
        report_uri: Folder with loss.png and data-sample.csv, and search.json when there was a search.
        simple_forecasts: The simple forecasts, the one with the lowest WMAE on the validation weeks first.
    """

    model_uri: str
    model_hash: str
    parameter_count: int
    best_epoch: int
    epochs: list[EpochMetrics]
    stopped_by: StoppedBy
    started_from_epochs: list[int]
    report_uri: str
    search: SearchResult | None = None
    simple_forecasts: list[SimpleForecastResult] | None = None
    wide_intervals: WideIntervals | None = None


#: Forecaster in the backtest. All are scored on exactly the same rows.
Forecaster = Literal["candidate", "champion", "simple", "naive", "seasonal_naive", "oracle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Errors of one forecaster.

    Attributes:
        wmae: Weighted mean absolute error, USD; holiday weeks weigh 5 (the Walmart competition's measure).
        wape: Sum of absolute errors over sum of absolute actuals; null where all actuals are 0.
        mase: MAE divided by the in-sample MAE of a naive forecast of the series; null where no series has
            one.
        rmse: Root mean squared error, USD.
        bias: Mean of forecast minus actual, USD.
        pinball: Pinball loss, USD, the mean over the model's quantiles; null for point forecasts.
        coverage80: Share of actuals inside [p10, p90]; null for point forecasts.
        coverage95: Share of actuals inside [p2.5, p97.5]; null for point forecasts and for models without
            these quantiles.
        rows: Number of rows that were scored.
    """

    wmae: float
    wape: float | None
    mase: float | None
    rmse: float
    bias: float
    pinball: float | None
    coverage80: float | None
    coverage95: float | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelMetrics:
    """Errors of one forecaster's totals at a level.

    Attributes:
        wape: Sum of absolute errors over sum of absolute actuals, of totals; null where all are 0.
        bias: Mean of forecast minus actual, USD.
        coverage80: Share of actual totals inside [p10, p90]; null where the forecaster has no interval.
        rows: Number of totals: one for each member, target week and number of weeks ahead.
    """

    wape: float | None
    bias: float
    coverage80: float | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceNotScored:
    """A slice without metrics or without some comparison.

    Attributes:
        slice: Name of the slice.
        reason: Reason in words.
    """

    slice: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecasterLeftOut:
    """A forecaster that is not compared.

    Attributes:
        reason: Reason in words.
    """

    forecaster: Forecaster
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Relative WMAE difference of the candidate and another forecaster, candidate / other - 1.

    Attributes:
        slice: `overall`, or the name of a slice.
        difference: Relative WMAE difference; negative means that the candidate is better.
        lower: Lower end of the difference's 95 % interval (paired bootstrap of series and target weeks).
        upper: Upper end of the interval.
        rows: Number of rows.
        series: Number of series.
        weeks: Number of target weeks; a single one says nothing about others.
    """

    slice: str
    against: Forecaster
    difference: float
    lower: float
    upper: float
    rows: int
    series: int
    weeks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Scores of a candidate, and the files made of them.

    Attributes:
        overall: Metrics of all horizons together.
        one_week_ahead: Metrics one week ahead.
        slices: Slice name (for example `store_type=A`, `holiday=true`, `volume=low`) to forecaster to
            metrics.
        levels: Level name (`store`, `dept`, `total`, or a declared one) to forecaster to metrics.
        slices_not_scored: Slices without metrics or without some comparison, each with the reason.
        forecasters_left_out: Forecasters that can forecast too few rows to be compared, each with the reason.
        comparisons: Comparisons of the candidate with the champion and the two naive forecasts.
        test_first_week: First test week.
        test_last_week: Last test week.
        analysis_rows_uri: JSON lines of `AnalysisRow`: known weeks that the rollout sends to the deployed
            endpoint.
        report_uri: Folder with the plots, metrics.json and model-card.md.
        model_card_uri: Model card without the gate's decision; the one in MLflow has it.
    """

    overall: dict[Forecaster, Metrics]
    one_week_ahead: dict[Forecaster, Metrics]
    slices: dict[str, dict[Forecaster, Metrics]]
    levels: dict[str, dict[Forecaster, LevelMetrics]] | None = None
    slices_not_scored: list[SliceNotScored]
    forecasters_left_out: list[ForecasterLeftOut] | None = None
    comparisons: list[Comparison]
    test_first_week: date
    test_last_week: date
    analysis_rows_uri: str
    report_uri: str
    model_card_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult:
    """Result of the evaluate job.

    Attributes:
        overall: Metrics of all horizons together.
        one_week_ahead: Metrics one week ahead.
        slices: Slice name (for example `store_type=A`, `holiday=true`, `volume=low`) to forecaster to
            metrics.
        levels: Level name (`store`, `dept`, `total`, or a declared one) to forecaster to metrics.
        slices_not_scored: Slices without metrics or without some comparison, each with the reason.
        forecasters_left_out: Forecasters that can forecast too few rows to be compared, each with the reason.
        comparisons: Comparisons of the candidate with the champion and the two naive forecasts.
        test_first_week: First test week.
        test_last_week: Last test week.
        analysis_rows_uri: JSON lines of `AnalysisRow`: known weeks that the rollout sends to the deployed
            endpoint.
        report_uri: Folder with the plots, metrics.json and model-card.md.
        model_card_uri: Model card without the gate's decision; the one in MLflow has it.
        simple: Each simple forecast as the candidate, in the order of the spec.
        wide: The candidate with wider intervals, if there is one and its own hold too few actuals.
    """

    overall: dict[Forecaster, Metrics]
    one_week_ahead: dict[Forecaster, Metrics]
    slices: dict[str, dict[Forecaster, Metrics]]
    levels: dict[str, dict[Forecaster, LevelMetrics]] | None = None
    slices_not_scored: list[SliceNotScored]
    forecasters_left_out: list[ForecasterLeftOut] | None = None
    comparisons: list[Comparison]
    test_first_week: date
    test_last_week: date
    analysis_rows_uri: str
    report_uri: str
    model_card_uri: str
    simple: list[Evaluated] | None = None
    wide: Evaluated | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewInstance:
    """Features of one series and target week.

    Attributes:
        store: Store number.
        dept: Department number.
        horizon: Weeks ahead.
        target_week: Target week.
        features: Every feature of the data set by its name in the model; null is unknown.
    """

    store: int
    dept: int
    horizon: int
    target_week: date
    features: dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewSample:
    """Features of some series at the newest origin, equal in the training data, offline and online.

    Attributes:
        snapshot_id: Id of the snapshot.
        feature_set_version: Version of the feature definitions.
        origin: Newest origin.
        compared_values: Number of values that the job compared.
        sample: Instances that were compared.
    """

    snapshot_id: str
    feature_set_version: str
    origin: date
    compared_values: int
    sample: list[SkewInstance]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRow:
    """One known week: features as of the origin, actual sales, and the forecast of the evaluated model.

    Attributes:
        store: Store number.
        dept: Department number.
        horizon: Weeks ahead.
        target_week: Target week.
        features: Candidate's features as of the origin; null is unknown.
        actual: Sales in the target week, USD.
        expected: The candidate's quantiles, in the order of its model.json.
    """

    store: int
    dept: int
    horizon: int
    target_week: date
    features: dict[str, float | None]
    actual: float
    expected: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMetrics:
    """Progress within an epoch, reported every few seconds.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Step within the epoch, from 1 to `steps`.
        steps: Steps per epoch.
        loss: Mean of the epoch so far, USD, over the samples of the first process.
        eta_seconds: Estimated seconds until the last epoch ends, if the training does not stop earlier.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    eta_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """A line of progress.jsonl.

    Attributes:
        message: One line for people.
        fraction: Share done, 0 to 1.
    """

    message: str
    fraction: Annotated[float, Bounds(0, 1)] | None = None
    epoch: EpochMetrics | None = None
    training: StepMetrics | None = None


#: Error type of contracts/errors.ts.
ErrorType = Literal[
    "InvalidInput",
    "BadData",
    "ModelBusy",
    "JobFailed",
    "ServiceUnavailable",
    "CandidateFailed",
    "AnalysisInconclusive",
    "Aborted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Content of error.json.

    Attributes:
        message: Sentence for people.
    """

    type: ErrorType
    message: str


#: Baselines that the gate compares the candidate with.
GATE_BASELINES: tuple[Forecaster, ...] = ("naive", "seasonal_naive")


#: Names of the forecasters in tables, plots and sentences.
FORECASTER_LABELS: dict[Forecaster, str] = {
    "candidate": "candidate",
    "champion": "champion",
    "simple": "simple forecast",
    "naive": "naive forecast (last week)",
    "seasonal_naive": "seasonal naive forecast (last year)",
    "oracle": "oracle (best reachable)",
}
