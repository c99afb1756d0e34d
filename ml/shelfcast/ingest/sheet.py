"""Source file during its checks: the good rows, and the findings about the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.bad_rows import FINDING
from shelfcast.ingest.cell_rules import CellRule
from shelfcast.ingest.regional_cells import Regional, plain_cells
from shelfcast.ingest.source_file import SourceFile

#: Value's name in the layout -> name in ``Sheet.values``, and cell rule.
Layout = Mapping[str, tuple[str, CellRule]]

#: Rules of the cells that may have a decimal comma.
_NUMBER_RULES = ("number", "number-above-zero", "share")


class Sheet:
    """File with checked cells; ``reject`` serves rules that need more than one cell.

    Rules that compare rows or files see only rows that passed all rules so far. So a row has findings for its
    cells, or for one other rule.

    Attributes:
        values: Typed columns of the good rows.
        file_name: Name of the file, for messages.
        labels: The user's name of each column of ``values``.
        constants: Columns of ``values`` for which the file has none, each with one constant in all rows.
        findings: Findings, with the columns of ``FINDING``.
        row_count: Number of rows of the file, good and bad.
        unread: Columns of the file that are not in the layout, as ``<file>: <column>``.
        notes: Sentences on how the file was read, for the load's report.
    """

    def __init__(self, file: SourceFile, layout: Layout, regional: Regional = Regional()) -> None:  # noqa: B008
        """Checks every cell of the layout's values that the file has.

        Raises:
            UserError: ``BadData``: a column as a whole has two meanings, or needs a declaration.
        """
        layout = {file.labels[name]: rest for name, rest in layout.items() if name in file.labels}
        self.labels = {name: label for label, (name, _) in layout.items()}
        self.constants = file.constants
        self.row_count = file.row_count
        self.unread = [f"{file.name}: {column}" for column in file.unread]
        numbers = [column for column, (_, cell) in layout.items() if cell.name in _NUMBER_RULES]
        dates = [column for column, (_, cell) in layout.items() if cell.name == "date"]
        columns, notes = plain_cells(file, numbers, dates, regional)
        self.notes = [*file.notes, *notes]
        self.file_name = file.name
        self._lines = file.lines
        self._cells = pa.table(file.columns)
        lines, rows = zip(*file.malformed, strict=True) if file.malformed else ((), ())
        self.findings = [
            self._finding(
                np.array(lines), pa.array(rows), "", "must have as many cells as the header", "cell-count"
            )
        ]
        bad = np.zeros(len(file.lines), dtype=bool)
        values: dict[str, pa.Array] = {}
        for column, (name, cell) in layout.items():
            if cell.refuse is not None:
                cell.refuse(file.name, column, columns[column])
            values[name], broken = cell.check(columns[column])
            self._report(broken, (column,), f"{column} {cell.requirement}", cell.name)
            bad |= broken
        self.values = pa.table(values)
        self._remove(bad)

    def reject(self, bad: npt.NDArray[np.bool_], names: tuple[str, ...], rule: str, name: str) -> None:
        """Removes the masked rows from ``values`` and adds findings with their cells in the columns.

        Args:
            bad: Mask of rows of ``values``.
            names: Columns of ``values`` whose cells are reported.
            rule: Rule in words.
            name: Name of the rule in ``quality_rules.ROW_RULES``.
        """
        self._report(bad, tuple(self.labels[column] for column in names), rule, name)
        self._remove(bad)

    def leave_out(self, mask: pa.ChunkedArray) -> pa.Table:
        """Removes the masked rows, which break no rule, from ``values`` and returns them."""
        rows = self.values.filter(mask)
        self._remove(mask.to_numpy())
        return rows

    def replace(self, name: str, by_text: Mapping[str, int]) -> None:
        """Replaces the texts of a column of ``values`` by numbers."""
        texts = self.values.column(name).combine_chunks().dictionary_encode()
        numbers = pa.array([by_text[text] for text in texts.dictionary.to_pylist()], pa.int64())
        index = self.values.column_names.index(name)
        self.values = self.values.set_column(index, name, numbers.take(texts.indices))

    def texts(self, name: str) -> pa.ChunkedArray:
        """Returns the cells behind a column of ``values``, as they are in the file."""
        return self._cells[self.labels[name]]

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """Returns a column of ``values`` without nulls; weeks as days since 1970-01-01, flags as 0 and 1."""
        return whole_numbers(self.values, name)

    def _report(self, bad: npt.NDArray[np.bool_], columns: tuple[str, ...], rule: str, name: str) -> None:
        if not bad.any():
            return
        cells = self._cells.filter(pa.array(bad))
        text = pc.binary_join_element_wise(*(cells.column(name) for name in columns), ",")
        self.findings.append(self._finding(self._lines[bad], text, ",".join(columns), rule, name))

    def _finding(
        self, lines: npt.NDArray[np.int64], text: pa.Array, column: str, rule: str, name: str
    ) -> pa.Table:
        constants = {"file": self.file_name, "column": column, "rule": rule, "name": name}
        columns = {key: pa.repeat(value, len(lines)) for key, value in constants.items()}
        return pa.table({**columns, "line": lines, "value": text}).select(FINDING.names).cast(FINDING)

    def _remove(self, bad: npt.NDArray[np.bool_]) -> None:
        if not bad.any():
            return
        self.values, self._cells = (table.filter(pa.array(~bad)) for table in (self.values, self._cells))
        self._lines = self._lines[~bad]


def whole_numbers(rows: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """Returns a column without nulls; dates as days since 1970-01-01, flags as 0 and 1."""
    values = rows.column(name)
    if values.type == pa.date32():
        values = values.cast(pa.int32())
    return values.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def store_week(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Returns one number for each (store, week): stores have 30 bits, days since 1970 fewer than 32."""
    return (whole_numbers(rows, "store") << 32) + whole_numbers(rows, "week")
