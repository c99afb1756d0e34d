from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pytest

from shelfcast.ingest.declarations import declarations_of_file, declarations_of_input
from shelfcast.job import UserError
from shelfcast.snapshot import DECLARED_COLUMNS, DeclaredColumn

NOTHING = DECLARED_COLUMNS.schema.empty_table()
GOOD = {"name": "promo", "of": "store_week", "knownAfterWeeks": -4, "description": "planned promotion"}


def refusal(entries: Any, known: pa.Table = NOTHING) -> str:
    with pytest.raises(UserError) as raised:
        declarations_of_input(entries, known)
    assert raised.value.type == "InvalidInput"
    return str(raised.value)


def test_what_a_load_declares_counts_before_what_the_data_set_has() -> None:
    earlier = declarations_of_input(
        [GOOD, {"name": "parking", "of": "store", "description": "spaces"}], NOTHING
    ).table
    assert earlier.schema == DECLARED_COLUMNS.schema
    now = declarations_of_input([{**GOOD, "knownAfterWeeks": 0}], earlier)
    promo = DeclaredColumn("promo", "store_week", 0, "planned promotion")
    assert now.declared == (promo,)
    assert now.columns == {"promo": promo, "parking": DeclaredColumn("parking", "store", None, "spaces")}
    assert declarations_of_file(None, earlier).columns.keys() == {"promo", "parking"}
    assert len(declarations_of_file(None, earlier).table) == 0


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
        ({"name": "size"}, "name size has a meaning of its own here; choose another$"),
        ({"name": "rolling_mean_4"}, "name rolling_mean_4 has a meaning of its own"),
        ({"name": "last_year"}, "name last_year has a meaning of its own"),
        ({"name": "cpi", "of": "series_week"}, "cpi is known by store and week; its of must be store_week$"),
        ({"of": "shop"}, 'of must be one of series_week, store_week, store and is "shop"$'),
        ({"of": "store"}, "knownAfterWeeks is for weekly columns; a column of store is always known$"),
        ({"knownAfterWeeks": None}, "knownAfterWeeks must be a whole number from -52 to 52 .* is missing$"),
        ({"knownAfterWeeks": 1.0}, r"knownAfterWeeks must be a whole number .* is 1\.0$"),
        ({"knownAfterWeeks": True}, "knownAfterWeeks must be a whole number .* is true$"),
        ({"knownAfterWeeks": 53}, "knownAfterWeeks must be a whole number .* is 53$"),
        ({"knownAfterWeeks": -53}, "knownAfterWeeks must be a whole number .* is -53$"),
        ({"description": ""}, "description must be one line of 1 to 200 characters$"),
        ({"description": "two\nlines"}, "description must be one line"),
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
        "source.columns, entry 1: 7 must be an object with name, of, knownAfterWeeks, description; "
        'source.columns, entry 3: "promo" is declared twice; keep one of them; '
        "source.columns, entry 3: description must be one line of 1 to 200 characters"
    )


def test_an_external_may_be_known_at_another_time() -> None:
    declarations = declarations_of_input([{**GOOD, "name": "markdown1"}], NOTHING)
    assert declarations.columns["markdown1"].known_after_weeks == -4


def test_a_column_keeps_what_it_is_of() -> None:
    earlier = declarations_of_input([GOOD], NOTHING).table
    assert refusal([{**GOOD, "of": "series_week"}], earlier) == (
        "source.columns, entry 1: promo is of store_week in this data set and cannot become one of "
        "series_week; give the new column a name of its own"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[", "columns.json is no JSON in UTF-8: "),
        (b'["\xff"]', "columns.json is no JSON in UTF-8: "),
        (b"{}", "columns.json must be a list of objects with name, of, knownAfterWeeks, description"),
        (json.dumps([GOOD, GOOD]).encode(), 'columns.json, entry 2: "promo" is declared twice'),
    ],
)
def test_a_wrong_file(data: bytes, message: str) -> None:
    with pytest.raises(UserError) as raised:
        declarations_of_file(data, NOTHING)
    assert raised.value.type == "BadData"
    assert str(raised.value).startswith(message)
