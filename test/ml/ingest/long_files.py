"""Small files in the long layout, made up, for tests to break."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

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
