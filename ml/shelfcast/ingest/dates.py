"""Cells of dates: a day, or a moment whose day depends on a time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa

from shelfcast.ingest.cell_rules import CellRule
from shelfcast.ingest.declaration_needed import DeclarationNeededError

_MOMENT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?P<fraction>[.,][0-9]+)?)?"
    r"(?: ?(?P<half>[AP])M)?(?: ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?)?",
    re.IGNORECASE,
)
#: Zones that are proposed first among those that fit: the ones in which most people live.
_COMMON_ZONES = (
    *("Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver"),
    *(
        "America/Los_Angeles",
        "Asia/Kolkata",
        "Asia/Shanghai",
        "Asia/Tokyo",
        "Asia/Jakarta",
        "America/Sao_Paulo",
    ),
    *("America/Mexico_City", "Europe/Moscow", "Europe/Istanbul", "Africa/Lagos", "Africa/Cairo"),
    *("Africa/Johannesburg", "Asia/Karachi", "Asia/Dhaka", "Asia/Dubai", "Australia/Sydney"),
)


@dataclass(frozen=True)
class _Moment:
    """Wall time of a cell, and its distance from UTC where the cell has a zone."""

    local: datetime
    has_time: bool
    offset: timedelta | None

    @property
    def is_midnight(self) -> bool:
        return self.local.time() == datetime.min.time()

    def at(self, zone: tzinfo) -> datetime:
        """Returns the wall time in another zone."""
        assert self.offset is not None
        return self.local.replace(tzinfo=timezone(self.offset)).astimezone(zone)

    def begins_a_day(self, zone: tzinfo) -> bool:
        """Whether the moment is the first one of a day; where clocks change at midnight, that is 1:00."""
        before = self.at(UTC) - timedelta(microseconds=1)
        return self.at(zone).date() != before.astimezone(zone).date()


def date_rule(
    time_zone: str | None = None, *, has_times: bool = False, may_be_declared: bool = False
) -> CellRule:
    """Returns the rule for cells with a day.

    Args:
        time_zone: Zone whose day counts for moments with a zone; by default, the zone of the cell.
        has_times: Whether the cells may have any time of day.
        may_be_declared: Whether a declaration can change the other two, so that ``check_times`` proposes it.
    """
    zone = None if time_zone is None else ZoneInfo(time_zone)

    def parse(cells: pa.Array) -> pa.Array:
        # Parse each distinct date once: a file has few dates and many rows.
        codes = cells.dictionary_encode()
        days = [_day(text, zone, has_times) for text in codes.dictionary.to_pylist()]
        return pa.array(days, pa.date32()).take(codes.indices)

    where = "" if time_zone is None else f" in {time_zone}"
    allowed = "" if has_times else f", without a time of day other than midnight{where}"

    def refuse(file: str, column: str, cells: pa.Array) -> None:
        if may_be_declared:
            check_times(f"{file}: {column}", cells, zone, has_times=has_times)

    return CellRule("date", f"must be a real date, written like 2012-01-27{allowed}", parse, refuse=refuse)


ISO_DATE = date_rule()


def check_times(where: str, cells: pa.Array, zone: ZoneInfo | None, *, has_times: bool) -> None:
    """Refuses a column of moments of which most have no day yet, with the declaration that gives them one.

    Args:
        where: Names of the file and the column.
        cells: Dates, written like 2012-01-27.
        zone: Zone of ``date_rule``.
        has_times: Whether ``date_rule`` allows any time of day.

    Raises:
        DeclarationNeededError: More than half of the rows have a time of day where none is allowed, or a time
            in UTC without a declared zone.
    """
    codes = cells.dictionary_encode()
    rows = np.bincount(codes.indices, minlength=len(codes.dictionary))
    texts = codes.dictionary.to_pylist()
    moments = [(text, moment, n) for text, n in zip(texts, rows, strict=True) if (moment := _moment(text))]
    unclear = [each for each in moments if _is_unclear(each[1], zone, has_times)]
    if 2 * sum(n for _, _, n in unclear) <= len(cells):
        return
    with_zone = [moment for _, moment, _ in moments if moment.offset is not None]
    zones = _zones_of_midnights(with_zone) if len(with_zone) == len(moments) else []
    example = f"{where} has times, like {unclear[0][0]}"
    if zones:
        others = f" (or {', '.join(zones[1:3])})" if zones[1:] else ""
        raise DeclarationNeededError(
            f'{example}, which are midnights in {zones[0]}{others}: declare "timeZone": "{zones[0]}" '
            f"(--time-zone {zones[0]})",
            {"timeZone": zones[0]},
        )
    if has_times:
        raise DeclarationNeededError(
            f"{example}, and the day of a moment depends on the zone: declare the zone of the stores, like "
            '"timeZone": "Europe/Berlin" (--time-zone Europe/Berlin)',
            {},
        )
    raise DeclarationNeededError(
        f'{example}, so its rows are no weeks: declare "sum": "days" (--sum days) to sum them to weeks',
        {"sum": "days"},
    )


def _is_unclear(moment: _Moment, zone: ZoneInfo | None, has_times: bool) -> bool:
    """Whether a time has no day, or its day is known only in a zone that nobody named."""
    if has_times:
        return zone is None and moment.offset == timedelta(0) and not moment.is_midnight
    return _day_of(moment, zone, has_times) is None


def _zones_of_midnights(moments: Sequence[_Moment]) -> list[str]:
    """Returns the zones in which all of the moments are midnights, common ones first."""
    common = [name for name in _COMMON_ZONES if _all_begin_days(moments, name)]
    return common or sorted(
        name for name in available_timezones() if "/" in name and _all_begin_days(moments, name)
    )


def _all_begin_days(moments: Iterable[_Moment], name: str) -> bool:
    zone = ZoneInfo(name)
    try:
        return all(moment.begins_a_day(zone) for moment in moments)
    except OverflowError:
        return False


def _day(text: str, zone: ZoneInfo | None, has_times: bool) -> date | None:
    moment = _moment(text)
    return None if moment is None else _day_of(moment, zone, has_times)


def _day_of(moment: _Moment, zone: ZoneInfo | None, has_times: bool) -> date | None:
    if zone is None or moment.offset is None:
        return moment.local.date() if has_times or moment.is_midnight else None
    try:
        return moment.at(zone).date() if has_times or moment.begins_a_day(zone) else None
    except OverflowError:
        return None


def _moment(text: str) -> _Moment | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        day = date.fromisoformat(found["date"])
        hour = int(found["hour"] or 0)
        if found["half"]:
            hour = hour % 12 + (12 if found["half"].upper() == "P" else 0) if 1 <= hour <= 12 else 24
        microsecond = int(float("0." + (found["fraction"] or ".0")[1:]) * 1e6)
        if microsecond == 0 and (found["fraction"] or "").strip(".,0"):
            microsecond = 1
        local = datetime(
            day.year,
            day.month,
            day.day,
            hour,
            int(found["minute"] or 0),
            int(found["second"] or 0),
            microsecond,
        )
    except ValueError:
        return None
    return _Moment(local, found["hour"] is not None, _offset(found["zone"]))


def _offset(zone: str | None) -> timedelta | None:
    if zone is None:
        return None
    if zone[0] not in "+-":
        return timedelta(0)
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -offset if zone[0] == "-" else offset
