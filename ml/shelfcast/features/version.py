"""Version of a feature set: a hash of names, formulas and publication lags."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from dataclasses import asdict, replace
from functools import cache

from shelfcast import calendar
from shelfcast.contracts.wire import encode
from shelfcast.features import (
    alike_weeks,
    cold_start,
    definitions,
    feature_groups,
    intermittent,
    likes,
    open_weeks,
    own_holidays,
    planned_lift,
    publication_lags,
    sales_history,
    store_features,
    structural,
    structural_inputs,
    weekly_values,
)
from shelfcast.features.definitions import FeatureSet

#: Modules whose code decides the values of features, or which of them a model uses.
_MODULES = (
    calendar,
    definitions,
    publication_lags,
    sales_history,
    store_features,
    weekly_values,
    feature_groups,
    own_holidays,
    open_weeks,
    planned_lift,
    intermittent,
    alike_weeks,
    cold_start,
    likes,
    structural,
    structural_inputs,
)


def feature_set_version(features: FeatureSet) -> str:
    """Returns 12 hex digits that change with a name, a formula or a publication lag, but not with words."""
    sources = [asdict(replace(column, description="")) for column in features.sources.values()]
    parts = [json.dumps(part) for part in (features.view_columns, encode(features.model_features), sources)]
    parts += [_code_without_words(inspect.getsource(module)) for module in _MODULES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@cache
def _code_without_words(source: str) -> str:
    """Returns the syntax tree of code as text, without layout, comments, docstrings and texts for people.

    A text with a space is for people, such as a description or an error message.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
    return ast.dump(tree)
