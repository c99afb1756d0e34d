"""A calendar from a folder to Feast's online tables: a real load, and the features job on Ray."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from holidays import country_holidays

from shelfcast.contracts.specs import FeaturesSpec, IngestSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.database import connect
from shelfcast.features import cluster
from shelfcast.features.build import build_features
from shelfcast.features.offline_tables import table_name
from shelfcast.features.own_holidays import HOLIDAY_AHEAD, LAST_YEAR
from shelfcast.features.samples import read_origin_table
from shelfcast.ingest.__main__ import run

FIRST, WEEKS, HORIZON = date(2023, 1, 6), 120, 4
REGIONS = {1: None, 2: "BY"}
FAIR = date(2024, 8, 14)


def sales(store: int, week: date) -> float:
    return 1000.0 * store + (week - FIRST).days // 7


def holds_holiday(store: int, week: date) -> bool:
    """Whether a public holiday of the store's region, or the fair in store 1, lies in the week."""
    public = country_holidays("DE", subdiv=REGIONS[store], years=range(2022, 2028))
    days = [week - timedelta(days=n) for n in range(7)]
    return any(day in public or (store == 1 and day == FAIR) for day in days)


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    weeks = [FIRST + timedelta(weeks=n) for n in range(WEEKS)]
    rows = [f"{s},{d},{week},{sales(s, week)}" for s in REGIONS for d in (1, 2) for week in weeks]
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales", *rows, ""]))
    (folder / "events.csv").write_text(f"name,date,store\nfair,{FAIR},1\n")
    holidays = {"country": "DE", "stores": {"2": {"country": "DE", "region": "BY"}}}
    (folder / "shelfcast.json").write_text(json.dumps({"holidays": holidays}))
    return folder


def test_the_features_job_reads_the_holidays_of_each_store(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CELLS_PER_TASK", 200)
    source = {"kind": "long", "path": str(write_folder(tmp_path / "sales"))}
    spec = {"dataset": "own_calendar", "requestId": "own_calendar", "source": source}
    (tmp_path / "ingest").mkdir()
    snapshot = run(decode(IngestSpec, spec, "spec"), tmp_path / "ingest").snapshot
    features = tmp_path / "features"
    features.mkdir()
    project = "shelfcast_own_calendar"
    job = {"snapshot": encode(snapshot), "feastProject": project, "horizonWeeks": HORIZON}
    build_features(decode(FeaturesSpec, job, "spec"), features)
    assert len(list(features.glob("series-*.parquet"))) > 1

    table = read_origin_table(features)
    names = [feature.name for feature in table.features]
    rows, horizons = (grid.ravel() for grid in np.mgrid[: len(table.store), 1 : HORIZON + 1])
    values = table.matrix(rows, horizons)
    weeks = [week.item() for week in table.target_week(rows, horizons)]
    keys = list(zip(table.store[rows].tolist(), weeks, strict=True))
    expected = {key: holds_holiday(*key) for key in set(keys)}
    assert {0, 1} == set(expected.values())
    assert values[:, names.index(HOLIDAY_AHEAD)].tolist() == [float(expected[key]) for key in keys]
    # Good Friday of 2024 was in the week to 2024-03-29, 55 weeks before that of 2025.
    easter = [n for n, key in enumerate(keys) if key == (2, date(2025, 4, 18))]
    alike = set(values[easter, names.index(LAST_YEAR)].tolist())
    assert alike == {sales(2, date(2024, 3, 29))}

    with connect(url) as connection:
        online = connection.execute(
            "select store, "
            + ", ".join(f"holiday_h{h}" for h in range(1, HORIZON + 1))
            + " from feast_online."
            f"{table_name(project, 'store_externals')} order by store"
        ).fetchall()
    last = FIRST + timedelta(weeks=WEEKS - 1)
    ahead = [last + timedelta(weeks=h) for h in range(1, HORIZON + 1)]
    assert online == [(s, *(float(holds_holiday(s, week)) for week in ahead)) for s in REGIONS]
