import pytest
from feature_samples import DECLARED, Externals, Extras, Sales, tables_of, week
from raw_batches import add_batch

from shelfcast.database import connect
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window, choose_window, move_watermark

FEATURES = FeatureSet(2)
ALL = Window(week(0), week(10))
SALES: Sales = {(1, 1, number): 1.0 for number in range(11)}
EXTERNALS: Externals = {(1, number): [1.0] * 9 for number in range(11)}


def window_after(
    url: str,
    dataset: str,
    sales: Sales,
    externals: Externals,
    weeks: Window = ALL,
    everything: bool = False,
    features: FeatureSet = FEATURES,
    extras: Extras | None = None,
) -> Window:
    """Returns the window of a second batch after the watermark of the first."""
    project = f"shelfcast_{dataset}"
    first = add_batch(url, dataset, tables_of(SALES, EXTERNALS))
    with connect(url) as connection:
        move_watermark(connection, project, week(10), first["id"])
        second = first
        if sales or externals or extras:
            second = add_batch(url, dataset, tables_of(sales, externals, extras))
        return choose_window(connection, project, dataset, second["batchId"], weeks, features, everything)


def test_a_first_run_takes_all_weeks(database_url: str) -> None:
    batch = add_batch(database_url, "window_first", tables_of(SALES, EXTERNALS))
    with connect(database_url) as connection:
        found = choose_window(
            connection, "shelfcast_none", "window_first", batch["batchId"], ALL, FEATURES, False
        )
    assert found == ALL


def test_the_same_snapshot_takes_its_last_week(database_url: str) -> None:
    assert window_after(database_url, "window_same", {}, {}) == Window(week(10), week(10))


def test_new_weeks_are_all_that_is_taken(database_url: str) -> None:
    sales = {(1, 1, 11): 2.0, (1, 1, 12): 2.0}
    weeks = Window(week(0), week(12))
    assert window_after(database_url, "window_new", sales, {}, weeks) == Window(week(11), week(12))


def test_batches_after_the_snapshot_do_not_count(database_url: str) -> None:
    first = add_batch(database_url, "window_later", tables_of(SALES, EXTERNALS))
    second = add_batch(database_url, "window_later", tables_of({(1, 1, 11): 2.0}, {}))
    add_batch(database_url, "window_later", tables_of({(1, 1, 2): 2.0}, {(1, 2): [3.0] * 9}))
    with connect(database_url) as connection:
        move_watermark(connection, "shelfcast_window_later", week(10), first["id"])
        weeks = Window(week(0), week(11))
        found = choose_window(
            connection, "shelfcast_window_later", "window_later", second["batchId"], weeks, FEATURES, False
        )
    assert found == Window(week(11), week(11))


@pytest.mark.parametrize("late", [10, 4])
def test_a_late_correction_takes_the_weeks_from_it_on(database_url: str, late: int) -> None:
    dataset = f"window_late_{late}"
    assert window_after(database_url, dataset, {(1, 1, late): 9.0}, {}) == Window(week(late), week(10))


def test_a_correction_of_externals_counts_too(database_url: str) -> None:
    found = window_after(database_url, "window_externals", {}, {(1, 7): [2.0] * 9})
    assert found == Window(week(7), week(10))


def test_weeks_outside_the_snapshot_do_not_widen_the_window(database_url: str) -> None:
    found = window_after(database_url, "window_outside", {}, {(1, 70): [2.0] * 9})
    assert found == Window(week(10), week(10))


def test_changed_definitions_take_all_weeks(database_url: str) -> None:
    assert window_after(database_url, "window_definitions", {}, {}, everything=True) == ALL


def test_an_older_snapshot_takes_all_weeks(database_url: str) -> None:
    older = add_batch(database_url, "window_older", tables_of(SALES, EXTERNALS))
    newer = add_batch(database_url, "window_older", tables_of({(1, 1, 10): 7.0}, {}))
    with connect(database_url) as connection:
        move_watermark(connection, "shelfcast_window_older", week(10), newer["id"])
        assert (
            choose_window(
                connection, "shelfcast_window_older", "window_older", older["batchId"], ALL, FEATURES, False
            )
            == ALL
        )


def test_other_data_sets_do_not_count(database_url: str) -> None:
    first = add_batch(database_url, "window_mine", tables_of(SALES, EXTERNALS))
    other = add_batch(database_url, "window_other", tables_of({(1, 1, 3): 7.0}, {}))
    with connect(database_url) as connection:
        move_watermark(connection, "shelfcast_window_mine", week(10), first["id"])
        found = choose_window(
            connection, "shelfcast_window_mine", "window_mine", other["batchId"], ALL, FEATURES, False
        )
    assert found == Window(week(10), week(10))


@pytest.mark.parametrize(
    ("name", "dept", "number", "first_origin"),
    [
        ("returns_usd", 1, 4, 6),
        ("shelf_price", 1, 4, 2),
        ("shelf_price", 1, 11, 9),
        ("visitors", 0, 4, 4),
        ("planned_promo", 0, 1, 0),
        ("parking_lots", 0, None, 10),
    ],
)
def test_a_declared_value_counts_from_the_origin_that_may_use_it(
    database_url: str, name: str, dept: int, number: int | None, first_origin: int
) -> None:
    found = window_after(
        database_url,
        f"window_{name}_{number}",
        {},
        {},
        features=FeatureSet(2, DECLARED),
        extras={(name, 1, dept, number): 3.0},
    )
    assert found == Window(week(first_origin), week(10))


def test_an_external_that_is_announced_counts_before_its_week(database_url: str) -> None:
    announced = FeatureSet(2, DECLARED)
    found = window_after(database_url, "window_announced", {}, {(1, 7): [2.0] * 9}, features=announced)
    assert found == Window(week(6), week(10))
