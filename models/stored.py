"""The checkpoint of another run of this project, found and read without running anything in it."""

import importlib
import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models import MODELS
from theory.finite import not_finite


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols and the like; the file is refused all the same
            content = torch.load(file, map_location="cpu", weights_only=True)
            stored = Stored(
                file, content["house"]["model"], dict(content["hyper_parameters"]), dict(content["state_dict"])
            )
        if stored.model not in MODELS:
            raise KeyError(stored.model)
    except PermissionError as error:
        raise ValueError(f"--model.checkpoint {given}: {error.strerror}") from error
    except Exception as error:  # torch raises many types for a damaged file
        raise ValueError(f"--model.checkpoint {file} is no checkpoint of one of our runs, or is damaged") from error
    if bad := not_finite(stored.tensors):
        raise ValueError(f"--model.checkpoint {file}: its weights are not finite ({', '.join(bad[:3])})")
    return stored


def build(stored: Stored, **changed: Any) -> Any:
    """The task of a checkpoint with its weights.

    Args:
        stored: From `read_stored`.
        changed: Options to take instead of those stored, where the task has them.

    Raises:
        ValueError: If options and weights do not fit the task, as those of another version.
    """
    module, _, name = MODELS[stored.model].rpartition(".")
    options = stored.options | {key: value for key, value in changed.items() if key in stored.options}
    try:
        kind = getattr(importlib.import_module(module), name)
        lacking = [key for key, one in inspect.signature(kind).parameters.items()
                   if one.default is inspect.Parameter.empty and key not in options]  # fmt: skip
        if lacking:
            raise ValueError(
                f"among its hyper_parameters {', '.join(lacking)} {'are' if lacking[1:] else 'is'} missing"
            )
        task = kind(**options)
        missing = task.load_state_dict(stored.tensors, strict=False).missing_keys
        if missing:
            raise ValueError(f"it has no {', '.join(missing[:3])}")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()
        why = reason[min(1, len(reason) - 1)].strip()  # torch's first line only says that there are errors
        raise ValueError(f"--model.checkpoint {stored.file} does not fit the model {stored.model!r}: {why}") from error
    return task
