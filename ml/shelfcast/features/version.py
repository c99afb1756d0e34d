"""Version of a feature set: a hash of names, formulas and publication lags."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from dataclasses import asdict
from functools import cache

from shelfcast import calendar
from shelfcast.contracts.wire import encode
from shelfcast.features import feature_groups, sales_history, store_features, weekly_values
from shelfcast.features.definitions import FeatureSet

#: Modules whose code decides the values of features, or which of them a model uses.
_MODULES = (calendar, sales_history, store_features, weekly_values, feature_groups)


def feature_set_version(features: FeatureSet) -> str:
    """Returns 12 hex digits that change with a name, a formula or a publication lag."""
    parts = [json.dumps(features.view_columns), json.dumps(encode(features.model_features))]
    parts += [json.dumps([asdict(column) for column in features.sources.values()])]
    parts += [_code_without_comments(inspect.getsource(module)) for module in _MODULES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


@cache
def _code_without_comments(source: str) -> str:
    """Returns the syntax tree of code as text: comments, layout and docstrings do not count."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)
