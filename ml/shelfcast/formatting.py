"""Formats of numbers in reports and messages."""

from __future__ import annotations

from shelfcast.contracts.specs import DEFAULT_UNIT

#: Amounts below this have two decimals: the sales of a small series would all be 0 or 1.
_SMALL = 10


def amount(value: float, unit: str | None = None) -> str:
    """Formats an amount, like -$1,234 (US dollars, where ``unit`` is None), -1,234 EUR or 2.50 pieces."""
    size = abs(value)
    digits = f"{size:,.2f}" if 0 < size < _SMALL else f"{size:,.0f}"
    sign = "-" if value < 0 else ""
    return f"{sign}${digits}" if unit in (None, DEFAULT_UNIT) else f"{sign}{digits} {unit}"


def percent(share: float) -> str:
    """Formats a share of 1 as percent, like 12.3 %."""
    return f"{share * 100:.1f} %"
