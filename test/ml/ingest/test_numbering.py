from __future__ import annotations

import pyarrow as pa
import pytest

from shelfcast.ids import IdOf, plain_id, plain_number
from shelfcast.ingest import numbering as module
from shelfcast.ingest.generator import generate
from shelfcast.ingest.numbering import MAX_NUMBER, Numbering, plain_ids
from shelfcast.job import UserError
from shelfcast.snapshot import EXTRAS, IDS, SALES, STORE_AS_A_WHOLE, STORES, empty_tables


def known(*rows: tuple[IdOf, str, int, bool]) -> dict[str, pa.Table]:
    """Returns the tables of a data set that has these ids."""
    ids = [dict(zip(IDS.schema.names, row, strict=True)) for row in rows]
    return empty_tables() | {IDS.name: pa.Table.from_pylist(ids, IDS.schema)}


def numbers(tables: dict[str, pa.Table], of: IdOf, *ids: str) -> dict[str, int]:
    numbering = Numbering(tables)
    numbering.add(of, ids)
    return dict(numbering.of(of))


@pytest.mark.parametrize("of", ["store", "dept", "type"])
def test_plain_ids_and_their_numbers(of: IdOf) -> None:
    for number in (1, 2, 26, 27, 1000, MAX_NUMBER, 999_999_999):
        assert plain_number(of, plain_id(of, number)) == number
    assert plain_id(of, 26) == ("Z" if of == "type" else "26")
    for text in ("", "0", "01", "-1", "1.0", "1e3", " 1", "１", "a", "AB", "9" * 19):  # noqa: RUF001
        assert plain_number(of, text) is None
    assert plain_number(of, "A") == (1 if of == "type" else None)


def test_whole_numbers_are_their_own_numbers() -> None:
    # The largest one that float32 holds with all below it.
    assert numbers(empty_tables(), "store", "7", "1", "16777215") == {"1": 1, "7": 7, "16777215": 16_777_215}
    assert numbers(empty_tables(), "type", "C", "A") == {"A": 1, "C": 3}


def test_every_other_id_gets_the_number_after_the_largest() -> None:
    ids = ("b", "7", "a", "007", "0", "-3", "1.5", "７", "16777216", "4006381333931")  # noqa: RUF001
    assert numbers(empty_tables(), "dept", *ids) == {
        "7": 7,
        **{id_: 8 + n for n, id_ in enumerate(sorted(set(ids) - {"7"}))},
    }
    assert numbers(empty_tables(), "type", "d", "a", "C", "3") == {"C": 3, "3": 4, "a": 5, "d": 6}


def test_a_known_id_keeps_its_number() -> None:
    tables = known(("dept", "TOYS", 2, False), ("dept", "GAMES", 2, True), ("dept", "5", 5, True))
    assert numbers(tables, "dept", "TOYS", "GAMES", "2", "1", "A") == {
        "TOYS": 2,
        "GAMES": 2,
        "5": 5,
        "1": 1,
        # Its own number is taken.
        "2": 6,
        "A": 7,
    }


def test_numbers_do_not_depend_on_the_order_of_rows() -> None:
    ids = ["b", "3", "a", "12", "c"]
    assert numbers(empty_tables(), "store", *ids) == numbers(empty_tables(), "store", *reversed(ids))


def test_numbers_between_are_used_when_there_is_none_above() -> None:
    tables = known(("store", "1", 1, True), ("store", "x", MAX_NUMBER - 1, True))
    assert [numbers(tables, "store", "a", "b", "c")[id_] for id_ in "abc"] == [MAX_NUMBER, 2, 3]


def test_ids_beyond_the_largest_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NUMBER", 3)
    assert numbers(empty_tables(), "dept", "a", "b", "c") == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(UserError, match="at most 3 stores and as many departments"):
        numbers(empty_tables(), "dept", "a", "b", "c", "d")


def test_numbers_of_earlier_versions_above_the_largest_stay() -> None:
    rows = pa.table({"store": [999_999_999, 4], "type": ["B", None], "size": [1.0, None]}, STORES.schema)
    tables = empty_tables() | {STORES.name: rows}
    assert numbers(tables, "store", "999999999", "new") == {"4": 4, "999999999": 999_999_999, "new": 5}
    assert Numbering(tables).rows(tables).to_pylist() == [
        {"of": "store", "id": "4", "number": 4, "is_current": True},
        {"of": "store", "id": "999999999", "number": 999_999_999, "is_current": True},
        {"of": "type", "id": "B", "number": 2, "is_current": True},
    ]


def test_only_new_ids_that_are_used_become_rows() -> None:
    numbering = Numbering(known(("store", "1", 1, True)))
    numbering.add("store", ["1", "x", "of a bad row"])
    stores = pa.table({"store": [1, numbering.of("store")["x"]], "type": [None] * 2, "size": [None] * 2})
    tables = empty_tables() | {STORES.name: stores.cast(STORES.schema)}
    assert [row["id"] for row in numbering.rows(tables).to_pylist()] == ["x"]


def test_generated_numbers_do_not_join_series_with_text_ids() -> None:
    tables = generate(stores=2, departments=2, weeks=60, seed=1).tables
    ids = plain_ids(tables, empty_tables())
    assert {(row["of"], row["id"]) for row in ids.to_pylist()} >= {("store", "2"), ("dept", "1")}
    assert len(plain_ids(tables, tables | {IDS.name: ids})) == 0
    with pytest.raises(UserError, match="the data set has text ids of stores"):
        plain_ids(tables, known(("store", "CA_1", 1, True)))


def test_a_covariate_of_a_whole_store_needs_no_department() -> None:
    tables = generate(stores=1, departments=1, weeks=60, seed=1).tables
    week = tables[SALES.name]["week"][0].as_py()
    row = {"name": "opening_hours", "store": 1, "dept": STORE_AS_A_WHOLE, "week": week, "value": 40.0}
    extras = pa.Table.from_pylist([row], EXTRAS.schema)
    assert plain_ids(tables | {EXTRAS.name: extras}, empty_tables()) == plain_ids(tables, empty_tables())
