"""A folder of a backtest, and the origins that it allows."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shelfcast.backtest.folder import Folder, check_origins, read
from shelfcast.calendar import WEEK
from shelfcast.contracts.specs import ColumnRoles, Declaration
from shelfcast.job import UserError

FIRST = date(2024, 1, 5)
WEEKS = [FIRST + n * WEEK for n in range(30)]


def write(folder: Path, weeks: list[date]) -> None:
    """Writes a folder in the long layout with two series."""
    folder.mkdir()
    rows = [f"1,{dept},{week},{dept}00" for dept in (1, 2) for week in weeks]
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales", *rows, ""]), encoding="utf-8")
    (folder / "stores.csv").write_text("store,type,size\n1,A,1000\n", encoding="utf-8")


def read_weeks(folder: Path, weeks: list[date]) -> Folder:
    write(folder / "data", weeks)
    return read(folder / "data", folder / "bad-rows.csv")


def test_a_relative_folder_in_the_long_layout_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", WEEKS)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("data"), tmp_path / "bad-rows.csv").sales) == 2 * len(WEEKS)


def test_an_origin_needs_sales(tmp_path: Path) -> None:
    folder = read_weeks(tmp_path, [*WEEKS[:24], *WEEKS[26:]])
    check_origins(folder, [WEEKS[23], WEEKS[26]])
    for missing in WEEKS[24:26]:
        with pytest.raises(UserError, match=f"no series has sales in the week {missing};.* is {WEEKS[23]}$"):
            check_origins(folder, [missing])


def test_the_sales_of_a_closed_week_are_not_scored(tmp_path: Path) -> None:
    write(tmp_path / "data", WEEKS)
    rows = [f"1,{week},{int(week != WEEKS[25])}" for week in WEEKS]
    text = "\n".join(["store,week,open", *rows, ""])
    (tmp_path / "data" / "store_weeks.csv").write_text(text, encoding="utf-8")
    folder = read(tmp_path / "data", tmp_path / "bad-rows.csv")
    wanted = pd.DataFrame({"store": 1, "dept": 2, "target_week": WEEKS[24:27]})
    assert folder.with_actuals(wanted)["actual"].tolist() == pytest.approx([200, np.nan, 200], nan_ok=True)
    assert folder.hidden_weeks == 2


def test_what_a_load_would_warn_of_is_noted(tmp_path: Path) -> None:
    data, bad_rows = tmp_path / "data", tmp_path / "bad-rows.csv"
    write(data, [FIRST + n * WEEK for n in range(60)])
    assert not [note for note in read(data, bad_rows).notes if "date" in note]
    with (data / "sales.csv").open("a") as file:
        file.write("1,1,1970-01-02,5\n")
    notes = read(data, bad_rows).notes
    assert [note for note in notes if re.match(r"far-date: 1 break the rule .*1970-01-02", note)]
    assert bad_rows.exists()


def test_the_sales_of_a_week_without_stock_are_not_scored(tmp_path: Path) -> None:
    write(tmp_path / "data", WEEKS)
    path = tmp_path / "data" / "sales.csv"
    header, *rows = path.read_text(encoding="utf-8").split()
    left = ["1" if f"1,2,{WEEKS[25]}" not in row else "0" for row in rows]
    lines = [f"{header},left", *(f"{row},{stock}" for row, stock in zip(rows, left, strict=True)), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    declaration = Declaration(columns=ColumnRoles(stock="left"))
    folder = read(tmp_path / "data", tmp_path / "bad-rows.csv", declaration)
    wanted = pd.DataFrame({"store": 1, "dept": [2, 2, 1], "target_week": [WEEKS[24], WEEKS[25], WEEKS[25]]})
    assert folder.with_actuals(wanted)["actual"].tolist() == pytest.approx([200, np.nan, 100], nan_ok=True)
    assert folder.hidden_weeks == 1
