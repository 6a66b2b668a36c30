"""Names of classes in little room: what tells them apart stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from dashboard.style import plain

FULL_NAME = 40  # characters of a class's name in a title


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Each name in at most ``width`` characters, as by `plain`; where one is longer, without what all have in common.

    ``my flowers, tulip`` and ``my flowers, rose`` become ``…tulip`` and ``…rose``: the first words of all, and if that
    does not suffice, the last ones too.
    """
    for mirror in (False, True):
        if max(map(len, names), default=0) > width:
            turned = [name[::-1] if mirror else name for name in names]
            start = _shared_words(turned)
            if start and all(name[start:].strip(" …") for name in turned):
                cut = ["…" + name[start:] for name in turned]
                names = [name[::-1] if mirror else name for name in cut]
    return [plain(name, width) for name in names]


def _shared_words(names: Sequence[str]) -> int:
    """Number of characters of the words with which all of several names begin."""
    ends = zip(min(names), max(names), strict=False)  # what the first and the last share, all share
    shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], ends)) * (len(names) > 1)
    return max((found.end() for found in re.finditer(r"[^\w…]|_", shared)), default=0)
