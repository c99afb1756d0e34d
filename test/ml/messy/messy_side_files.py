"""Files beside the sales: stores, weeks of stores and of series, covariates, events and calendars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from messy_cells import flag_of, formed
from messy_sales import Row, Shop, id_of, pick
from messy_text import TextStyle, write_text

if TYPE_CHECKING:
    from messy_folders import Messy

_PROMO = {"name": "promo", "of": "series_week", "knownAfterWeeks": -2, "description": "in the leaflet"}
_VISITORS = {"name": "visitors", "of": "store_week", "knownAfterWeeks": 1, "description": "people counted"}
_PARKING = {"name": "parking", "of": "store", "description": "parking spaces"}


def add_side_files(rng: np.random.Generator, shop: Shop, rows: list[Row], messy: Messy) -> list[Row]:
    """Writes some of the files; returns the rows of sales that count with them."""
    stores = sorted({id_of(store) for store in shop.stores})
    covariates: list[dict[str, Any]] = []
    rows = _add_stores(rng, stores, rows, messy, covariates)
    weekday = _weekday(rng, shop, messy)
    weeks = _weeks(shop, weekday)
    if rng.random() < 0.3:
        _add_store_weeks(rng, stores, weeks, messy, covariates)
        messy.weeks_end = weekday
    if rng.random() < 0.25:
        _add_series_weeks(rng, shop, weeks, messy, covariates)
        messy.weeks_end = weekday
    _add_items(shop, messy)
    if rng.random() < 0.2:
        _add_events(rng, stores, rows, weeks, messy)
    if rng.random() < 0.1:
        country = pick(rng, {"DE": 4.0, "IN": 1.0, "US": 1.0, "XX": 1.0})
        messy.reading.declaration["holidays"] = {"country": country}
        messy.reading.kinds.append(f"holidays: {country}")
        if country == "XX":
            messy.reading.must_stop.append("XX")
    if covariates and rng.random() < 0.15:
        covariates.append({**_PROMO, "name": "leaflet"})
        messy.reading.kinds.append("covariates: of no file")
        messy.reading.must_stop.append("has no column leaflet")
    if covariates:
        (messy.path / "columns.json").write_text(json.dumps(covariates))
    return rows


def _weekday(rng: np.random.Generator, shop: Shop, messy: Messy) -> int:
    if shop.grain == "week":
        return shop.days[-1].weekday()
    return int(rng.integers(7)) if messy.weeks_end is None else messy.weeks_end


def _weeks(shop: Shop, weekday: int) -> list[date]:
    first, last = (
        day + timedelta(days=(weekday - day.weekday()) % 7) for day in (shop.days[0], shop.days[-1])
    )
    return [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 5)]


def _add_stores(
    rng: np.random.Generator,
    stores: Sequence[str],
    rows: list[Row],
    messy: Messy,
    covariates: list[dict[str, Any]],
) -> list[Row]:
    kinds = {"none": 5.0, "all": 2.0, "unknown": 1.0, "more": 1.0, "fewer": 0.7, "twice": 0.4}
    kind = pick(rng, {**kinds, "no type": 0.3})
    messy.reading.kinds.append(f"stores.csv: {kind}")
    if kind == "none":
        return rows
    listed = list(stores) + (["another"] if kind == "more" else [])
    missing = {listed[-1]} if kind in ("fewer", "twice") else set()
    if kind == "fewer":
        listed = listed[:-1]
    if not listed:
        listed, missing = ["another"], set()
    header = ["store", "type", "size"]
    lines = [
        [store, *(["", "NA"] if kind == "unknown" else [pick(rng, ["A", "mall", "c"]), str(1000 * n)])]
        for n, store in enumerate(listed, 1)
    ]
    if kind == "twice":
        lines.append(lines[-1])
        messy.side_bad += 2
        if len(listed) == 1:
            # The file describes no store for certain, so all rows count.
            missing = set()
    if kind == "no type":
        header, lines = ["store", "size"], [[line[0], line[2]] for line in lines]
        messy.reading.must_stop.append("no column type")
    if rng.random() < 0.2 and kind != "no type":
        covariates.append(_PARKING)
        header.append("parking")
        lines = [[*line, pick(rng, ["10", "NA", ""])] for line in lines]
    _write(messy, "stores", header, lines)
    if not any(id_of(row.store) not in missing for row in rows):
        return rows
    messy.unlisted = missing
    kept = [row for row in rows if id_of(row.store) not in missing]
    messy.side_bad += len(rows) - len(kept)
    return kept


def _add_store_weeks(
    rng: np.random.Generator,
    stores: Sequence[str],
    weeks: Sequence[date],
    messy: Messy,
    covariates: list[dict[str, Any]],
) -> None:
    kind = pick(rng, {"usual": 4.0, "holes": 2.0, "unknown": 1.0, "flags of one file": 0.3, "too hot": 0.3})
    messy.reading.kinds.append(f"store_weeks.csv: {kind}")
    header = ["store", "week", "temperature", "visitors", "holiday"]
    lines = [
        [
            store,
            _shown(week, messy),
            "NA" if kind == "unknown" else "999" if kind == "too hot" else str(int(rng.integers(20, 90))),
            pick(rng, ["100", "", "7"]),
            flag_of(week),
        ]
        for store in stores
        for week in weeks
        if kind != "holes" or rng.random() < 0.7
    ]
    lines = lines or [[stores[0], _shown(weeks[0], messy), "NA", "1", flag_of(weeks[0])]]
    is_odd = kind == "flags of one file"
    if is_odd:
        messy.reading.must_stop.append("column holiday")
    if messy.has_flags == is_odd:
        header, lines = header[:-1], [line[:-1] for line in lines]
    if kind == "too hot":
        messy.reading.must_stop.append("external-range")
    if rng.random() < 0.5:
        covariates.append(_VISITORS)
    _write(messy, "store_weeks", header, lines)


def _add_series_weeks(
    rng: np.random.Generator,
    shop: Shop,
    weeks: Sequence[date],
    messy: Messy,
    covariates: list[dict[str, Any]],
) -> None:
    kind = pick(rng, {"usual": 4.0, "constant": 1.0, "missing": 1.0})
    messy.reading.kinds.append(f"series_weeks.csv: {kind}")
    values = {"usual": ["0", "1"], "constant": ["3"], "missing": ["", "NA"]}[kind]
    series = sorted({(id_of(row.store), id_of(row.dept)) for row in shop.rows})
    lines = [
        [store, dept, _shown(week, messy), pick(rng, values)]
        for store, dept in series
        for week in weeks[-60:]
    ]
    covariates.append(_PROMO)
    _write(messy, "series_weeks", ["store", "dept", "week", "promo"], lines)


def _add_items(shop: Shop, messy: Messy) -> None:
    kinds = {"none": 8.0, "all": 1.0, "fewer": 0.5, "more": 0.5, "twice": 0.2, "no column": 0.2}
    kind = pick(messy.more, kinds)
    messy.reading.kinds.append(f"items.csv: {kind}")
    if kind == "none":
        return
    messy.reading.declaration["levels"] = {"category": "items.category"}
    listed = sorted({id_of(row.dept) for row in shop.rows}) + (["new"] if kind == "more" else [])
    lines = [[dept, pick(messy.more, ["food", "toys", "NA"])] for dept in listed]
    header = ["dept", "category"]
    match kind:
        case "fewer":
            lines = lines[1:] or [["new", "food"]]
        case "twice":
            lines.append(lines[-1])
            messy.side_bad += 2
        case "no column":
            header, lines = ["dept"], [line[:1] for line in lines]
            messy.reading.must_stop.append("category")
    _write(messy, "items", header, lines)


def _add_events(
    rng: np.random.Generator, stores: Sequence[str], rows: Sequence[Row], weeks: Sequence[date], messy: Messy
) -> None:
    kind = pick(rng, {"all stores": 3.0, "one store": 2.0, "an unknown store": 0.5, "no day": 0.3})
    messy.reading.kinds.append(f"events.csv: {kind}")
    known = sorted({id_of(row.store) for row in rows}) or [stores[0]]
    store = {"one store": known[0], "an unknown store": "nowhere"}.get(kind, "")
    days = [weeks[0] + timedelta(days=int(n)) for n in rng.integers(0, 7 * len(weeks), 3)]
    lines = [["Fair, large", _shown(day, messy), store] for day in days]
    if kind == "no day":
        messy.reading.must_stop.append("has no column date or week")
        _write(messy, "events", ["name", "store"], [[line[0], line[2]] for line in lines])
        return
    if kind == "an unknown store":
        messy.side_bad += len(lines)
        messy.reading.must_stop.append("no event is good")
    _write(messy, "events", ["name", "date", "store"], lines)


def _shown(day: date, messy: Messy) -> str:
    form = messy.reading.declaration.get("dateFormat")
    return str(day) if form is None else formed(day, form)


def _write(messy: Messy, name: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    data, _ = write_text(header, lines, TextStyle())
    (messy.path / f"{name}.csv").write_bytes(data)
    messy.row_count += len(lines)
    if name in ("store_weeks", "series_weeks"):
        messy.side_bad += sum(line[0] in messy.unlisted for line in lines)
