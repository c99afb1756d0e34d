"""The benchmark's peer computes what we compute."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest
from feature_samples import random_tables

from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench" / "measure"))
import compute
import pandas_features

HORIZON = 8


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    tables = random_tables(seed=3, series=50, weeks=120)
    snapshot: tuple[pa.Table, ...] = (tables.sales, tables.store_weeks, tables.stores)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    training_data.write(ours, *snapshot, FeatureSet(HORIZON))
    pandas_features.write(theirs, *snapshot, HORIZON)
    return ours, theirs


def test_pandas_makes_the_same_values_and_nulls(folders: tuple[Path, Path]) -> None:
    compute.require_equal(*folders)


def test_another_value_is_found(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = folders
    monkeypatch.setattr(pandas_features, "YEAR", 53)
    tables = random_tables(seed=3, series=50, weeks=120)
    pandas_features.write(theirs, tables.sales, tables.store_weeks, tables.stores, HORIZON)
    with pytest.raises(AssertionError, match="last_year"):
        compute.require_equal(ours, theirs)
