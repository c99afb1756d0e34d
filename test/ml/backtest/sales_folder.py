"""A folder of made-up sales in the Walmart layout, long enough to learn from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd

from shelfcast.calendar import WEEK
from shelfcast.ingest.generator import generate

STORES, DEPARTMENTS, WEEKS = 4, 3, 84
_MARKDOWNS = [f"MarkDown{n}" for n in range(1, 6)]

_LONG = {
    "train": ("sales", {"Store": "store", "Dept": "dept", "Date": "week", "Weekly_Sales": "sales"}),
    "stores": ("stores", {"Store": "store", "Type": "type", "Size": "size"}),
}

Change = Callable[[pd.DataFrame], pd.DataFrame]


def write(folder: Path, change: Change = lambda sales: sales) -> list[date]:
    """Writes the folder and returns its weeks; ``change`` may alter the rows of train.csv."""
    folder.mkdir()
    tables = generate(STORES, DEPARTMENTS, WEEKS, seed=5).tables
    sales = tables["sales"].to_pandas()
    sales.columns = ["Store", "Dept", "Date", "Weekly_Sales", "IsHoliday"]
    weeks = sorted(sales["Date"].unique())
    flags = sales.groupby("Date")["IsHoliday"].first()
    changed = change(sales.copy())
    changed["IsHoliday"] = changed["Date"].map(flags)
    changed.to_csv(folder / "train.csv", index=False)
    features = tables["store_week"].to_pandas()
    features.columns = [
        "Store",
        "Date",
        "Temperature",
        "Fuel_Price",
        "CPI",
        "Unemployment",
        *_MARKDOWNS,
        "IsHoliday",
    ]
    features.to_csv(folder / "features.csv", index=False, na_rep="NA")
    stores = tables["store"].to_pandas()
    stores.columns = ["Store", "Type", "Size"]
    stores["Size"] = stores["Size"].astype(int)
    stores.to_csv(folder / "stores.csv", index=False)
    assert weeks[-1] - weeks[0] == (WEEKS - 1) * WEEK
    return weeks


def write_with_text_ids(source: Path, folder: Path) -> None:
    """Writes a folder of ``write`` in the long layout; store 1 becomes CA_1 and department 1 FOODS, 1."""
    folder.mkdir()
    ids = {"store": "CA_{}", "dept": "FOODS, {}"}
    for walmart, (name, columns) in _LONG.items():
        rows = pd.read_csv(source / f"{walmart}.csv")[list(columns)].rename(columns=columns)
        texts = {of: rows[of].map(form.format) for of, form in ids.items() if of in rows}
        rows.assign(**texts).to_csv(folder / f"{name}.csv", index=False)
