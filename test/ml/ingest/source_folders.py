"""Small folders in the Walmart layout, made up, for tests to break."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

FIRST_WEEK = date(2020, 1, 3)
STORES = (1, 2)
DEPARTMENTS = (1, 7)
WEEKS = 6


def rows() -> dict[str, list[str]]:
    """Returns the lines of the three files, header first; all are good."""
    weeks = [FIRST_WEEK + timedelta(weeks=n) for n in range(WEEKS)]
    train = ["Store,Dept,Date,Weekly_Sales,IsHoliday"]
    features = [
        "Store,Date,Temperature,Fuel_Price,MarkDown1,MarkDown2,MarkDown3,MarkDown4,MarkDown5,CPI,Unemployment,IsHoliday"
    ]
    for store in STORES:
        for n, week in enumerate(weeks):
            holiday = "TRUE" if n == 4 else "FALSE"
            features.append(f"{store},{week},{40 + n},2.5,NA,,-3.5,NA,100,211.1,NA,{holiday}")
        for dept in DEPARTMENTS:
            for n, week in enumerate(weeks):
                holiday = "TRUE" if n == 4 else "FALSE"
                train.append(f"{store},{dept},{week},{1000 * store + 100 * dept + n}.25,{holiday}")
    return {
        "train.csv": train,
        "features.csv": features,
        "stores.csv": ["Store,Type,Size", "1,A,151315", "2,B,37392"],
    }


def write(folder: Path, lines: dict[str, list[str]], line_end: str = "\n", prefix: str = "") -> Path:
    """Writes the files, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in lines.items():
        text = prefix + line_end.join([*texts, ""])
        (folder / name).write_bytes(text.encode())
    return folder
