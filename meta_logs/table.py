"""A table of typed values, and its forms: CSV, Markdown, LaTeX, aligned text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meta_logs import formatting
from meta_logs.formatting import Estimate, Value
from powerbench.files import write_atomic


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns. ``notes`` stand below the table (not in the CSV)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()

    def cells(self, form: Callable[[Value], str]) -> list[list[str]]:
        """All rows in one form."""
        return [[form(value) for value in row] for row in self.rows]

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers (and perhaps gaps), so that it is aligned to the right."""
        values = [row[column] for row in self.rows if row[column] is not None]
        return bool(values) and not any(isinstance(value, str) for value in values)

    @property
    def csv(self) -> str:
        """Comma-separated, in full precision; an estimate takes three columns: itself, its half width, its n."""
        wide = [any(isinstance(row[i], Estimate) for row in self.rows) for i in range(len(self.columns))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        groups = zip(self.columns, wide, strict=True)
        parts = [[name, f"{name} half width", f"{name} n"][: 3 if w else 1] for name, w in groups]
        writer.writerow([name for group in parts for name in group])
        for row in self.rows:
            writer.writerow([cell for value, w in zip(row, wide, strict=True) for cell in _csv_cells(value, w)])
        return text.getvalue()

    @property
    def markdown(self) -> str:
        """A Markdown table, escaped."""
        head = [formatting.markdown(name) for name in self.columns]
        rule = ["---:" if self.is_numeric(i) else "---" for i in range(len(head))]
        lines = [f"| {' | '.join(row)} |" for row in [head, rule, *self.cells(formatting.markdown)]]
        notes = "".join(f"\n{formatting.markdown(note)}\n" for note in self.notes)
        return f"**{formatting.markdown(self.title)}**\n\n" + "\n".join(lines) + "\n" + notes

    @property
    def latex(self) -> str:
        """A LaTeX table for the package ``booktabs``, escaped."""
        align = "".join("r" if self.is_numeric(i) else "l" for i in range(len(self.columns)))
        head, *rows = [
            " & ".join(row) + r" \\"
            for row in [[formatting.latex(c) for c in self.columns], *self.cells(formatting.latex)]
        ]
        notes = [rf"\par\footnotesize {formatting.latex(note)}" for note in self.notes]
        lines = [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{formatting.latex(self.title)}}}",
            rf"\begin{{tabular}}{{{align}}}",
            *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
            r"\end{tabular}",
            *notes,
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    @property
    def text(self) -> str:
        """For a terminal: columns aligned."""
        rows = [[formatting.plain(name) for name in self.columns], *self.cells(formatting.plain)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.columns))]
        numeric = [self.is_numeric(i) for i in range(len(self.columns))]

        def line(row: list[str]) -> str:
            cells = zip(row, widths, numeric, strict=True)
            return "  ".join(cell.rjust(w) if right else cell.ljust(w) for cell, w, right in cells).rstrip()

        rule = "  ".join("-" * width for width in widths)
        notes = [formatting.plain(note) for note in self.notes]
        return "\n".join([self.title, line(rows[0]), rule, *(line(row) for row in rows[1:]), *notes]) + "\n"

    def write(self, folder: Path, name: str, forms: tuple[str, ...] = ("csv", "md", "tex")) -> None:
        """Write ``<name>.csv``, ``.md`` and ``.tex`` into a folder."""
        content = {"csv": lambda: self.csv, "md": lambda: self.markdown, "tex": lambda: self.latex}
        for form in forms:
            write_atomic(folder / f"{name}.{form}", content[form]())


def _csv_cells(value: Value, wide: bool) -> list[str]:
    if isinstance(value, Estimate):
        return [formatting.full(value.mean), formatting.full(value.half_width), formatting.full(value.n)]
    return [formatting.full(value), *(("", "") if wide else ())]
