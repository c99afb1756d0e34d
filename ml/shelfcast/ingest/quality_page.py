"""HTML report of the data-quality checks."""

from __future__ import annotations

from collections.abc import Sequence

from shelfcast.contracts.results import Outcome, QualityRule
from shelfcast.templates import render

#: Outcome of a rule -> words on the page, the worst first.
_WORDS: dict[Outcome, str] = {
    "stopped": "stopped the load",
    "overridden": "overridden on purpose",
    "warned": "warning",
    "kept": "passed",
    "notChecked": "not checked",
}


def quality_page(dataset: str, rules: Sequence[QualityRule]) -> str:
    """Returns the HTML page; the rules that stopped the load come first."""
    counts = {outcome: sum(rule.outcome == outcome for rule in rules) for outcome in _WORDS}
    order = list(_WORDS)
    return render(
        "quality.html.jinja",
        title=f"Data quality of {dataset}",
        summary=", ".join(f"{count} {_WORDS[outcome]}" for outcome, count in counts.items() if count),
        rules=sorted(rules, key=lambda rule: order.index(rule.outcome)),
        words=_WORDS,
    )
