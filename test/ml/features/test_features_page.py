"""docs/features.md describes every feature as its definition does."""

from pathlib import Path

from shelfcast.features.definitions import FeatureSet
from shelfcast.features.own_holidays import COVARIATES
from shelfcast.features.publication_lags import SOURCE_COLUMNS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "features.md"


def cells() -> list[tuple[str, ...]]:
    """Returns the rows of the page's tables."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_page_lists_all_features() -> None:
    page = set(cells())
    features = {(f.view, f"`{f.column}`", f.description) for f in FeatureSet(1, COVARIATES).features}
    views = {row[0] for row in features}
    assert {row for row in page if row[0] in views} == features


def test_the_page_says_when_each_column_is_known() -> None:
    said = {row[0]: row[2] for row in cells() if len(row) > 2}
    words = {None: "always", 0: "at its end", 1: "a week after its end"}
    for column in SOURCE_COLUMNS:
        after = column.known_after_weeks
        assert said[f"`{column.name}`"] == words.get(after, f"{after} weeks after its end")
