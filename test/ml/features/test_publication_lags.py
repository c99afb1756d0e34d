"""Publication lags, and the refusal of features that read a value before it is known."""

from datetime import date

import pytest
from feature_samples import DECLARED

from shelfcast.features.definitions import MAX_HORIZON_WEEKS, FeatureSet
from shelfcast.features.publication_lags import Use, check_uses, earliest_origin
from shelfcast.job import UserError
from shelfcast.snapshot import Covariate

SOURCES = FeatureSet(4, DECLARED).sources


def refusal(use: Use, horizon_weeks: int = 4) -> str:
    with pytest.raises(UserError) as refused:
        check_uses({"mean_price": (Use("weekly_sales", 0), use)}, SOURCES, horizon_weeks)
    assert refused.value.type == "InvalidInput"
    return str(refused.value)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use("weekly_sales", 1), "uses weekly_sales of week +1 from the origin"),
        (Use("cpi", 0), "uses cpi of week +0 from the origin, but at the origin its newest known value is"),
        (Use("cpi", -6), "is that of week -7"),
        (Use("returns_usd", -1), "uses returns_usd of week -1"),
        (Use("planned_promo", 4), "is that of week +3"),
        (Use("weekly_sales", -3, of_target=True), "uses weekly_sales of week +1 from the origin"),
        (Use("planned_promo", 0, of_target=True, last_horizon=4), "uses planned_promo of week +4"),
        (Use("cpi", None), "uses cpi of all weeks"),
        (Use("rain", 0), "uses rain, which is not a column of the source; declare it"),
    ],
)
def test_a_feature_that_reads_a_value_before_it_is_known_is_refused(use: Use, words: str) -> None:
    message = refusal(use)
    assert message.startswith("feature mean_price ")
    assert words in message


@pytest.mark.parametrize(
    "use",
    [
        Use("weekly_sales", 0),
        Use("weekly_sales", -4, of_target=True),
        Use("cpi", -7),
        Use("planned_promo", 3),
        Use("planned_promo", 0, of_target=True, last_horizon=3),
        Use("parking_lots", None),
    ],
)
def test_a_feature_that_reads_known_values_is_accepted(use: Use) -> None:
    check_uses({"fine": (use,)}, SOURCES, 4)


def test_the_horizon_ends_where_last_year_would_need_the_future() -> None:
    features = FeatureSet(MAX_HORIZON_WEEKS)
    uses = {feature.name: feature.uses for feature in features.features}
    with pytest.raises(UserError, match="feature last_year_after_2 uses weekly_sales of week \\+1"):
        check_uses(uses, features.sources, MAX_HORIZON_WEEKS + 1)
    with pytest.raises(UserError, match="horizonWeeks is 51; it must be 1 to 50"):
        FeatureSet(MAX_HORIZON_WEEKS + 1)


def test_a_declaration_overrides_when_an_external_is_known() -> None:
    assert FeatureSet(4).sources["markdown1"].known_after_weeks == 0
    assert SOURCES["markdown1"].known_after_weeks == -1
    names = {feature.name for feature in FeatureSet(4, DECLARED).model_features}
    assert {"markdown1", "markdown1_ahead", "markdown1_is_missing"} <= names
    assert "markdown2_ahead" not in names


@pytest.mark.parametrize(
    "name", ["lag_1", "is_easter", "cpi_is_missing", "size", "last_year", "last_year_h2"]
)
def test_a_covariate_with_the_name_of_a_feature_is_refused(name: str) -> None:
    column = Covariate(name, "store_week", -1, "something else")
    with pytest.raises(UserError, match=f"two features are called .*{name}.*; give the covariate another"):
        FeatureSet(4, (column,))


def test_covariates_whose_features_have_one_name_are_refused() -> None:
    ahead = Covariate("visitors_ahead", "store_week", 0, "visitors")
    with pytest.raises(UserError, match="two features are called visitors_ahead"):
        FeatureSet(4, (ahead, Covariate("visitors", "store_week", -1, "visitors")))


def test_the_earliest_origin_is_when_the_value_is_known() -> None:
    features, week = FeatureSet(4, DECLARED), date(2024, 3, 1)
    assert features.earliest_origin("weekly_sales", week) == week
    assert features.earliest_origin("returns_usd", week) == date(2024, 3, 15)
    assert features.earliest_origin("planned_promo", week) == date(2024, 2, 9)
    assert earliest_origin(SOURCES["parking_lots"], week) == date.min
