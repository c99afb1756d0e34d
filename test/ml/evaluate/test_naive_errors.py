from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.evaluate.naive_errors import naive_errors

WEEKS = [date(2025, 1, 3), date(2025, 1, 10), date(2025, 1, 17), date(2025, 1, 24)]
FIRST_TEST_WEEK = np.datetime64("2025-01-24")


def write(folder: Path, rows: list[tuple[int, date, float | None, float | None, float | None]]) -> Path:
    """Writes rows of dept, origin, sales at the origin, next week and a year before that."""
    dept, origin, sales, target, last_year = zip(*rows, strict=True)
    double = pa.float64()
    columns = {
        "store": pa.array([1] * len(rows), pa.int64()),
        "dept": pa.array(dept, pa.int64()),
        "origin": pa.array(origin, pa.date32()),
        "sales_0": pa.array(sales, double),
        "target_h1": pa.array(target, double),
        "last_year_h1": pa.array(last_year, double),
    }
    pq.write_table(pa.table(columns), folder / "series-00.parquet")
    return folder


def error_of(folder: Path, dept: int) -> float:
    found = naive_errors(folder, FIRST_TEST_WEEK).of(np.array([1]), np.array([dept]))
    return float(found[0])


def test_is_of_last_year_where_there_is_one_and_of_last_week_elsewhere(tmp_path: Path) -> None:
    rows = [
        (1, WEEKS[0], 0.0, 10.0, None),
        (1, WEEKS[1], 0.0, 10.0, 7.0),
        (2, WEEKS[0], 5.0, 10.0, None),
        (2, WEEKS[1], 10.0, 7.0, None),
    ]
    folder = write(tmp_path, rows)
    assert error_of(folder, 1) == 3.0
    assert error_of(folder, 2) == (5 + 3) / 2


def test_no_test_week_counts(tmp_path: Path) -> None:
    # From the origin WEEKS[2] on, next week is a test week.
    rows = [(1, WEEKS[1], 1.0, 3.0, 2.0), (1, WEEKS[2], 3.0, 900.0, 2.0), (1, WEEKS[3], 900.0, 1.0, 2.0)]
    assert error_of(write(tmp_path, rows), 1) == 1.0


def test_is_unknown_where_nothing_can_be_compared_or_nothing_ever_erred(tmp_path: Path) -> None:
    rows = [(1, WEEKS[0], 4.0, None, 3.0), (2, WEEKS[0], 4.0, 4.0, 4.0)]
    folder = write(tmp_path, rows)
    assert np.isnan([error_of(folder, 1), error_of(folder, 2), error_of(folder, 3)]).all()
