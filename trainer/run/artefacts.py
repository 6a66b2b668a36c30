"""What a run leaves as CSV: the split, every file that was found, the worst answers and the confusions.

The task and the data tell their parts through optional methods; a run whose task or data has none leaves fewer files.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from trainer.contract import offered
from trainer.files import write_atomically
from trainer.folder import RunFolder

MOST_LOSSES = 1_000


@rank_zero_only
def save_lists(folder: RunFolder, data: Any) -> None:
    """Write which picture lies in which split, where the data decides that, and what every file is that was found.

    ``--data.csv`` reads the first back; the second also has what was left out.
    """
    if save_split := offered(data, "save_split"):
        save_split(folder.split)
    if save_files := offered(data, "save_files"):
        save_files(folder.files)


def save_top_losses(folder: RunFolder, task: Any, data: Any) -> bool:
    """Write the pictures with the largest losses first: path, label, guess and its probability, loss in nats.

    Args:
        folder: The run.
        task: Offers ``top_losses``, where it can.
        data: Offers ``paths``, where its pictures are files.

    Returns:
        Whether the file was written.
    """
    top_losses, paths_of = offered(task, "top_losses"), offered(data, "paths")
    if top_losses is None or paths_of is None:
        return False
    split, rows = top_losses(MOST_LOSSES)
    if not rows:
        return False
    paths = paths_of(split)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # a name may hold any sign
    writer.writerow(["path", "label", "predicted", "probability", "loss"])
    for index, label, guess, probability, loss in rows:
        writer.writerow([paths[index], label, guess, round(probability, 6), round(loss, 6)])
    write_atomically(folder.top_losses, text.getvalue())
    return True


def save_confusion(folder: RunFolder, task: Any) -> bool:
    """Write how often each class was taken for each: one row a true class, one column a guess.

    Args:
        folder: The run.
        task: Offers ``confusion``, where it can.

    Returns:
        Whether the file was written.
    """
    confusion = offered(task, "confusion")
    counts = confusion() if confusion else None
    if counts is None:
        return False
    names = task.hparams["class_names"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["truth", *names])
    writer.writerows([name, *row] for name, row in zip(names, counts, strict=True))
    write_atomically(folder.confusion, text.getvalue())
    return True
