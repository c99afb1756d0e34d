"""Small files in the long layout, made up, for tests to break."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

FIRST_WEEK = date(2020, 1, 3)


def rows() -> dict[str, list[str]]:
    """Returns the lines of the three files, header first; all are good, and none has a holiday flag."""
    weeks = [FIRST_WEEK + timedelta(weeks=n) for n in range(6)]
    series = [(store, dept) for store in (1, 2) for dept in (1, 7)]
    return {
        "sales": [
            "store,dept,week,sales",
            *(f"{s},{d},{w},{1000 * s + d}.25" for s, d in series for w in weeks),
        ],
        "store_weeks": ["store,week,temperature", *(f"{s},{w},40.5" for s in (1, 2) for w in weeks)],
        "stores": ["store,type,size", "1,A,151315", "2,B,37392"],
    }


def write(folder: Path, lines: dict[str, list[str]]) -> Path:
    """Writes the files as CSV, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in lines.items():
        (folder / f"{name}.csv").write_text("\n".join([*texts, ""]))
    return folder


def with_columns() -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """Returns the lines of files with a declared column in each, and the declarations.

    ``planned_promo`` is there for two weeks more than the sales, as it is announced two weeks before.
    """
    lines = rows()
    weeks = [FIRST_WEEK + timedelta(weeks=n) for n in range(8)]
    lines["sales"] = [f"{row},{'returns' if n == 0 else n % 3}" for n, row in enumerate(lines["sales"])]
    lines["series_weeks"] = [
        "store,dept,week,planned_promo",
        *(f"{s},{d},{w},{n % 2}" for s in (1, 2) for d in (1, 7) for n, w in enumerate(weeks)),
    ]
    lines["store_weeks"] = [
        f"{row},{'visitors' if n == 0 else 100 + n}" for n, row in enumerate(lines["store_weeks"])
    ]
    lines["stores"] = ["store,type,size,parking", "1,A,151315,80", "2,B,37392,NA"]
    declarations = [
        {"name": "returns", "of": "series_week", "knownAfterWeeks": 0, "description": "units brought back"},
        {"name": "planned_promo", "of": "series_week", "knownAfterWeeks": -2, "description": "1 = planned"},
        {"name": "visitors", "of": "store_week", "knownAfterWeeks": 1, "description": "people counted"},
        {"name": "parking", "of": "store", "description": "parking spaces"},
    ]
    return lines, declarations


def declare(folder: Path, declarations: list[dict[str, Any]]) -> None:
    """Writes columns.json."""
    (folder / "columns.json").write_text(json.dumps(declarations))
