"""Answers about pictures as a table: CSV for a spreadsheet, or one JSON object a line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from data.files.table import write_row


def columns_of(num_classes: int, top_k: int) -> list[str]:
    """Columns of a prediction of the ``top_k`` most probable classes."""
    further = [f"{name}_{rank}" for rank in range(2, min(top_k, num_classes) + 1) for name in ("label", "probability")]
    return ["path", "label", "probability", *further, "error"]


def write(output: TextIO, kind: str, table: Iterator[dict[str, Any]], columns: Sequence[str]) -> tuple[int, int]:
    """Writes the rows as they come; returns how many there were and how many have an error."""
    count = failed = 0
    if kind == ".csv":
        write_row(output, columns)
    for row in table:
        if kind == ".csv":
            write_row(output, [row.get(name, "") for name in columns])
        else:
            output.write(json_line(row) + "\n")
        count, failed = count + 1, failed + bool(row["error"])
    return count, failed


def json_line(row: dict[str, Any]) -> str:
    """A row as JSON, which is UTF-8: a file name that is not is written with escapes, which Python reads back."""
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        return json.dumps(row)
    return line
