"""Loads snapshots for the tests of the features job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from feature_samples import FIRST_WEEK, Tables
from psycopg import sql

from shelfcast.database import connect, copy_table
from shelfcast.snapshot import ALL_WEEKS, COVARIATES, Covariate


def add_batch(url: str, dataset: str, tables: Tables, declared: Sequence[Covariate] = ()) -> dict[str, Any]:
    """Adds the rows as a new batch of raw tables; returns the snapshot."""
    always = pa.scalar(ALL_WEEKS, pa.date32())
    extras = tables.extras.set_column(3, "week", pc.fill_null(tables.extras["week"], always))
    columns = pa.Table.from_pylist([asdict(column) for column in declared], COVARIATES.schema)
    with connect(url) as connection:
        row = connection.execute(
            "insert into raw.batch (dataset, request_id, source, content_hash, row_count) "
            "values (%s, %s, '{}', '', %s) returning batch_id",
            [dataset, uuid4().hex, len(tables.sales)],
        ).fetchone()
        assert row is not None
        same = {"dataset": dataset, "batch_id": row[0]}
        dated = {**same, "is_holiday": False}
        for name, rows, constants in [
            ("sales", tables.sales, dated),
            ("store_week", tables.store_weeks, dated),
            ("store", tables.stores, same),
            ("extra", extras, same),
            ("declared_column", columns, same),
        ]:
            for column, value in constants.items():
                rows = rows.append_column(column, pa.repeat(pa.scalar(value), len(rows)))
            copy_table(connection, sql.Identifier("raw", name), rows)
    weeks = tables.sales["week"].to_pylist()
    return {
        "id": f"{dataset}-{row[0]}-0123456789ab",
        "dataset": dataset,
        "batchId": row[0],
        "contentHash": "",
        "rowCount": len(tables.sales),
        "seriesCount": 0,
        "firstWeek": min(weeks, default=FIRST_WEEK).isoformat(),
        "lastWeek": max(weeks, default=FIRST_WEEK).isoformat(),
    }
