"""The checkpoint of another run of this project, found and read without running anything in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models import MODELS


class Stored(NamedTuple):
    """What a checkpoint holds: its file, the name of its model, the options of its task, and all tensors."""

    file: Path
    model: str
    options: dict[str, Any]
    tensors: dict[str, Tensor]


def read_stored(given: str, names: Sequence[str]) -> Stored:
    """The checkpoint that ``--model.checkpoint`` names.

    Args:
        given: A run folder, its checkpoints folder, or a file.
        names: Files of a run, the one to prefer first.

    Raises:
        ValueError: If there is no such file, or it is none of this project's.
    """
    path = Path(given).expanduser()
    places = [path, *(folder / name for name in names for folder in (path, path / "checkpoints"))]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise ValueError(f"--model.checkpoint {given}: no checkpoint there")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        stored = Stored(file, content["house"]["model"], content["hyper_parameters"], content["state_dict"])
        if stored.model not in MODELS:
            raise KeyError(stored.model)
    except OSError as error:
        raise ValueError(f"--model.checkpoint {given}: {error.strerror}") from error
    except Exception as error:  # torch raises many types for a damaged file
        raise ValueError(f"--model.checkpoint {file} is no checkpoint of one of our runs") from error
    return stored
