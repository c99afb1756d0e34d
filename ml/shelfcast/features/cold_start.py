"""Estimated history of a series without sales, from the same department in other stores.

The stores that sell the department are its peers. The estimate of a week is the mean of the peers' sales in
it, times the level of the store over the level of these peers:

    estimate[t] = mean(sales[p, t]) * sum(level of the store) / sum(level of p), over peers p with sales in t

Both levels are sums of ``rolling_mean_13`` at the newest week, over the departments that the store and p both
sell, so an assortment of another width does not count. A store that shares no department with a
peer has its size in place of the level. Peers without the one that counts are left out; where no peer has it,
all count, and the ratio is 1.

The formula is the ratio estimator of Cochran, Sampling Techniques, 3rd edition (1977), chapter 6: the sales
of a department are proportional to the level of its store. All values are known at the newest week of the
grid, so only the features of that origin may read an estimate.

Where the user says which store or department a new one is like, the history of that one, as it is, takes the
place of the estimate (``likes``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.likes import NO_LIKES, Likes
from shelfcast.features.sales_history import Grid, SalesGrid, ratio, rolling_mean

#: Weeks of the level.
_LEVEL_WEEKS = 13
#: Share of the stores from which a department counts as usual.
_USUAL_SHARE = 0.5


def likely_series(
    grid: SalesGrid, stores: NDArray[np.int64], likes: Likes = NO_LIKES
) -> tuple[tuple[int, int], ...]:
    """Returns (store, dept) of the series without sales that people may ask for.

    They are the departments that half of the stores sell, or more, in each other store with sales in the
    newest week, or without any: no more than there are series, whatever the departments of a few stores.
    A declared like adds the departments of the other store, and the stores of the other department.

    Args:
        grid: Sales of all series.
        stores: Stores that the data set describes, with sales or without.
        likes: Stores and departments that are like others.
    """
    selling, store = np.unique(grid.store, return_inverse=True)
    departments, dept = np.unique(grid.dept, return_inverse=True)
    sells = np.zeros((len(selling), len(departments)), dtype=bool)
    sells[store, dept] = True
    usual = sells.mean(axis=0) >= _USUAL_SHARE
    # A store that reports late is forecast from an earlier week, of which an estimate knows nothing.
    is_current = np.isin(selling, grid.store[~np.isnan(grid.sales[:, -1])])
    likely = [
        (selling[s], departments[d]) for s, d in np.argwhere(~sells & usual & is_current[:, np.newaxis])
    ]
    new = np.setdiff1d(stores, selling)
    likely += [(store_, dept_) for store_ in new for dept_ in departments[usual]]
    now = ~np.isnan(grid.sales[:, -1])
    sold = set(zip(grid.store.tolist(), grid.dept.tolist(), strict=True))
    declared = set(likes.likely_series(grid.store[now], grid.dept[now], new)) - sold
    found = {(int(s), int(d)) for s, d in likely}
    return (*((int(s), int(d)) for s, d in likely), *sorted(declared - found))


def with_estimates(
    grid: SalesGrid, stores: NDArray[np.int64], size: NDArray[np.float64], likes: Likes = NO_LIKES
) -> SalesGrid:
    """Returns the grid with an estimated history of each series without sales that a peer sells.

    A series that is like one with recent sales has the history of that one.

    Args:
        grid: Sales of all series; those without sales have NaN in each week.
        stores: Store numbers in ascending order.
        size: Size of each store, NaN where unknown.
        likes: Stores and departments that are like others.
    """
    without_sales = np.flatnonzero(np.isnan(grid.sales).all(axis=1))
    if len(without_sales) == 0:
        return grid
    level = rolling_mean(grid.sales, _LEVEL_WEEKS)[:, -1]
    departments, dept = np.unique(grid.dept, return_inverse=True)
    store = np.searchsorted(stores, grid.store)
    levels = np.full((len(stores), len(departments)), np.nan)
    levels[store, dept] = level
    sales, estimated = grid.sales.copy(), np.zeros(len(grid.store), dtype=bool)
    recent = {(int(grid.store[n]), int(grid.dept[n])): int(n) for n in np.flatnonzero(~np.isnan(level))}
    for series in without_sales:
        candidates = likes.candidates(int(grid.store[series]), int(grid.dept[series]))
        alike = next((recent[pair] for pair in candidates if pair in recent), None)
        if alike is not None:
            sales[series], estimated[series] = grid.sales[alike], True
            continue
        peers = np.flatnonzero((grid.dept == grid.dept[series]) & ~np.isnan(level))
        if len(peers) == 0:
            continue
        own, of_peers = _levels(levels, size, int(store[series]), store[peers])
        # Returns above sales leave a level of no meaning.
        usable = (own > 0) & (of_peers > 0)
        if usable.any():
            peers, own, of_peers = peers[usable], own[usable], of_peers[usable]
        else:
            own = of_peers = np.ones(len(peers))
        sales[series] = _estimate(grid.sales[peers], own, of_peers)
        estimated[series] = True
    return replace(grid, sales=sales, estimated=estimated)


def _levels(
    levels: Grid, size: NDArray[np.float64], store: int, peers: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the level of a store as each of its peers measures it, and the level of each peer, both [P]."""
    both = ~np.isnan(levels[store]) & ~np.isnan(levels[peers])
    own = np.where(both, levels[store], 0).sum(axis=1)
    of_peers = np.where(both, levels[peers], 0).sum(axis=1)
    if both.any():
        return own, of_peers
    known = ~np.isnan(size[peers]) & ~np.isnan(size[store])
    return np.where(known, size[store], 0), np.where(known, size[peers], 0)


def _estimate(sales: Grid, own: NDArray[np.float64], of_peers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the estimate of each week from the sales of the peers [P, weeks] and both levels [P]."""
    known = ~np.isnan(sales)
    count = known.sum(axis=0)
    total = np.where(known, sales, 0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(sales.shape[1], np.nan), where=count > 0)
    estimate: NDArray[np.float64] = mean * ratio(own @ known, of_peers @ known)
    return estimate
