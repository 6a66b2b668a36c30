"""Options that name a place: kept as a path from the root of the disk, since a run may be replayed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.contract import offered
from trainer.errors import UserError, expand
from trainer.folder import find_checkpoint

PLACES = ("data.path", "data.csv", "data.root", "data.cache_dir")
FORMULAS = ("data.function",)  # a formula, or the file of one


def whole(text: str, key: str, where: str, task: Any) -> str:
    """The value of an option: the whole path where it names a place, else the value itself.

    What may be a name or a formula is a place only if it looks like a file there is.

    Args:
        text: The value.
        key: Its dotted name.
        where: How the user gave it, for the error.
        task: The class of the task; see ``PLACES`` and ``CHECKPOINTS`` of `trainer.contract.Task`.

    Raises:
        UserError: If a folder of weights holds no checkpoint.
    """
    group, _, name = key.partition(".")
    own = group == "model"
    weights = offered(task, "CHECKPOINTS") if own else {}
    checkpoint = name in weights and text not in weights[name]
    if checkpoint and expand(text).is_dir():
        try:
            return str(Path(find_checkpoint(text)).absolute())
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    place = key in PLACES or (own and name in offered(task, "PLACES") and expand(text).exists())
    looks_so = checkpoint or (key in FORMULAS and ("/" in text or bool(Path(text).suffix)))
    return str(expand(text).absolute()) if place or (looks_so and expand(text).is_file()) else text
