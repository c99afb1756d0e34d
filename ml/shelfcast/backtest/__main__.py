"""``python -m shelfcast.backtest --data DIR --origins WEEK,.. --out DIR``, behind ``npx shelfcast backtest``.

Writes ``forecasts.csv``, ``metrics.json`` and ``report.html`` to ``--out``, and a folder for each origin with
its features and its training, from which a repeated command resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from shelfcast.backtest import folder as folders
from shelfcast.backtest.folder import Folder
from shelfcast.backtest.origin import (
    BASELINES,
    TRAIN_DEFAULTS,
    Settings,
    check_baselines,
    fit_lightgbm,
    forecast,
    prepare,
    train,
)
from shelfcast.backtest.report import label, report_html
from shelfcast.backtest.scores import QUANTILES, score, slices, sums
from shelfcast.contracts.specs import TrainSpec
from shelfcast.contracts.wire import default
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
    parser.add_argument("--origins", required=True, help="last known weeks, ISO dates separated by commas")
    parser.add_argument("--out", required=True, type=Path, help="folder for the results")
    parser.add_argument(
        "--horizon", type=int, default=default(TrainSpec, "horizon_weeks"), help="weeks ahead"
    )
    parser.add_argument("--preset", default=default(TrainSpec, "preset"))
    parser.add_argument("--refit", choices=("true", "false"), default="true")
    parser.add_argument("--baselines", default="all", help=f"all, or some of {', '.join(BASELINES)}")
    parser.add_argument("--processes", type=int, default=TRAIN_DEFAULTS["processes"])
    parser.add_argument("--max-epochs", type=int, default=TRAIN_DEFAULTS["maxEpochs"])
    parser.add_argument("--validation-weeks", type=int, default=TRAIN_DEFAULTS["validationWeeks"])
    parser.add_argument("--seed", type=int, default=TRAIN_DEFAULTS["seed"])
    return parser


def _run(options: argparse.Namespace) -> None:
    origins = _origins(options.origins)
    names = BASELINES if options.baselines == "all" else options.baselines.split(",")
    settings = Settings(
        options.horizon,
        options.preset,
        check_baselines(names),
        {
            **TRAIN_DEFAULTS,
            "processes": options.processes,
            "maxEpochs": options.max_epochs,
            "seed": options.seed,
            "validationWeeks": options.validation_weeks,
        },
    )
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    source = folders.read(options.data, out / "bad-rows.csv")
    folders.check_origins(source, origins)
    frames, left_out = _forecasts(source, origins, settings, out / "origins", options.refit == "true")
    rows = source.with_actuals(pd.concat(frames, ignore_index=True))
    forecasters = [settings.preset, *settings.baselines]
    metrics = {
        "preset": settings.preset,
        "refit": options.refit == "true",
        "horizonWeeks": settings.horizon_weeks,
        "origins": [origin.isoformat() for origin in origins],
        "forecasts": len(rows),
        "withActual": int(rows["actual"].notna().sum()),
        "leftOut": [
            {"origin": origin.isoformat(), "store": store, "dept": dept}
            for origin, pairs in left_out.items()
            for store, dept in pairs
        ],
        **_metrics(rows[rows["actual"].notna()], forecasters),
    }
    _write(out, rows, metrics, source, forecasters)


def _origins(text: str) -> list[date]:
    try:
        origins = sorted({date.fromisoformat(part.strip()) for part in text.split(",")})
    except ValueError as error:
        raise UserError("InvalidInput", f"--origins: {error}; write them as 2011-07-29,2011-08-05") from None
    return origins


def _forecasts(
    source: Folder, origins: Sequence[date], settings: Settings, directory: Path, refit: bool
) -> tuple[list[pd.DataFrame], dict[date, Any]]:
    frames, left_out, fitted = [], {}, None
    for number, week in enumerate(origins, 1):
        begin = time.monotonic()
        origin = prepare(source, week, directory, settings)
        if fitted is None or refit:
            fitted = train(origin, settings), fit_lightgbm(origin, settings)
        frames.append(forecast(origin, *fitted, settings))
        left_out[week] = origin.left_out
        print(
            f"origin {week} ({number} of {len(origins)}): {len(frames[-1]):,} forecasts, "
            f"{time.monotonic() - begin:.0f} s",
            flush=True,
        )
    return frames, left_out


def _metrics(rows: pd.DataFrame, forecasters: Sequence[str]) -> dict[str, Any]:
    if len(rows) == 0:
        return {}
    return {
        "overall": score(rows, forecasters),
        "byHorizon": {str(h): score(part, forecasters) for h, part in rows.groupby("horizon")},
        "slices": {name: score(part, forecasters) for name, part in slices(rows).items()},
        "sums": sums(rows, forecasters),
    }


def _write(
    out: Path, rows: pd.DataFrame, metrics: dict[str, Any], source: Folder, forecasters: Sequence[str]
) -> None:
    usual = [*_KEYS, "p10", "p50", "p90", *forecasters[1:]]
    others = [name for name in QUANTILES if name not in usual]
    columns = [*usual, *others, "actual"]
    rows[columns].to_csv(out / "forecasts.csv", index=False, float_format="%.2f")
    write_json(out / "metrics.json", metrics)
    about = {
        "origins": ", ".join(metrics["origins"]),
        "weeks ahead": str(metrics["horizonWeeks"]),
        "model": metrics["preset"] + (", trained at each origin" if metrics["refit"] else ", one for all"),
        "forecasts": f"{metrics['forecasts']:,}, {metrics['withActual']:,} of them with actual sales",
        "series left out, since their store or department is unknown at the origin": str(
            len(metrics["leftOut"])
        ),
    }
    html = report_html(about, metrics, rows, source.history, forecasters)
    (out / "report.html").write_text(html, encoding="utf-8")
    print(json.dumps({name: metrics[name] for name in ("forecasts", "withActual")}))
    for name, by in metrics.get("overall", {}).items():
        wape = "" if by["wape"] is None else f", WAPE {by['wape']:.2%}"
        cover = f", 80 % interval holds {by['coverage80']:.1%}" if "coverage80" in by else ""
        print(f"{label(name):24}WMAE {by['wmae']:>9,.2f}{wape}{cover}")
    print(f"written: {out / 'forecasts.csv'}, metrics.json, report.html")


if __name__ == "__main__":
    raise SystemExit(main())
