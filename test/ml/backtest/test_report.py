"""The HTML page of a backtest, from made-up forecasts."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pandas as pd

from shelfcast.backtest.report import examples, report_html
from shelfcast.backtest.scores import Errors, Score
from shelfcast.calendar import WEEK
from shelfcast.contracts.results import LevelMetrics
from shelfcast.ids import Ids

ORIGIN = date(2026, 5, 1)
FORECASTERS = ("global", "lightgbm")
ABOUT = {"folder": "<b>sales</b>"}


def rows(actual: float | None) -> pd.DataFrame:
    """Forecasts of two series for three weeks."""
    frame = pd.DataFrame(
        [(ORIGIN, 1, dept, ORIGIN + h * WEEK, h) for dept in (1, 2) for h in (1, 2, 3)],
        columns=["origin", "store", "dept", "target_week", "horizon"],
    )
    quantiles = {"p2_5": 70.0, "p10": 80.0, "p50": 100.0, "p90": 120.0, "p97_5": 130.0}
    return frame.assign(**quantiles, lightgbm=110.0, actual=actual)


def history() -> pd.DataFrame:
    return pd.DataFrame(
        [(1, dept, ORIGIN + n * WEEK, 100.0) for dept in (1, 2) for n in range(-5, 4)],
        columns=["store", "dept", "week", "weekly_sales"],
    )


def errors() -> Errors:
    model = Score(wmae=1234.5, wape=0.25, mase=None, rmse=20.0, bias=-1234.5, rows=6, scaled_rows=0)
    scores = {
        "global": replace(model, coverage80=0.5, coverage95=0.75),
        "lightgbm": replace(model, wmae=1000.0, wape=None),
    }
    return Errors(
        overall=scores,
        by_horizon={"1": scores, "2": scores, "3": scores},
        slices={"dept=<1>": scores},
        levels={
            "store": {
                "global": LevelMetrics(wape=0.125, bias=-77.5, coverage80=0.785, rows=3),
                "lightgbm": LevelMetrics(wape=None, bias=1.5, coverage80=None, rows=3),
            }
        },
    )


def test_tables_and_figures_show_the_errors() -> None:
    html = report_html(ABOUT, errors(), rows(95.0), history(), FORECASTERS)
    assert html.count('src="data:image/png;base64,') == 3
    for cell in ("$1,234", "-$1,234", "25.0 %", "50.0 %", "75.0 %", "12.5 %", "78.5 %", ""):
        assert f"<td>{cell}</td>" in html
    assert html.count('class="best"') == 1
    best = html.split('class="best"')[1].split("</tr>")[0]
    assert "<td>LightGBM</td>" in best
    assert "<td>$1,000</td>" in best


def test_text_of_the_data_is_escaped() -> None:
    html = report_html(ABOUT, errors(), rows(95.0), history(), FORECASTERS)
    assert "&lt;b&gt;sales&lt;/b&gt;" in html
    assert "<b>sales" not in html
    assert "dept=&lt;1&gt;" in html


def test_without_actual_sales_there_are_no_tables() -> None:
    html = report_html(ABOUT, None, rows(None), history(), FORECASTERS)
    assert "nothing to compare with" in html
    assert "<table" not in html
    assert "data:image" not in html


def test_examples_are_series_that_sell() -> None:
    each = [rows(0.0).assign(dept=dept) for dept in (1, 2, 3)]
    figure = examples(pd.concat([*each, rows(80.0).assign(dept=4)]), history())
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == [
        f"{name}: store 1, dept 4, WAPE 25.0%" for name in ("best", "median", "worst")
    ]


def test_examples_have_the_ids_of_the_data() -> None:
    ids = Ids({"store": {1: "$5 & $more"}, "dept": {4: "FOODS_$4$"}})
    figure = examples(rows(80.0).assign(dept=4), history(), ids)
    assert figure is not None
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_title() == "best: store $5 & $more, dept FOODS_$4$, WAPE 25.0%"


def test_without_a_series_that_sells_there_are_no_examples() -> None:
    html = report_html(ABOUT, errors(), rows(0.0), history(), FORECASTERS)
    assert html.count('src="data:image/png;base64,') == 2
    assert "worst series" not in html
