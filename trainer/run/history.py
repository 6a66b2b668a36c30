"""``metrics.csv``: one row an epoch with the last value of every metric in it, for a spreadsheet.

Epochs are counted from 1, as in the lines that a run prints.
The file follows the run: it is written when an epoch's row is complete, unless writing has taken more than a hundredth
of the time, and when training ends. A resumed run goes on in it, so that it ends like that of a run which was never
stopped; if it was killed, the row of the epoch that its checkpoint ends may be missing, which is said.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path

from trainer.files import write_atomically
from trainer.notice import notice

SHARE_OF_TIME = 0.01


class History:
    """Rows by epoch.

    Args:
        path: The file; what it holds already is kept when ``resumed``.
        resumed: Whether the run goes on from a checkpoint.
    """

    def __init__(self, path: Path, resumed: bool = False) -> None:
        self.path = path
        self.rows: dict[int, dict[str, str]] = read_rows(path) if resumed else {}
        self._newest = -1  # epoch of this process; later rows are of a future that the resume undid
        self._next = 0.0  # moment of the next write, in seconds of the monotonic clock
        self._open = True

    def add(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the values of an epoch; a later value of the same metric takes the place of an earlier one.

        Args:
            epoch: From 0.
            metrics: Tag to number.
        """
        if not self._open:
            return
        if self._newest < 0 and self.rows and (gone := sorted(set(range(epoch)) - self.rows.keys())):
            which = ", ".join(str(one + 1) for one in gone[:5]) + f" and {len(gone) - 5} more" * (len(gone) > 5)
            notice(f"note: {self.path} has no row of epoch {which}: the run was killed before it was written")
        self._newest = max(epoch, self._newest)
        self.rows.setdefault(epoch, {}).update({tag: f"{float(value):.9g}" for tag, value in metrics.items()})

    def complete(self) -> None:
        """The newest row has all its values: write it, unless writing has taken its share of the time already."""
        if self._open and self._newest >= 0 and time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write the file anew; a disk that refuses is said once, and the run goes on."""
        began = time.monotonic()
        rows = {epoch: row for epoch, row in sorted(self.rows.items()) if epoch <= self._newest}
        columns = sorted({tag for row in rows.values() for tag in row})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["epoch", *columns], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": str(epoch + 1), **row} for epoch, row in rows.items())
        try:
            write_atomically(self.path, text.getvalue())
        except OSError as error:
            notice(f"warning: cannot write {self.path} ({error.strerror or error}); training goes on")
            self._open = False
        ended = time.monotonic()
        self._next = ended + (ended - began) * (1 / SHARE_OF_TIME - 1)

    def close(self) -> None:
        """Write what there is; what is logged later belongs to the test."""
        if self._open and self._newest >= 0:
            self.write()
        self._open = False


def read_rows(path: Path) -> dict[int, dict[str, str]]:
    """The rows of an earlier part of the run; none when the file is missing or is not one of ours."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {
                int(row.pop("epoch")) - 1: {tag: value for tag, value in row.items() if value}
                for row in csv.DictReader(file)
            }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
