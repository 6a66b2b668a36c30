"""Options that a run would not read: those of a backbone, of our own network, or of a body that learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of the task, for a pretrained network alone; and for our own network alone.
BACKBONE = (
    "weights", "tune", "head_start", "opinion", "freeze_epochs", "unfreeze_milestones", "layer_decay", "norm",
    "ema_decay", "mixup", "cutmix", "mix_off_epochs", "channels_last",
)  # fmt: skip
OWN = ("widths", "padding", "depths", "pools", "patch", "dropout", "logit_scale", "norm_momentum")

# A head that is fitted on features of the plain pictures takes no steps.
STEPS = (
    *(f"model.{name}" for name in (
        "optimizer", "lr", "momentum", "weight_decay", "schedule", "warmup", "label_smoothing", "freeze_epochs",
        "unfreeze_milestones", "layer_decay", "norm", "ema_decay", "mixup", "cutmix", "mix_off_epochs", "compile",
    )),
    "data.aug", "data.flip", "data.min_area", "early_stopping.patience",
    *(f"trainer.{name}" for name in (
        "max_epochs", "min_epochs", "max_steps", "min_steps", "limit_train_batches", "overfit_batches",
        "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "check_val_every_n_epoch",
        "val_check_interval",
    )),
)  # fmt: skip
HARMLESS = {"data.aug": "none", "data.flip": "0", "model.weights": "none"}  # what is the case anyway

# What no recipe sets, so that a value other than these is the user's, wherever it stands.
UNTOUCHED: dict[str, tuple[Any, ...]] = {
    "weights": ("default", "none"),
    "freeze_epochs": (0,),
    "unfreeze_milestones": ([],),
    "mixup": (0,),
    "cutmix": (0,),
}


def unused(options: Mapping[str, Any], given: Mapping[str, str]) -> tuple[list[str], str]:
    """What was given in vain.

    Args:
        options: The task's, as they will be used.
        given: Dotted names and texts of the command line.

    Returns:
        The dotted names that this run would not read, and why; an empty list when it reads all.
    """
    given = {name: text for name, text in given.items() if HARMLESS.get(name) != text}
    if options["backbone"] == "cnn":
        idle = [f"model.{name}" for name in BACKBONE if f"model.{name}" in given]
        return idle, "only for --model.backbone NAME; the network cnn starts at random and learns as a whole"
    idle = [f"model.{name}" for name in OWN if f"model.{name}" in given]
    if idle:
        return idle, f"only for the network cnn, not for --model.backbone {options['backbone']}"
    if options["tune"] == "head":
        idle = [name for name in STEPS if name in given]
    return idle, "without effect with --model.tune head, which is fitted in one go; --model.tune all uses it"


def check_own(options: Mapping[str, Any]) -> None:
    """Refuses, for our own network, settings that only a backbone reads, also from a file.

    Raises:
        ValueError: Naming the first of them.
    """
    for name, allowed in UNTOUCHED.items():
        if options[name] not in allowed:
            raise ValueError(
                f"{name} needs --model.backbone NAME, got {options[name]!r}; the network cnn starts at random and "
                "learns as a whole"
            )
