"""What belongs together: copies of a picture, and the pictures of a group, such as those of one patient.

Whoever judges by pictures that were kept apart keeps whole units apart: the split of a data set
(data/files/partition.py), and the folds of its training pictures (models/finetune/folds.py).

Letters: N files.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from data.files.layout import Entry


def units(*keys: Sequence[str]) -> list[list[int]]:
    """Positions that belong together: connected by a common key, such as a group or a content (union-find).

    Args:
        keys: Of each kind one for each file, length N; empty for none.

    Returns:
        Disjoint sorted lists of positions that cover 0..N-1.
    """
    parent = list(range(len(keys[0])))

    def find(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for kind in keys:
        first: dict[str, int] = {}
        for position, key in enumerate(kind):
            if key:
                parent[find(position)] = find(first.setdefault(key, position))
    together: dict[int, list[int]] = defaultdict(list)
    for position in range(len(parent)):
        together[find(position)].append(position)
    return list(together.values())


def unit_ids(entries: Sequence[Entry], shown: Sequence[str]) -> Tensor:
    """Number of the unit of each file, counted in the order in which units appear; 0..N-1 where nothing is together.

    Args:
        entries: The files, each with its group.
        shown: Name of what each shows, from `data.files.copies.contents`.

    Returns:
        int64, shape (N,).
    """
    ids = torch.empty(len(entries), dtype=torch.int64)
    for number, together in enumerate(units([entry.group for entry in entries], shown)):
        ids[together] = number
    return ids
