"""HTML pages from Jinja templates. The style sheet is inlined, so each page is a single file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from shelfcast.formatting import amount, percent

_ENVIRONMENT = Environment(
    loader=PackageLoader("shelfcast", "templates"),
    # Texts from the user's data end up in the pages.
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _amount(value: float | None, unit: str | None) -> str:
    """Formats an amount, -$1,234 or -1,234 EUR; empty for None."""
    return "" if value is None else amount(value, unit)


def _percent(share: float | None) -> str:
    """Formats a share of 1 as 12.3 %; empty for None."""
    return "" if share is None else percent(share)


def _count(number: int) -> str:
    """Formats a count, 1,234."""
    return f"{number:,}"


_ENVIRONMENT.filters |= {"amount": _amount, "percent": _percent, "count": _count}


def render(template: str, **values: Any) -> str:
    """Renders a template of this folder; all values are escaped.

    Raises:
        jinja2.UndefinedError: The template needs a value that is missing.
    """
    return _ENVIRONMENT.get_template(template).render(values)
