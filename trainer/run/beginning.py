"""What a run begins with: the record that a file of weights holds of the runs behind it, told to the new run's data.

The data compare their pictures with it (`data.files.lineage`); no model is known here: the task says which file it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainer.contract import offered
from trainer.errors import expand
from trainer.folder import run_of


def tell_beginning(data: Any, task_class: Any, options: Mapping[str, Any], resumed: Mapping[str, Any] | None) -> None:
    """Tells a data module, before its files are read, what the weights of the run have learnt from.

    Args:
        data: Offers ``begin_with``, where it can compare; any other is told nothing.
        task_class: Offers ``weights_file``, where it can begin with a file.
        options: Of the task.
        resumed: The checkpoint of the run that goes on; it remembers what the file, which may be gone, said then.
    """
    weights_file, begin_with = offered(task_class, "weights_file"), offered(data, "begin_with")
    file = weights_file(options) if weights_file else None
    if file is None or begin_with is None:
        return
    house = (resumed or {}).get("house", {})
    if "lineage" in house:
        begin_with(file, house["lineage"])
        return
    place = expand(file)
    house, earlier = stored_record(place)
    before = house.get("lineage", {}) if weights_file(earlier) else None
    begin_with(file, before if house else {}, run_of(place).files, house.get("pictures"))


def stored_record(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint of ours says of its run, and the options of its task; both empty for any other file.

    The weights themselves are not read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; whether the file is fit is asked elsewhere
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return dict(content["house"]), dict(content.get("hyper_parameters", {}))
    except Exception:  # torch raises many types for what it cannot read; such a file tells nothing
        return {}, {}
