r"""Labelled files in a CSV file: ``path,label[,split]``, read with row-numbered errors and written for a split.

Spreadsheets on other systems begin the file with a byte order mark, write ``\`` in paths and, where the comma is the
decimal sign, put semicolons between columns; all are understood.
"""

import csv
import difflib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from data.files.layout import SPLITS, Entry, LayoutError, Listing, list_folder, some


def list_csv(
    file: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None, group_column: str | None = None
) -> Listing:
    r"""The labelled files of a CSV file with the columns ``path,label[,split]``.

    Args:
        file: UTF-8, with or without a byte order mark; comma, semicolon or tab between columns; "/" or "\" in paths.
        folder: Where relative paths begin; the CSV file's own folder without it.
        group_column: Column whose equal values stay in one split.

    Raises:
        FileNotFoundError: If there is no such CSV file.
        LayoutError: Naming the row (the heading is row 1) of everything that is wrong, up to five.
    """
    table = Path(file).expanduser()
    try:
        # A path may hold bytes that are not UTF-8, as file names may; nothing else may, which is looked at below.
        text = table.read_bytes().decode("utf-8-sig", "surrogateescape")
    except FileNotFoundError:
        raise FileNotFoundError(f"no such CSV file: {table}") from None
    except OSError as error:
        raise LayoutError(f"{table} cannot be read: {error.strerror or error}") from None
    columns, rows = _rows(table, text, ["path", "label", *([group_column] if group_column else [])])
    root = Path(folder).expanduser() if folder is not None else table.parent
    listing, errors = Listing(), list[str]()
    first: dict[str, int] = {}  # row of each file
    extra = [name for name in columns if name not in ("path", "label", "split", group_column)]
    if extra:
        listing.notes.append(f"columns of {table.name} not used: {some(extra)}")
    for number, cell_of in rows:
        cells = {name: (cell_of[name] or "").strip() for name in columns}
        if os.path.lexists(_resolve(root, whole := cell_of["path"] or "")):  # a name may begin or end in a space
            cells["path"] = whole
        path = _resolve(root, cells["path"])
        if surplus := cell_of.get(None):
            errors.append(f"row {number}: has {len(columns) + len(surplus)} cells, the heading {len(columns)}")
        elif fault := _fault(cells, path):
            errors.append(f"row {number}: {fault}")
        elif (real := os.path.realpath(path)) in first:
            errors.append(f"row {number}: repeats row {first[real]}: {cells['path']}")
        else:
            first[real] = number
            split = SPLITS.get(cells.get("split", "").lower())
            group = cells[group_column] if group_column else ""
            entry = Entry(str(path), cells["path"].replace("\\", "/"), cells["label"], split, group)
            listing.entries.append(entry)
    if errors:
        left = len(errors) - 5
        more = f"\n… and {left} more row{'s' * (left > 1)}" if left > 0 else ""
        raise LayoutError(f"{table}, " + "\n".join(errors[:5]) + more)
    if not listing.entries:
        raise LayoutError(f"{table} has a heading but no rows" if columns else f"{table} is empty")
    return listing


def _rows(table: Path, text: str, needed: list[str]) -> tuple[list[str], list[tuple[int, dict[Any, Any]]]]:
    """Names of the columns, and the cells of each row by them, with the row's number.

    Raises:
        LayoutError: If a needed column is missing, one stands there twice, or the rows are no CSV.
    """
    heading = text.split("\n", 1)[0]
    bare = re.sub(r'"[^"]*"', "", heading)  # names in quotation marks may hold any mark
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.DictReader(lines, delimiter=next((mark for mark in ",;\t" if mark in bare), ","), strict=True)
    rows: list[tuple[int, dict[Any, Any]]] = []
    read = 0  # lines
    try:
        columns = [name.strip() for name in reader.fieldnames or []]
        if not is_utf_8(heading):
            raise LayoutError(f"{table}, row 1: is not UTF-8")
        if twice := [name for name in columns if columns.count(name) > 1]:
            raise LayoutError(f"{table}, row 1: the column {twice[0]!r} stands there twice")
        reader.fieldnames = columns
        for name in needed:
            if name not in columns:
                near = difflib.get_close_matches(name, columns, 1)
                hint = f"; is {near[0]!r} meant to be it?" if near else ""
                raise LayoutError(f"{table}, row 1: no column {name!r} among {', '.join(columns) or 'none'}{hint}")
        read = reader.line_num
        for row in reader:
            rows.append((_next_row(lines, read), row))
            read = reader.line_num
    except csv.Error as error:
        cause: object = "a quotation mark is not closed" if "end of data" in str(error) else error
        cause = "text stands behind a closing quotation mark" if "expected after" in str(error) else cause
        raise LayoutError(f"{table}, row {_next_row(lines, read)}: {cause}") from None
    return columns, rows


def _fault(cells: dict[str, str], path: Path) -> str | None:
    """What is wrong with a row whose file lies at a path; None for nothing."""
    text = "".join(cells.values())
    if "\0" in text:
        return "holds a zero byte"
    if not is_utf_8(text) and not (os.path.lexists(path) and is_utf_8(_but_path(cells))):
        return "is not UTF-8"
    if not cells["path"] or not cells["label"]:
        return f"empty {'label' if cells['path'] else 'path'}"
    if "split" in cells and cells["split"].lower() not in SPLITS:
        return f"split must be train, val or test, got {cells['split']!r}"
    return None if os.path.lexists(path) else f"no such file: {path}"


def folder_or_list(path: str | None, csv_file: str | None, group_column: str | None) -> tuple[str | None, str | None]:
    """The folder of the pictures, or None, and the list of them, or None: a path that ends in .csv is a list.

    Raises:
        ValueError: If there is neither, two lists, or a column without a list.
    """
    if path is None and csv_file is None:
        raise ValueError("--data.path (a folder of pictures) or --data.csv (a file with path,label) is needed")
    if path is not None and path.lower().endswith(".csv") and not Path(path).expanduser().is_dir():
        if csv_file is not None:
            raise ValueError(
                f"csv {csv_file}: --data {path} is a list already; give one of them, or the pictures' folder"
            )
        path, csv_file = None, path
    if group_column is not None and csv_file is None:
        raise ValueError(f"group_column {group_column!r} needs a list, --data FILE.csv: a folder has no columns")
    return path, csv_file


def listed(path: str | None, csv_file: str | None, group_column: str | None, flat: bool) -> Listing:
    """The pictures of a folder or of a list, as `folder_or_list` tells them apart. Args: flat, see `list_folder`."""
    if csv_file is not None:
        return list_csv(csv_file, path, group_column)
    return list_folder(path or "", flat=flat)


def is_utf_8(text: str) -> bool:
    """Whether text, read with ``surrogateescape``, came from UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _next_row(lines: Sequence[str], read: int) -> int:
    """Number of the first line, from 1, that is not empty and comes after so many that were read."""
    while read < len(lines) and not lines[read].strip("\r\n"):
        read += 1
    return read + 1


def _but_path(cells: dict[str, str]) -> str:
    return "".join(text for name, text in cells.items() if name != "path")


def _resolve(root: Path, cell: str) -> Path:
    path = root / cell
    return path if os.path.lexists(path) or "\\" not in cell else root / cell.replace("\\", "/")


def write_row(out: TextIO, cells: Sequence[object]) -> None:
    r"""One row of a CSV file, which ends in "\n"; a bare "\r" in a cell is quoted, which Python 3.11 forgets."""
    every = any("\r" in cell for cell in cells if isinstance(cell, str))
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL).writerow(cells)


def split_csv(entries: Sequence[Entry], root: str | os.PathLike[str]) -> str:
    """The split as CSV text, readable again by :func:`list_csv` with ``folder=root``; "group" is a column if used."""
    grouped = any(entry.group for entry in entries)
    out = io.StringIO(newline="")
    write_row(out, ["path", "label", "split", *(["group"] if grouped else [])])
    base = Path(root).expanduser().absolute()
    for entry in entries:
        path = Path(entry.path).absolute()
        shown = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
        write_row(out, [shown, entry.label, entry.split or "", *([entry.group] if grouped else [])])
    return out.getvalue()
