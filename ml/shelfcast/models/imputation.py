"""Imputation rules of each preset, in words, for the model card.

The rules are implemented in ``summaries``, ``windows``, ``mlp_11`` and ``simple``; keep both in step. This
module does not import torch.
"""

from __future__ import annotations

_NAN = "A missing value reaches the graph as NaN, never as 0; model.onnx replaces it."

_GLOBAL = (
    _NAN,
    "For lags, windows, means and ratios, and for covariates that the data set declares, the network is also "
    "told whether the value is known.",
    "Sales of the last 13 weeks: the mean of the known ones among the last 8; without any, the mean of 13,"
    " then of 52 weeks. A mean of few weeks: the next longer one.",
    "Last year's week of the target: the mean of 13 weeks times the department's season. The weeks around "
    "it: the value of that week.",
    "Growth over a year: the department's, then the store's, then none. Season of the department: none.",
    "A series without any sales so far: the recent mean of its department in all stores.",
    "A store or department that was not trained on: the mean of all learned ones.",
    "Other features of the series in dollars: its level. Weeks of the department: the department's recent "
    "mean. All others, and covariates that the data set declares: 0.",
)

_SIMPLE = (
    _NAN,
    "Without sales in the origin week: the newest known week of the series, then its mean of 13 weeks, then "
    "of 52 weeks.",
    "A series without any sales so far: the newest known mean of its department in all stores, else 0.",
    "The spread that intervals are in proportion to: the standard deviation of 13 weeks, then of 52 weeks, "
    "at least 5 % of the mean.",
)

_SEASONAL = (
    *_SIMPLE,
    "Last year's week of the target: the mean of 13 weeks times the department's season, and no growth. The "
    "weeks around it: the value of that week.",
    "Growth over a year: the department's, then the store's, then none. Season of the department: none.",
)

_INTERMITTENT = (
    *_SIMPLE[:-1],
    "A series without a sale, and data without intermittent series: the mean of 52 weeks, then of 13 weeks.",
    "The spread that intervals are in proportion to: the standard deviation of 52 weeks, then of 13 weeks, "
    "at least 5 % of the mean.",
)

#: Sentences by preset.
IMPUTATION: dict[str, tuple[str, ...]] = {
    "global": _GLOBAL,
    # Members of global itself, and a network that is fed by one of its preparations.
    "ensemble": _GLOBAL,
    "lstm": _GLOBAL,
    "mlp-11": (
        _NAN,
        "The level of a series: its mean of 13 weeks, then of 52 weeks, then its department's mean of 4"
        " weeks in all stores, then 0.",
        "Features in dollars: that level. Others: 0. The network is not told which values are missing.",
    ),
    "naive": _SIMPLE,
    "seasonal_naive": (*_SIMPLE, "Last year's week of the target: the naive forecast."),
    "moving_average": (*_SIMPLE, "A mean of few weeks: the mean of 13 weeks, then of 52 weeks."),
    "seasonal_average": _SEASONAL,
    "structural": (
        *_SIMPLE,
        "A series without a structural forecast: the mean of 13 weeks, with the season of its department.",
    ),
    "croston": _INTERMITTENT,
    "tsb": _INTERMITTENT,
    # It is exported under the name of the forecast that the validation weeks chose.
    "simple": _SEASONAL,
}
