from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pytest

from shelfcast.ingest.covariates import covariates_from_file, covariates_from_input
from shelfcast.job import UserError
from shelfcast.snapshot import COVARIATES, Covariate

NOTHING = COVARIATES.schema.empty_table()
GOOD = {"name": "promo", "of": "store_week", "knownAfterWeeks": -4, "description": "planned promotion"}


def refusal(entries: Any, known: pa.Table = NOTHING) -> str:
    with pytest.raises(UserError) as raised:
        covariates_from_input(entries, known)
    assert raised.value.type == "InvalidInput"
    return str(raised.value)


def test_what_a_load_declares_counts_before_what_the_data_set_has() -> None:
    earlier = covariates_from_input(
        [GOOD, {"name": "parking", "of": "store", "description": "spaces"}], NOTHING
    ).table
    assert earlier.schema == COVARIATES.schema
    now = covariates_from_input([{**GOOD, "knownAfterWeeks": 0}], earlier)
    promo = Covariate("promo", "store_week", 0, "planned promotion")
    assert now.declared == (promo,)
    assert now.by_name == {"promo": promo, "parking": Covariate("parking", "store", None, "spaces")}
    assert covariates_from_file(None, earlier).by_name.keys() == {"promo", "parking"}
    assert len(covariates_from_file(None, earlier).table) == 0


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"name": "Promo"}, 'name must be lower-case letters, .* and is "Promo"$'),
        ({"name": "4promo"}, "name must be lower-case letters"),
        ({"name": "p" * 41}, "name must be lower-case letters"),
        ({"name": None}, "name must be lower-case letters, .* and is missing$"),
        ({"name": "promo_h12"}, "name promo_h12 must not end like the features of a column"),
        ({"name": "promo_ahead"}, "must not end like"),
        ({"name": "promo_is_missing"}, "must not end like"),
        ({"name": "size"}, "name size is reserved; choose another$"),
        ({"name": "rolling_mean_4"}, "name rolling_mean_4 is reserved"),
        ({"name": "last_year"}, "name last_year is reserved"),
        (
            {"name": "cpi", "of": "series_week"},
            "cpi has a value for each store and week; its of must be store_week$",
        ),
        ({"of": "shop"}, 'of must be one of series_week, store_week, store and is "shop"$'),
        ({"of": "store"}, "knownAfterWeeks is for weekly columns; a column of store has no weeks$"),
        ({"knownAfterWeeks": None}, "knownAfterWeeks must be a whole number from -52 to 52 .* is missing$"),
        ({"knownAfterWeeks": 1.0}, r"knownAfterWeeks must be a whole number .* is 1\.0$"),
        ({"knownAfterWeeks": True}, "knownAfterWeeks must be a whole number .* is true$"),
        ({"knownAfterWeeks": 53}, "knownAfterWeeks must be a whole number .* is 53$"),
        ({"knownAfterWeeks": -53}, "knownAfterWeeks must be a whole number .* is -53$"),
        ({"description": ""}, "description must be one line of 1 to 200 characters$"),
        ({"description": "two\nlines"}, "description must be one line"),
        ({"perWeek": "sum"}, 'perWeek must be mean or last and is "sum"$'),
        ({"column": ""}, 'column must be the name of a column in the file and is ""$'),
        ({"column": None}, "column must be the name of a column in the file and is missing$"),
        ({"known_after_weeks": 1}, '"known_after_weeks" must be one of name, of, knownAfterWeeks, descr'),
    ],
)
def test_a_wrong_declaration_is_a_sentence_with_its_place(change: dict[str, Any], issue: str) -> None:
    message = refusal([{"name": "other", "of": "store", "description": "fine"}, {**GOOD, **change}])
    assert message.startswith("source.columns, entry 2: ")
    assert re.search(issue, message.split(": ", 1)[1]), message
    assert "; source.columns" not in message


def test_all_wrong_declarations_are_told_at_once() -> None:
    message = refusal([7, GOOD, {**GOOD, "description": None}])
    assert message == (
        "source.columns, entry 1: 7 must be an object with name, of, knownAfterWeeks, description, column, "
        "perWeek; "
        'source.columns, entry 3: "promo" is declared twice; keep one of them; '
        "source.columns, entry 3: description must be one line of 1 to 200 characters"
    )


def test_an_external_may_be_known_at_another_time() -> None:
    covariates = covariates_from_input([{**GOOD, "name": "markdown1"}], NOTHING)
    assert covariates.by_name["markdown1"].known_after_weeks == -4


def test_a_column_keeps_what_it_is_of() -> None:
    earlier = covariates_from_input([GOOD], NOTHING).table
    assert refusal([{**GOOD, "of": "series_week"}], earlier) == (
        "source.columns, entry 1: promo is of store_week in this data set and cannot become one of "
        "series_week; give the new column another name"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[", "columns.json is not JSON in UTF-8: "),
        (b"[" * 100_000, "columns.json is not JSON in UTF-8: "),
        (b'["\xff"]', "columns.json is not JSON in UTF-8: "),
        (b"{}", "columns.json must be a list of objects with name, of, knownAfterWeeks, description"),
        (json.dumps([GOOD, GOOD]).encode(), 'columns.json, entry 2: "promo" is declared twice'),
    ],
)
def test_a_wrong_file(data: bytes, message: str) -> None:
    with pytest.raises(UserError) as raised:
        covariates_from_file(data, NOTHING)
    assert raised.value.type == "BadData"
    assert str(raised.value).startswith(message)
