"""Check: a docstring or ``#:`` comment begins with a noun phrase or a sentence (CONTRIBUTING.md, Language).

Usage: ``python doc_comments.py FOLDER...`` prints ``file:line: message`` for each that does not, and exits with 1.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

_WORDS = "|".join(json.loads(Path(__file__).with_name("first-words.json").read_text(encoding="utf-8")))
_REFUSED = re.compile(rf"(?:{_WORDS})\b")
#: An entry of Args, Attributes or Raises: a name, a colon and its description.
_ENTRY = re.compile(rf"\s+[\w*. ,]+: ((?:{_WORDS})\b)")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def findings(path: Path) -> Iterator[tuple[int, str]]:
    """Yields line and first word of each comment of a file that begins with a refused word."""
    yield from _docstrings(path)
    yield from _comments(path)


def _docstrings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, _DOCUMENTED) or ast.get_docstring(node) is None:
            continue
        expression = node.body[0]
        assert isinstance(expression, ast.Expr)
        assert isinstance(expression.value, ast.Constant)
        for number, line in enumerate(str(expression.value.value).splitlines()):
            found = _REFUSED.match(line) if number == 0 else _ENTRY.match(line)
            if found is not None:
                yield expression.lineno + number, found.group(found.re.groups)


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yields those of ``#:`` comments; of several lines in a row only the first begins a comment."""
    last = -1
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT or not token.string.startswith("#:"):
                continue
            found = _REFUSED.match(token.string[2:].strip())
            if found is not None and token.start[0] != last + 1:
                yield token.start[0], found[0]
            last = token.start[0]


def main(folders: list[str]) -> int:
    """Checks all Python files below the folders; returns the exit code."""
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    count = 0
    for path in files:
        for line, word in findings(path):
            count += 1
            print(
                f"{path}:{line}: begin with a noun phrase or a sentence with a subject, not with "
                f'"{word}" (CONTRIBUTING.md, Language)'
            )
    return 1 if count > 0 or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
