"""``python -m shelfcast.inspection --data DATA``, behind ``npx shelfcast inspect``.

Prints what a file of sales holds, a guess of its declaration, and what must change before it loads. Nothing
is loaded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shelfcast.contracts.specs import Declaration
from shelfcast.contracts.wire import decode, encode
from shelfcast.ingest.declaration_needed import DeclarationNeededError
from shelfcast.ingest.regional_cells import Regional
from shelfcast.inspection.columns import columns_of
from shelfcast.inspection.report import Inspection, describe_columns, describe_rows
from shelfcast.inspection.roles import Guess, guess_roles
from shelfcast.inspection.sources import Sales, declared_beside, find_query, find_sales, find_url
from shelfcast.job import UserError

#: Number of values that the data can ask for: sum, timeZone, decimal and dateFormat.
_PROPOSALS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 1 if something must change, 2 if there are no data."""
    options = _parser().parse_args(arguments)
    try:
        given = None if options.declaration is None else _given(options.declaration)
        sales = _find(options, None if given is None else given.get("sheet"))
        declaration = _beside(sales) if given is None else given
        inspection = inspect(sales, declaration)
    except (UserError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(inspection.lines))
    if options.write is not None and not inspection.issues:
        text = json.dumps(inspection.declaration, indent=2, ensure_ascii=False)
        options.write.write_text(f"{text}\n", encoding="utf-8")
        print(f"\nwritten: {options.write}")
    return 1 if inspection.issues else 0


def inspect(sales: Sales, declaration: dict[str, Any]) -> Inspection:
    """Returns what was found, the declaration with all guesses, and what must change.

    Args:
        sales: File of sales.
        declaration: Declaration of the user.
    """
    regional = Regional(declaration.get("decimal"), declaration.get("dateFormat"))
    columns = columns_of(sales.file, regional)
    guess = guess_roles(columns, declaration.get("columns", {}))
    guessed = _with_guess(declaration, guess)
    inspection = Inspection(guessed, list(guess.questions))
    inspection.lines += describe_columns(sales, columns, guess, declaration)
    if not guess.questions:
        for _ in range(_PROPOSALS + 1):
            try:
                rows = sales.rows(decode(Declaration, inspection.declaration, "declaration"))
            except DeclarationNeededError as error:
                if not error.proposal:
                    inspection.issues.append(str(error))
                    break
                inspection.lines.append(f"guess: {error}")
                inspection.declaration |= error.proposal
            except UserError as error:
                inspection.issues.append(str(error))
                break
            else:
                describe_rows(inspection, rows, columns, guess)
                break
    inspection.finish()
    return inspection


def _with_guess(declaration: dict[str, Any], guess: Guess) -> dict[str, Any]:
    roles = {role: name for role, name in guess.columns.items() if name != role}
    if not roles and {"store", "dept"} - set(guess.columns):
        # One store or one department needs a declaration of columns.
        roles = {role: name for role, name in guess.columns.items() if role == "week"}
    ignore = [*declaration.get("ignore", []), *guess.ignore]
    return {
        **declaration,
        **({"columns": roles} if roles else {}),
        **({"ignore": list(dict.fromkeys(ignore))} if ignore else {}),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inspect")
    parser.add_argument("--data", help="folder, file or URL")
    parser.add_argument("--query", help="one SELECT for the sales")
    parser.add_argument(
        "--address-variable", help="environment variable with the URL or the database's address"
    )
    parser.add_argument("--declaration", help="meaning of the columns, as JSON")
    parser.add_argument("--write", type=Path, help="file for the declaration")
    return parser


def _find(options: argparse.Namespace, sheet: str | None) -> Sales:
    if options.data is not None and options.query is None and options.address_variable is None:
        return find_sales(options.data, sheet)
    if options.data is None and options.query is None and options.address_variable is not None:
        return find_url(options.address_variable, sheet)
    if options.data is not None or options.query is None:
        raise UserError(
            "InvalidInput",
            "give either a folder, a file or a URL, or --query, or --address-variable alone for a URL",
        )
    if options.address_variable is None:
        raise UserError(
            "InvalidInput",
            "--query needs --address-variable, the environment variable with the database's address",
        )
    return find_query(options.address_variable, options.query)


def _given(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        decode(Declaration, value, "--declaration")
    except (ValueError, RecursionError) as error:
        raise UserError("InvalidInput", f"--declaration: {error}") from error
    return dict(value)


def _beside(sales: Sales) -> dict[str, Any]:
    beside = declared_beside(sales)
    if beside is None:
        return {}
    covariates = {} if beside.covariates is None else {"covariates": list(beside.covariates)}
    return {**encode(beside.declaration), **covariates}


if __name__ == "__main__":
    raise SystemExit(main())
