"""Dates and amounts of a messy file as people write them, and what must be declared to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from messy_sales import Row, Shop, pick

_ZONES = (
    *("Asia/Kolkata", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Auckland"),
    *("America/New_York", "Asia/Kathmandu"),
)
#: Share of the days above 12 that proves the order of day and month, and share that does not, with a margin.
_PROOF, _NO_PROOF = 0.4, 0.28


@dataclass
class Reading:
    """Expectation of how a file is read.

    Attributes:
        declaration: Part of the declaration that the file needs.
        must_stop: Parts of sentences, of which one must stop the load if there are any.
        may_stop: Parts of sentences that may stop the load.
        kinds: Names of what the file has, for the table of outcomes.
    """

    declaration: dict[str, Any] = field(default_factory=dict)
    must_stop: list[str] = field(default_factory=list)
    may_stop: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


#: One week in so many is flagged, and one out of stock.
_FLAGGED, _SOLD_OUT = 9, 7

Render = Callable[[date, int], str]


def choose_dates(rng: np.random.Generator, shop: Shop, reading: Reading, more: np.random.Generator) -> Render:
    """Returns the function that writes a day and a second of it as a cell."""
    options = {"iso": 6.0, "day first": 2.0, "month first": 1.0, "zone": 2.0, "utc, nothing declared": 0.5}
    options |= {"offset": 1.0, "declared form": 1.0}
    kind = pick(rng, options)
    if kind == "iso" and more.random() < 0.2 and shop.grain != "sale":
        kind = "no separators"
    reading.kinds.append(f"dates: {kind}")
    has_times = shop.grain == "sale"
    match kind:
        case "day first" | "month first":
            return _regional(rng, shop, kind, reading)
        case "no separators":
            return lambda day, _: formed(day, "YYYYMMDD")
        case "declared form":
            form = pick(rng, ["DD.MM.YYYY", "MM/DD/YYYY", "YYYYMMDD", "YYYY/MM/DD", "DD-MM-YYYY"])
            reading.declaration["dateFormat"] = form
            return lambda day, second: formed(day, form) + (f" {_time(second)}" if has_times else "")
        case "zone" | "utc, nothing declared":
            zone = pick(rng, _ZONES)
            if kind == "zone":
                reading.declaration["timeZone"] = zone
            else:
                reading.must_stop.append("zone")
            end = pick(rng, ["Z", "+00:00", " UTC", "+0000"])
            return lambda day, second: _in_utc(day, second, zone) + end
        case "offset":
            offset = timezone(timedelta(minutes=int(pick(rng, [330, -180, 60, 765]))))
            return lambda day, second: _moment(day, second, offset).isoformat(sep=" ")
    form = pick(rng, ["", "T00:00:00", " 00:00", " 00:00:00.000", " 12:00 AM"])
    return lambda day, second: f"{day} {_time(second)}" if has_times else f"{day}{form}"


def choose_amounts(
    rng: np.random.Generator, shop: Shop, delimiter: str, reading: Reading
) -> Callable[[str], str]:
    """Returns the function that writes an amount; cells that it makes unreadable are bad rows."""
    options = {"point": 6.0, "declared comma": 1.0, "declared point": 1.0, "comma": 1.0, "thousands": 0.3}
    kind = pick(rng, options)
    reading.kinds.append(f"amounts: {kind}")
    if kind.startswith("declared"):
        reading.declaration["decimal"] = "," if kind == "declared comma" else "."
        has_thousands = bool(rng.random() < 0.5)
        return lambda text: _separated(text, kind == "declared comma", has_thousands)
    if delimiter != "," and (shop.amount_kind in ("grams", "exponent", "tiny") or kind == "thousands"):
        reading.may_stop.append("two meanings")
    if kind == "thousands" and delimiter != ",":
        reading.may_stop.append("with a decimal point")
    return lambda text: _separated(text, kind == "comma", kind == "thousands")


def is_plain(text: str) -> bool:
    """Whether a comma-separated file's cell is a number with a decimal point."""
    return "," not in text


def _separated(text: str, has_comma: bool, has_thousands: bool) -> str:
    whole, point, decimals = text.partition(".")
    if has_thousands and "e" not in text:
        whole = f"{int(whole):,}" if whole.lstrip("-") != "0" else whole
    text = f"{whole}{point}{decimals}"
    return text.translate(str.maketrans(",.", ".,")) if has_comma else text


def _regional(rng: np.random.Generator, shop: Shop, kind: str, reading: Reading) -> Render:
    sign, is_padded = pick(rng, [".", "/", "-"]), bool(rng.random() < 0.5)
    late = np.mean([row.day.day > 12 for row in shop.rows])
    if late < _NO_PROOF:
        reading.must_stop.append("may begin with the day or with the month")
    elif late < _PROOF:
        reading.may_stop.append("may begin with the day or with the month")

    def render(day: date, second: int) -> str:
        parts = [day.day, day.month] if kind == "day first" else [day.month, day.day]
        texts = [f"{part:02}" if is_padded else str(part) for part in parts]
        return sign.join([*texts, f"{day.year:04}"]) + (f" {_time(second)}" if shop.grain == "sale" else "")

    return render


def formed(day: date, form: str) -> str:
    """Returns a date in a form like DD.MM.YYYY."""
    values = {"YYYY": f"{day.year:04}", "MM": f"{day.month:02}", "DD": f"{day.day:02}"}
    for part, text in values.items():
        form = form.replace(part, text)
    return form


def _time(second: int) -> str:
    return (datetime.min + timedelta(seconds=second)).time().isoformat()


def _in_utc(day: date, second: int, zone: str) -> str:
    return _moment(day, second, ZoneInfo(zone)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(day: date, second: int, zone: timezone | ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone) + timedelta(seconds=second)


def cells_of(row: Row, render: Render, amount: Callable[[str], str]) -> dict[str, list[str]]:
    """Returns the cells of a row by role."""
    return {
        "store": list(row.store),
        "dept": list(row.dept),
        "week": [render(row.day, row.second)],
        "sales": [amount(row.amount)],
        "holiday": [flag_of(row.day)],
        "fiscal_year": [str(row.day.year)],
        "fiscal_week": [f"{row.day:%Y%W}"],
        "available": ["0" if is_sold_out(row.day) else "1"],
    }


def is_sold_out(day: date) -> bool:
    """Whether all departments are out of stock in the week of a day."""
    return day.toordinal() // 7 % _SOLD_OUT == 0


def flag_of(day: date) -> str:
    """Returns the holiday flag of a day; a retailer flags some weeks that no calendar has."""
    return "TRUE" if day.toordinal() // 7 % _FLAGGED == 0 else "FALSE"
