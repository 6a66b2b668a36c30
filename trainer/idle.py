"""Options that were given and that the run would not read: refused, never dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.errors import UserError
from trainer.options import SHORT, Settings


def check_given(task: Any, data: Any, settings: Settings, given: Mapping[str, str], model: str) -> None:
    """Refuses options of the command line that have no effect with the other settings.

    Args:
        task: The task's class; one that weighs classes by their numbers has ``weighs_classes``, and one that does not
            read all of its options has ``unused``, see `trainer.report.Task`.
        data: The class of the data; it may have ``unused`` too.
        settings: What will be used.
        given: Dotted names and texts of the command line.
        model: What the user calls the model.

    Raises:
        UserError: Naming the options and what uses them.
    """
    if settings.data.get("balance") == "loss" and not getattr(task, "weighs_classes", False):
        raise UserError(f"--data.balance loss: --model {model} does not weigh classes; --data.balance sampler does")
    for kind, options in ((task, settings.model), (data, settings.data)):
        names, why = kind.unused(options, given) if hasattr(kind, "unused") else ([], "")
        if names:
            listed = ", ".join(f"--{SHORT.get(name, name)}" for name in names)
            raise UserError(f"{listed}: {why}")
