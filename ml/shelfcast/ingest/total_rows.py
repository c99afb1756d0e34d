"""Search for stores and departments that are totals of others: their sales would count twice in every sum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shelfcast.ids import IdOf
from shelfcast.ingest.load_checks import Ints, SalesRows

#: Names of totals in the languages of many retailers.
_NAMES = frozenset(
    [
        "all",
        "total",
        "totals",
        "grand total",
        "overall",
        "sum",
        "gesamt",
        "summe",
        "alle",
        "tous",
        "todos",
        "totale",
    ]
)
#: Share of the rows that must equal the sum of the others.
_LEAST_SHARE = 0.95
_LEAST_ROWS = 8
#: Members beside the total: of two that are equal, neither is a total.
_LEAST_OTHERS = 2
#: Largest difference, as a share of the sum, and for each member that is rounded to cents.
_RELATIVE, _ABSOLUTE = 1e-4, 0.01


def find_total_rows(sales: SalesRows) -> list[str]:
    """Returns sentences on the stores and departments that look like totals."""
    return [*_find("dept", sales, sales.dept, sales.store), *_find("store", sales, sales.store, sales.dept)]


def _find(of: IdOf, sales: SalesRows, number: Ints, other: Ints) -> Iterator[str]:
    members, member = np.unique(number, return_inverse=True)
    if len(members) == 1:
        return
    _, group = np.unique((other << 32) + sales.week, return_inverse=True)
    others = np.bincount(group)[group] - 1
    sum_of_others = np.bincount(group, sales.sales)[group] - sales.sales
    difference = np.abs(sales.sales - sum_of_others)
    tolerance = _RELATIVE * np.abs(sum_of_others) + _ABSOLUTE * others
    told = (others >= _LEAST_OTHERS) & (sum_of_others != 0)
    rows, equal = np.bincount(member, told), np.bincount(member, told & (difference <= tolerance))
    for n, id_ in enumerate(sales.ids.id(of, int(number)) for number in members):
        declare = f'if it is a total, declare "totals": {{"{of}": ["{id_}"]}}'
        if rows[n] >= _LEAST_ROWS and equal[n] >= _LEAST_SHARE * rows[n]:
            yield f"{of} {id_!r} is the sum of the others in {equal[n]:.0f} of {rows[n]:.0f} rows; {declare}"
        elif id_.casefold().strip() in _NAMES:
            yield f"{of} {id_!r} has the name of a total; {declare}"
