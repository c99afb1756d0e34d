"""What the quality gate found of a load, rule by rule, and whether the load may go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shelfcast.ingest.quality_page import quality_page
from shelfcast.ingest.quality_rules import RULES, Rule
from shelfcast.job import UserError, write_json

#: ``notChecked``: there is nothing to compare with, or the rule is not for data of that source.
Outcome = Literal["kept", "warned", "stopped", "overridden", "notChecked"]

EXAMPLES = 5


@dataclass(frozen=True)
class Check:
    """What came of one rule that was checked.

    Attributes:
        rule: The rule's name.
        rows: How many rows (weeks, stores: what its text speaks of) break it.
        examples: Up to ``EXAMPLES`` of them in words.
        summary: The figures that decided, where a count does not tell them.
    """

    rule: str
    rows: int
    examples: Sequence[str] = field(default=())
    summary: str = ""


@dataclass(frozen=True)
class _Judged:
    rule: Rule
    check: Check | None
    outcome: Outcome

    def json(self) -> dict[str, Any]:
        """Returns an entry of ``quality.rules`` in contracts/jobs.ts."""
        return {
            "name": self.rule.name,
            "severity": self.rule.severity,
            "text": self.rule.text,
            "outcome": self.outcome,
            "rows": 0 if self.check is None else self.check.rows,
            "examples": [] if self.check is None else list(self.check.examples[:EXAMPLES]),
        }


def check_allowed(allow: Collection[str]) -> None:
    """Refuses a rule to override that is none.

    Raises:
        UserError: ``InvalidInput``.
    """
    errors = [rule.name for rule in RULES if rule.severity == "error"]
    wrong = [name for name in allow if name not in errors]
    if wrong:
        raise UserError(
            "InvalidInput",
            f"allow: {', '.join(wrong)} names no rule that stops a load; those are {', '.join(errors)}",
        )


def pass_gate(checks: Iterable[Check], allow: Collection[str], directory: Path, title: str) -> dict[str, Any]:
    """Writes quality.json and quality.html to ``directory``/quality, and returns ``quality`` of the result.

    Raises:
        UserError: ``BadData`` when a rule of severity ``error`` is broken and not in ``allow``.
    """
    found = {check.rule: check for check in checks}
    judged = [_judge(rule, found.get(rule.name), allow) for rule in RULES]
    folder = directory / "quality"
    folder.mkdir(exist_ok=True)
    rules = [one.json() for one in judged]
    write_json(folder / "quality.json", {"dataset": title, "rules": rules})
    (folder / "quality.html").write_text(quality_page(title, rules), encoding="utf-8")
    stopping = [one for one in judged if one.outcome == "stopped"]
    if stopping:
        raise UserError("BadData", _refusal(stopping, folder / "quality.html"))
    return {"reportUri": folder.resolve().as_uri(), "rules": rules}


def _judge(rule: Rule, check: Check | None, allow: Collection[str]) -> _Judged:
    if check is None:
        return _Judged(rule, check, "notChecked")
    if check.rows == 0:
        return _Judged(rule, check, "kept")
    if rule.severity == "warning":
        return _Judged(rule, check, "warned")
    return _Judged(rule, check, "overridden" if rule.name in allow else "stopped")


def _refusal(stopping: Sequence[_Judged], page: Path) -> str:
    sentences = []
    for one in stopping:
        assert one.check is not None
        summary = one.check.summary or f"{one.check.rows} break the rule that {one.rule.text}"
        sentences.append(f"{one.rule.name}: {summary} ({', '.join(one.check.examples[:EXAMPLES])})")
    names = ", ".join(f'"{one.rule.name}"' for one in stopping)
    return (
        f"nothing was loaded. {'; '.join(sentences)}. All that was found is in {page}. Correct the "
        f'source, or load it as it is on purpose with "allow": [{names}] in the input.'
    )
