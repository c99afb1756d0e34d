"""Sales of made-up retailers: ids, days and amounts, before a file makes a mess of them."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeVar

import numpy as np

T = TypeVar("T")
Grain = Literal["week", "day", "sale"]
#: Store, department and last day of the week -> sales.
Truth = dict[tuple[str, str, date], float]

WEEK = timedelta(weeks=1)
#: Ids by kind, as people write them; the cells of several columns are a tuple.
IDS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "numbers": [("1",), ("2",), ("17",), ("999",), ("16777215",)],
    "barcodes": [("4006381333931",), ("0012345678905",), ("9780201379624",), ("4006381333948",)],
    "floats": [("1.0",), ("2.0",), ("17.0",), ("999.0",)],
    "zeros": [("007",), ("0012",), ("000",), ("08",)],
    "text": [("CA_1",), ("FOODS_1",), ("ca_1",), ("Main Street",), ("A",)],
    "codes": [("1.1",), ("1.2",), ("2.10",), ("2.1",)],
    "words": [("NULL",), ("nan",), ("TRUE",), ("None",), ("-",), ("=1+1",), ("1e5",), ("2024-01-05",)],
    "odd": [("Müller, Köln",), ('the "big" one',), ("a/b",), ("a\\b",), ("O'Neill",), ("50 % off",)],
    "scripts": [("東京",), ("Магазин 3",), ("e\u0301te\u0301",), ("متجر",), ("🛒",), ("\uff11\uff12",)],
    "parts": [("US", "12"), ("US", "1"), ("CA", "12"), ("a/b", "1"), ("a", "b/1"), ("x\\", "y")],
    "number parts": [("1", "12"), ("1", "2"), ("11", "2"), ("2", "1")],
}
#: Kinds whose letters Windows-1252 has.
WESTERN = tuple(kind for kind in IDS if kind != "scripts")
AMOUNTS = ("usual", "whole", "grams", "zeros", "constant", "tiny", "huge", "returns", "exponent", "lumpy")
_WEEKS = {1: 2, 3: 2, 4: 1, 10: 3, 26: 3, 45: 3, 70: 2, 156: 1}


@dataclass(frozen=True)
class Row:
    """Row of sales.

    Attributes:
        store: Cells of the store.
        dept: Cells of the department.
        day: Day of the sale, or last day of the week.
        second: Second of the day, 0 for a day or a week.
        amount: Sales as text with a decimal point.
    """

    store: tuple[str, ...]
    dept: tuple[str, ...]
    day: date
    second: int
    amount: str


@dataclass(frozen=True)
class Shop:
    """Sales of a retailer.

    Attributes:
        grain: Time that a row stands for.
        store_kind: Kind of the stores' ids.
        dept_kind: Kind of the departments' ids.
        amount_kind: Kind of the amounts.
        rows: Rows by day.
    """

    grain: Grain
    store_kind: str
    dept_kind: str
    amount_kind: str
    rows: list[Row]

    @property
    def stores(self) -> list[tuple[str, ...]]:
        """Cells of each store."""
        return list(dict.fromkeys(row.store for row in self.rows))

    @property
    def days(self) -> list[date]:
        """Different days of the rows, ascending."""
        return sorted({row.day for row in self.rows})


def pick(rng: np.random.Generator, options: Mapping[T, float] | Sequence[T]) -> T:
    """Returns one of the options, by their weights if they have some."""
    values = list(options)
    weights = np.array([options[v] for v in values] if isinstance(options, Mapping) else [1.0] * len(values))
    return values[int(rng.choice(len(values), p=weights / weights.sum()))]


def make_shop(rng: np.random.Generator) -> Shop:
    """Returns the sales of a retailer."""
    grain: Grain = pick(rng, {"week": 6.0, "day": 2.0, "sale": 1.0})
    store_kind, dept_kind = pick(rng, list(IDS)), pick(rng, list(IDS))
    amount_kind = pick(rng, {kind: 6.0 if kind == "usual" else 1.0 for kind in AMOUNTS})
    weeks = pick(rng, {n: weight for n, weight in _WEEKS.items() if grain == "week" or n <= 26})
    stores, depts = (_some(rng, IDS[kind]) for kind in (store_kind, dept_kind))
    if grain != "week":
        stores, depts = stores[:2], depts[:2]
    last = date(2024, 12, 1) - timedelta(days=int(rng.integers(0, 2500)))
    last_of_store = {store: last - WEEK * int(rng.choice([0, 0, 0, min(2, weeks - 1)])) for store in stores}
    rows = []
    for store in stores:
        open_days = _open_days(rng)
        for dept in depts:
            days = _days(rng, grain, last_of_store[store], weeks, open_days)
            level = float(rng.lognormal(4, 1))
            rows += [
                Row(store, dept, day, second, _amount(rng, amount_kind, level))
                for day in days
                for second in _seconds(rng, grain)
            ]
    rows.sort(key=lambda row: row.day)
    return Shop(grain, store_kind, dept_kind, amount_kind, rows)


def id_of(cells: tuple[str, ...]) -> str:
    """Returns the id that cells stand for, as docs/data.md says."""
    cells = tuple(unicodedata.normalize("NFC", cell.strip()) for cell in cells)
    if len(cells) > 1:
        return "/".join(cell.replace("\\", "\\\\").replace("/", "\\/") for cell in cells)
    is_float = cells[0].endswith(".0") and cells[0][:-2].isdecimal()
    return cells[0][:-2] if is_float else cells[0]


def weekly(rows: Sequence[Row]) -> Truth:
    """Returns the sales of rows that are weeks."""
    return {(id_of(row.store), id_of(row.dept), row.day): float(row.amount) for row in rows}


def summed(rows: Sequence[Row], weekday: int) -> Truth:
    """Returns the sums of the weeks that are whole, of rows that are days or sales."""
    sums: Truth = defaultdict(float)
    days_of: dict[str, set[date]] = defaultdict(set)
    for row in rows:
        week = row.day + timedelta(days=(weekday - row.day.weekday()) % 7)
        sums[id_of(row.store), id_of(row.dept), week] += float(row.amount)
        days_of[id_of(row.store)].add(row.day)
    of_all = _partial_weeks(set().union(*days_of.values()), weekday)
    partial = {store: _partial_weeks(days, weekday) | of_all for store, days in days_of.items()}
    return {key: value for key, value in sums.items() if key[2] not in partial[key[0]]}


def _partial_weeks(days: set[date], weekday: int) -> set[date]:
    """Returns the first and the last week, if usual days before or after all sales are missing."""
    ends = {day: day + timedelta(days=(weekday - day.weekday()) % 7) for day in days}
    weeks = sorted(set(ends.values()))
    usual = {
        weekday_
        for weekday_ in range(7)
        if len(weeks) < 4 or 2 * len({ends[d] for d in days if d.weekday() == weekday_}) >= len(weeks)
    }
    first, last = min(days), max(days)
    before = {weeks[0] - timedelta(days=n) for n in range(7) if weeks[0] - timedelta(days=n) < first}
    after = {weeks[-1] - timedelta(days=n) for n in range(7) if weeks[-1] - timedelta(days=n) > last}
    partial = set()
    if any(day.weekday() in usual for day in before):
        partial.add(weeks[0])
    if any(day.weekday() in usual for day in after):
        partial.add(weeks[-1])
    return partial


def _some(rng: np.random.Generator, ids: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    count = int(rng.integers(1, min(4, len(ids)) + 1))
    return [ids[n] for n in rng.permutation(len(ids))[:count]]


def _open_days(rng: np.random.Generator) -> set[int]:
    closed = pick(rng, [(), (6,), (5, 6), (0,)])
    return set(range(7)) - set(closed)


def _days(rng: np.random.Generator, grain: Grain, last: date, weeks: int, open_days: set[int]) -> list[date]:
    """Returns days or weeks of a series, which may begin late, end early or have gaps."""
    if grain == "week":
        days = [last - WEEK * n for n in reversed(range(weeks))]
    else:
        first = last - timedelta(days=7 * weeks - int(rng.integers(1, 7)))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        days = [day for day in days if day.weekday() in open_days] or days
    shape = pick(rng, {"whole": 4.0, "late": 1.0, "ended": 1.0, "gaps": 1.0, "one": 0.3})
    middle = len(days) // 2
    if shape == "late":
        return days[middle:]
    if shape == "ended":
        return days[: middle + 1]
    if shape == "one":
        return [days[int(rng.integers(len(days)))]]
    if shape == "gaps":
        return [day for day in days if rng.random() < 0.6] or days[-1:]
    return days


def _seconds(rng: np.random.Generator, grain: Grain) -> list[int]:
    count = int(rng.integers(1, 3)) if grain == "sale" else 1
    return [int(rng.integers(1, 86_400)) if grain == "sale" else 0 for _ in range(count)]


def _amount(rng: np.random.Generator, kind: str, level: float) -> str:
    value = level * float(rng.lognormal(0, 0.3))
    forms = {
        "whole": f"{value:.0f}",
        "grams": f"{value:.3f}",
        "zeros": "0",
        "constant": f"{level:.2f}",
        "tiny": f"{value / 1e9:.12f}",
        "huge": f"{value * 1e5:.2f}",
        "returns": f"{-value if rng.random() < 0.2 else value:.2f}",
        "exponent": f"{value:.4e}",
        "lumpy": f"{0 if rng.random() < 0.7 else value:.0f}",
    }
    return forms.get(kind, f"{value:.2f}")
