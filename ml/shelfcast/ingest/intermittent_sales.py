"""Mark of a data set with intermittent series, for their features (``features.intermittent``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from shelfcast.features.intermittent import DECLARED
from shelfcast.ids import PLAIN_IDS
from shelfcast.ingest.load_checks import SalesRows
from shelfcast.missing_weeks import ZERO, declared_meaning
from shelfcast.snapshot import COVARIATES, EXTRAS, SALES

#: Share of weeks without sales from which the series of a data set count as intermittent.
_SHARE = 0.25


def with_intermittency(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Returns the tables of a load, with the mark if a quarter of the data set's weeks has no sales.

    A data set keeps the mark, so new weeks do not make its models old.

    Args:
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
    """
    sales = SalesRows.of(PLAIN_IDS, tables[SALES.name], known[SALES.name])
    if ZERO in (declared_meaning(rows[EXTRAS.name]) for rows in (tables, known)):
        sales = sales.with_zero_weeks()
    if len(sales.sales) == 0 or np.mean(sales.sales == 0) < _SHARE:
        return dict(tables)
    mark = pa.Table.from_pylist([asdict(DECLARED)], COVARIATES.schema)
    return {**tables, COVARIATES.name: pa.concat_tables([tables[COVARIATES.name], mark])}
