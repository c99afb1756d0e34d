from __future__ import annotations

import gc
from pathlib import Path

import pytest
from folder_checks import check_folder, check_stored
from forecast_checks import forecast_end
from messy_folders import is_loadable, write_messy_folder

SEEDS = range(150)
#: Folders with enough weeks to learn from, or with too few of them; even ones get a network.
FORECAST = (1, 5, 7, 23, 35, 4, 22, 180)
STORED = range(30)


def test_folders_load_exactly_or_stop_with_a_sentence(tmp_path: Path) -> None:
    # What the tests before this one left to collect may warn, too.
    gc.collect()
    outcomes = []
    for seed in SEEDS:
        (tmp_path / str(seed)).mkdir()
        outcomes.append(check_folder(seed, tmp_path / str(seed)))
    assert [(outcome.seed, fault) for outcome in outcomes for fault in outcome.faults] == []
    ends = [outcome.end for outcome in outcomes]
    assert min(ends.count("loaded"), ends.count("stopped")) > len(SEEDS) // 4


def test_folders_load_into_a_database(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    stored = 0
    for seed in STORED:
        messy = write_messy_folder(seed, tmp_path / str(seed))
        if is_loadable(messy):
            job = tmp_path / f"job-{seed}"
            job.mkdir()
            assert check_stored(messy, job, database_url, f"messy-{seed}") == [], seed
            stored += 1
    assert stored > 5


@pytest.mark.parametrize("seed", FORECAST)
def test_folders_get_forecasts_or_a_sentence(tmp_path: Path, seed: int) -> None:
    messy = write_messy_folder(seed, tmp_path / "sales")
    assert is_loadable(messy)
    end, sentence = forecast_end(messy, tmp_path, "simple" if seed % 2 else "global")
    assert end == "forecast" or "at least 4 are needed" in sentence or "no series has sales" in sentence
