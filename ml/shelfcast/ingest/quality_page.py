"""The quality report as a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222;
  margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #ddd }
td.rows { text-align: right; font-variant-numeric: tabular-nums }
ul { margin: 0; padding-left: 1.1rem }
.stopped { background: #fde0de } .overridden { background: #fcebc8 } .warned { background: #fff8dc }
.notChecked { color: #767676 }
"""
_WORDS = {
    "kept": "kept",
    "warned": "warning",
    "stopped": "stopped the load",
    "overridden": "overridden on purpose",
    "notChecked": "not checked",
}
#: The worst first: the page is read to learn why a load stopped.
_ORDER = ("stopped", "overridden", "warned", "kept", "notChecked")


def quality_page(dataset: str, rules: Sequence[Mapping[str, Any]]) -> str:
    """Returns the HTML of ``quality.rules`` (contracts/jobs.ts). Texts from the data are escaped."""
    counts = [(word, sum(rule["outcome"] == word for rule in rules)) for word in _ORDER]
    summary = ", ".join(f"{count} {_WORDS[word]}" for word, count in counts if count)
    rows = "\n".join(_row(rule) for rule in sorted(rules, key=lambda rule: _ORDER.index(rule["outcome"])))
    title = f"Data quality of {escape(dataset)}"
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>
<body>
<h1>{title}</h1>
<p>{len(rules)} rules: {summary}.</p>
<table>
<thead><tr><th>Rule</th><th>Severity</th><th>Outcome</th><th>Broken by</th><th>Examples</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def _row(rule: Mapping[str, Any]) -> str:
    examples = "".join(f"<li>{escape(example)}</li>" for example in rule["examples"])
    return (
        f'<tr class="{rule["outcome"]}"><td><b>{rule["name"]}</b><br>{escape(rule["text"])}</td>'
        f"<td>{rule['severity']}</td><td>{_WORDS[rule['outcome']]}</td>"
        f'<td class="rows">{rule["rows"]}</td><td>{f"<ul>{examples}</ul>" if examples else ""}</td></tr>'
    )
