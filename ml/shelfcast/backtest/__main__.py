"""``python -m shelfcast.backtest --data DIR --origins WEEK,.. --out DIR``, behind ``npx shelfcast backtest``.

Writes ``forecasts.csv``, ``levels.csv``, ``metrics.json`` and ``report.html`` to ``--out``, and a folder for
each origin with its features and its training, from which a repeated command resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd

from shelfcast.backtest import folder as folders
from shelfcast.backtest.folder import Folder
from shelfcast.backtest.level_totals import Scales, level_rows, scales_of, score_level_rows
from shelfcast.backtest.origin import (
    BASELINES,
    DEFAULT_PROCESSES,
    Settings,
    check_baselines,
    check_preset,
    fit_lightgbm,
    forecast,
    prepare,
    train,
)
from shelfcast.backtest.report import label, report_html
from shelfcast.backtest.scores import QUANTILES, Errors, SeriesLeftOut, Summary, comparable, score, slices
from shelfcast.contracts.specs import DEFAULT_UNIT, Declaration, TrainSpec
from shelfcast.contracts.wire import bounds, decode, default, encode
from shelfcast.ids import Ids
from shelfcast.job import UserError, write_json

_KEYS = ["origin", "store", "dept", "target_week", "horizon"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 2 where the user or the data is at fault."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except UserError as error:
        print(f"{error.type}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backtest")
    parser.add_argument("--data", required=True, type=Path, help="folder in the Walmart or the long layout")
    parser.add_argument("--declaration", help="meaning of the columns, as JSON")
    parser.add_argument("--origins", required=True, help="last known weeks, ISO dates separated by commas")
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument(
        "--horizon",
        dest="horizon_weeks",
        type=int,
        default=default(TrainSpec, "horizon_weeks"),
        help="weeks ahead",
    )
    parser.add_argument("--preset", default=default(TrainSpec, "preset"), help="preset of the model")
    parser.add_argument(
        "--refit",
        choices=("true", "false"),
        default="true",
        help="train a model at each origin, or only at the first",
    )
    parser.add_argument("--baselines", default="all", help=f"all, or some of {', '.join(BASELINES)}")
    parser.add_argument("--processes", type=int, default=DEFAULT_PROCESSES, help="training processes")
    parser.add_argument(
        "--max-epochs", type=int, default=default(TrainSpec, "max_epochs"), help="largest number of epochs"
    )
    parser.add_argument(
        "--validation-weeks",
        type=int,
        default=default(TrainSpec, "validation_weeks"),
        help="target weeks before the origin for early stopping and calibration",
    )
    parser.add_argument("--seed", type=int, default=default(TrainSpec, "seed"), help="seed of the training")
    return parser


def _run(options: argparse.Namespace) -> None:
    origins = _origins(options.origins)
    names = BASELINES if options.baselines == "all" else options.baselines.split(",")
    settings = Settings(
        horizon_weeks=_bounded(options, "horizon_weeks"),
        preset=check_preset(options.preset),
        baselines=check_baselines(names),
        processes=_bounded(options, "processes"),
        max_epochs=_bounded(options, "max_epochs"),
        validation_weeks=_bounded(options, "validation_weeks"),
        seed=_bounded(options, "seed"),
    )
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    source = folders.read(options.data, out / "bad-rows.csv", _declaration(options.declaration))
    for sentence in source.notes:
        print(f"note: {sentence}")
    folders.check_origins(source, origins)
    frames, left_out, scales = _forecasts(source, origins, settings, out / "origins", options.refit == "true")
    rows = source.with_actuals(pd.concat(frames, ignore_index=True))
    # The presets of the two naive forecasts have the names of their baselines.
    forecasters = [settings.preset, *(name for name in settings.baselines if name != settings.preset)]
    known = rows[rows["actual"].notna()]
    compared = comparable(known, settings.baselines)
    sum_levels = partial(
        level_rows, levels=source.levels, ids=source.ids, scales=scales, forecasters=forecasters
    )
    summary = Summary(
        preset=settings.preset,
        refit=options.refit == "true",
        horizon_weeks=settings.horizon_weeks,
        origins=origins,
        forecasts=len(rows),
        with_actual=len(known),
        not_compared=len(known) - len(compared),
        left_out=left_out,
    )
    errors = None
    if len(compared) > 0:
        errors = _errors(compared, sum_levels(compared), forecasters, source.ids)
    _write_levels(out, sum_levels(rows[rows["is_current"]]))
    _write(out, rows, summary, errors, source, forecasters)


def _bounded(options: argparse.Namespace, name: str) -> int:
    """Returns the value of an option, within the bounds that a pipeline's input has."""
    value: int = getattr(options, name)
    least, most = bounds(TrainSpec, name)
    if not least <= value <= most:
        option = "horizon" if name == "horizon_weeks" else name.replace("_", "-")
        raise UserError("InvalidInput", f"--{option} is {value}; it must be {least} to {most}")
    return value


def _origins(text: str) -> list[date]:
    try:
        origins = sorted({date.fromisoformat(part.strip()) for part in text.split(",")})
    except ValueError as error:
        raise UserError("InvalidInput", f"--origins: {error}; write them as 2011-07-29,2011-08-05") from None
    return origins


def _declaration(text: str | None) -> Declaration | None:
    try:
        return None if text is None else decode(Declaration, json.loads(text), "--declaration")
    except (ValueError, RecursionError) as error:
        raise UserError("InvalidInput", f"--declaration: {error}") from error


def _forecasts(
    source: Folder, origins: Sequence[date], settings: Settings, directory: Path, refit: bool
) -> tuple[list[pd.DataFrame], list[SeriesLeftOut], dict[date, Scales]]:
    frames, left_out, fitted, scales = [], [], None, {}
    for number, week in enumerate(origins, 1):
        begin = time.monotonic()
        origin = prepare(source, week, directory, settings)
        if fitted is None or refit:
            fitted = train(origin, settings), fit_lightgbm(origin, settings)
        frames.append(forecast(origin, *fitted, settings))
        scales[week] = scales_of(fitted[0])
        left_out += [
            SeriesLeftOut(
                origin=week, store=source.ids.shown("store", store), dept=source.ids.shown("dept", dept)
            )
            for store, dept in origin.left_out
        ]
        print(
            f"origin {week} ({number} of {len(origins)}): {len(frames[-1]):,} forecasts, "
            f"{time.monotonic() - begin:.0f} s",
            flush=True,
        )
    return frames, left_out, scales


def _errors(rows: pd.DataFrame, of_levels: pd.DataFrame, forecasters: Sequence[str], ids: Ids) -> Errors:
    return Errors(
        overall=score(rows, forecasters),
        by_horizon={str(h): score(part, forecasters) for h, part in rows.groupby("horizon")},
        slices={name: score(part, forecasters) for name, part in slices(rows, ids).items()},
        levels=score_level_rows(of_levels, forecasters),
    )


def _write_levels(out: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(out / "levels.csv", index=False, float_format="%.2f")


def _write(
    out: Path,
    rows: pd.DataFrame,
    summary: Summary,
    errors: Errors | None,
    source: Folder,
    forecasters: Sequence[str],
) -> None:
    usual = [*_KEYS, "p10", "p50", "p90", *forecasters[1:]]
    others = [name for name in QUANTILES if name not in usual]
    columns = [*usual, *others, "actual"]
    shown = rows[columns].assign(
        store=[source.ids.shown("store", store) for store in rows["store"]],
        dept=[source.ids.shown("dept", dept) for dept in rows["dept"]],
    )
    shown.to_csv(out / "forecasts.csv", index=False, float_format="%.2f")
    write_json(out / "metrics.json", encode(summary) | ({} if errors is None else encode(errors)))
    about = {
        "origins": ", ".join(map(str, summary.origins)),
        "weeks ahead": str(summary.horizon_weeks),
        "model": summary.preset + (", trained at each origin" if summary.refit else ", one for all"),
        "forecasts": f"{summary.forecasts:,}, {summary.with_actual:,} of them with actual sales",
        "series left out, since their department is unknown at the origin": str(len(summary.left_out)),
    }
    if summary.not_compared:
        about["forecasts with actual sales that a baseline lacks, which are not scored"] = (
            f"{summary.not_compared:,}"
        )
    if source.hidden_weeks:
        about["weeks of series that were shut or out of stock, which are not scored"] = (
            f"{source.hidden_weeks:,}"
        )
    unit = source.unit or DEFAULT_UNIT
    html = report_html(about, errors, rows, source.history, forecasters, source.ids, unit)
    (out / "report.html").write_text(html, encoding="utf-8")
    print(json.dumps({"forecasts": summary.forecasts, "withActual": summary.with_actual}))
    width = max(len(label(name)) for name in forecasters)
    for name, by in ({} if errors is None else errors.overall).items():
        wape = "" if by.wape is None else f", WAPE {by.wape:.2%}"
        cover = "" if by.coverage80 is None else f", 80 % interval holds {by.coverage80:.1%}"
        print(f"{label(name):{width}}  WMAE {by.wmae:>9,.2f} {unit}{wape}{cover}")
    for level, of_level in ({} if errors is None else errors.levels).items():
        by_model = of_level[forecasters[0]]
        wape = "" if by_model.wape is None else f", WAPE {by_model.wape:.2%}"
        cover = "" if by_model.coverage80 is None else f", 80 % interval holds {by_model.coverage80:.1%}"
        print(f"{label(forecasters[0])} by {level}: {by_model.rows:,} totals{wape}{cover}")
    print(f"written: {out / 'forecasts.csv'}, levels.csv, metrics.json, report.html")


if __name__ == "__main__":
    raise SystemExit(main())
