"""Data-quality checks: outcome of each rule, report, and the decision whether the load may go on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from shelfcast.contracts.results import Outcome, Quality, QualityRule
from shelfcast.ingest.quality_page import quality_page
from shelfcast.ingest.quality_rules import RULES, Rule
from shelfcast.job import UserError, write_json

#: Number of examples of a broken rule in the report.
EXAMPLES = 5


def first_names(names: Sequence[str]) -> str:
    """Returns the first ``EXAMPLES`` names for a sentence, and whether there are others."""
    return ", ".join(names[:EXAMPLES]) + (" and others" if names[EXAMPLES:] else "")


@dataclass(frozen=True)
class Check:
    """Result of checking one rule.

    Attributes:
        rule: Name of the rule.
        rows: Number of rows, weeks or stores that break the rule.
        examples: Up to ``EXAMPLES`` of these in words.
        summary: Figures behind the decision, if the count does not say them.
    """

    rule: str
    rows: int
    examples: Sequence[str] = field(default=())
    summary: str = ""

    def in_words(self, examples: int = EXAMPLES) -> str:
        """Returns the broken rule with its figures and up to ``examples`` examples."""
        rule = next(rule for rule in RULES if rule.name == self.rule)
        sentence = self.summary or f"{self.rows:,} break the rule that {rule.text}"
        return f"{self.rule}: {sentence} ({'; '.join(self.examples[:examples])})"


@dataclass(frozen=True)
class _RuleOutcome:
    rule: Rule
    check: Check | None
    outcome: Outcome

    def described(self) -> QualityRule:
        """Returns the rule's entry in the report."""
        return QualityRule(
            name=self.rule.name,
            severity=self.rule.severity,
            text=self.rule.text,
            outcome=self.outcome,
            rows=0 if self.check is None else self.check.rows,
            examples=[] if self.check is None else list(self.check.examples[:EXAMPLES]),
        )


def check_allowed(allow: Collection[str]) -> None:
    """Checks that each of the rules to override exists and can stop a load.

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


@dataclass(frozen=True)
class Overrides:
    """Rules that a load may break.

    Attributes:
        allow: Names of rules that any load with this input may break.
        acknowledge: Key of a stop: a load of the same rows may break the rules that stopped it.
    """

    allow: Collection[str] = ()
    acknowledge: str | None = None


def require_quality(
    checks: Iterable[Check],
    tables: Mapping[str, pa.Table],
    overrides: Overrides,
    directory: Path,
    dataset: str,
) -> Quality:
    """Writes quality.json and quality.html to ``directory``/quality; returns ``quality`` of the result.

    Args:
        checks: Results of the rules that were checked.
        tables: Rows of the load by name of the table, which an acknowledgement holds for.
        overrides: Rules that the load may break.
        directory: Folder of the job.
        dataset: Name of the data set.

    Raises:
        UserError: ``BadData``: a rule of severity ``error`` is broken, and not overridden.
    """
    by_rule = {check.rule: check for check in checks}
    outcomes = _outcomes(by_rule, overrides.allow)
    stopping = [outcome for outcome in outcomes if outcome.outcome == "stopped"]
    key = _stop_key(stopping, tables) if stopping else None
    if key is not None and key == overrides.acknowledge:
        outcomes = _outcomes(by_rule, [rule.name for rule in RULES])
        key = None
    folder = directory / "quality"
    folder.mkdir(exist_ok=True)
    rules = [outcome.described() for outcome in outcomes]
    write_json(folder / "quality.json", {"dataset": dataset, "rules": rules})
    (folder / "quality.html").write_text(quality_page(dataset, rules), encoding="utf-8")
    if key is not None:
        raise UserError("BadData", _refusal(stopping, folder / "quality.html", key, overrides))
    return Quality(report_uri=folder.resolve().as_uri(), rules=rules)


def _outcomes(checks: Mapping[str, Check], allow: Collection[str]) -> list[_RuleOutcome]:
    return [_outcome(rule, checks.get(rule.name), allow) for rule in RULES]


def _outcome(rule: Rule, check: Check | None, allow: Collection[str]) -> _RuleOutcome:
    if check is None:
        return _RuleOutcome(rule, check, "notChecked")
    if check.rows == 0:
        return _RuleOutcome(rule, check, "kept")
    if rule.severity == "warning":
        return _RuleOutcome(rule, check, "warned")
    return _RuleOutcome(rule, check, "overridden" if rule.name in allow else "stopped")


def _stop_key(stopping: Sequence[_RuleOutcome], tables: Mapping[str, pa.Table]) -> str:
    """Returns 12 hexadecimal digits of the stopping rules, their figures, and the rows in any order."""
    digest = hashlib.sha256()
    for outcome in stopping:
        digest.update(repr((outcome.rule.name, outcome.check)).encode())
    for name, table in sorted(tables.items()):
        rows = table.sort_by([(column, "ascending") for column in table.column_names])
        digest.update(name.encode())
        for batch in rows.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()[:12]


def _refusal(stopping: Sequence[_RuleOutcome], page: Path, key: str, overrides: Overrides) -> str:
    sentences = []
    for outcome in stopping:
        rule, check = outcome.rule, outcome.check
        assert check is not None
        summary = check.summary or f"{check.rows} break the rule that {rule.text}"
        sentences.append(f"{rule.name}: {summary} ({', '.join(check.examples[:EXAMPLES])})")
    other = (
        ""
        if overrides.acknowledge is None
        else f" The key {overrides.acknowledge} acknowledges another load: rows, rules or figures differ."
    )
    return (
        f"nothing was loaded. {'; '.join(sentences)}. The report is {page}.{other} Correct the source, or "
        f'load these rows as they are with `--acknowledge {key}` ("acknowledge": "{key}" in the input).'
    )
