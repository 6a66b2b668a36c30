"""Options that were given and that the run would not read: refused, never dropped in silence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from trainer.command.options import SHORT, Settings
from trainer.contract import offered
from trainer.errors import UserError

# Dotted names of options, whether they are read with all the options of a run, and what to say where they are not; in
# the words {0[data.aug]} stands for the value of an option.
Condition = tuple[tuple[str, ...], Callable[[Mapping[str, Any]], bool], str]


def check_given(
    task: Any, data: Any, settings: Settings, given: Mapping[str, str], model: str, overlaid: Mapping[str, str]
) -> None:
    """Refuses options of the user that have no effect with the other settings.

    Args:
        task: The task's class; one that weighs classes by their numbers has ``weighs_classes``, and one that does not
            read all of its options has ``CONDITIONS``, see `trainer.contract.Task`.
        data: The class of the data; it may have ``CONDITIONS`` too.
        settings: What will be used.
        given: Dotted names and texts of the command line.
        model: What the user calls the model.
        overlaid: Dotted names that a file of the user lays over the recipe, and the file.

    Raises:
        UserError: Naming the options, their file and what uses them.
    """
    if settings.data.get("balance") == "loss" and not offered(task, "weighs_classes"):
        raise UserError(f"--data.balance loss: --model {model} does not weigh classes; --data.balance sampler does")
    groups = {"model": settings.model, "data": settings.data, "trainer": settings.trainer}
    options = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    idle: dict[str, list[str]] = defaultdict(list)  # by what is said of them
    for kind in (task, data):
        conditions: tuple[Condition, ...] = offered(kind, "CONDITIONS")
        for names, read, otherwise in conditions:
            found = [name for name in names if name in given or name in overlaid]
            if found and not read(options):
                idle[otherwise.format(options)] += found
    for said, together in idle.items():
        shown = [f"--{SHORT.get(name, name)}" if name in given else f"{name} of {overlaid[name]}" for name in together]
        raise UserError(f"{', '.join(shown)}: {said}")


def check_found(data: Any, given: Mapping[str, str]) -> None:
    """Refuses options of the command line that the data, now that they are read, leave nothing to do for.

    Args:
        data: The data module; it may have ``idle``, the names of such options and why.
        given: Dotted names and texts of the command line.

    Raises:
        UserError: Naming the first of them and why.
    """
    for name, why in offered(data, "idle").items():
        if float(given.get(f"data.{name}", 0)) != 0:
            raise UserError(f"--data.{name}: {why}")
