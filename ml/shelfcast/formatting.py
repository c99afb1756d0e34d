"""Formats of numbers in reports and messages."""

from __future__ import annotations


def usd(amount: float) -> str:
    """Formats an amount in whole US dollars, like -$1,234."""
    return f"-${-amount:,.0f}" if amount < 0 else f"${amount:,.0f}"


def percent(share: float) -> str:
    """Formats a share of 1 as percent, like 12.3 %."""
    return f"{share * 100:.1f} %"
