"""Options that a run would not read: those of a backbone, of our own network, or of a body that learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Of the task, for a pretrained network alone; and for our own network alone, named as `models.convnet.CNN` names them.
BACKBONE = (
    "weights", "tune", "head_start", "head_views", "opinion", "freeze_epochs", "unfreeze_milestones", "layer_decay",
    "norm", "ema_decay", "mixup", "cutmix", "mix_off_epochs", "channels_last",
)  # fmt: skip
OWN = ("widths", "padding", "depths", "pools", "patch", "dropout", "logit_scale", "norm_momentum", "columns")

# A head that is fitted on features of the plain pictures takes no steps.
STEPS = (
    *(f"model.{name}" for name in (
        "optimizer", "lr", "momentum", "weight_decay", "schedule", "warmup", "label_smoothing", "freeze_epochs",
        "unfreeze_milestones", "layer_decay", "norm", "ema_decay", "mixup", "cutmix", "mix_off_epochs", "compile",
    )),
    "early_stopping.patience",
    "checkpoint.every_n_batches",
    *(f"trainer.{name}" for name in (
        "max_epochs", "min_epochs", "max_steps", "min_steps", "limit_train_batches", "overfit_batches",
        "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "check_val_every_n_epoch",
        "val_check_interval",
    )),
)  # fmt: skip


def _own(options: Mapping[str, Any]) -> bool:
    return bool(options["model.backbone"] == "cnn")


def _takes_steps(options: Mapping[str, Any]) -> bool:
    return _own(options) or options["model.tune"] != "head"


def draws_views(options: Mapping[str, Any]) -> bool:
    """Whether augmented views are learnt from, with all the options of a run by their dotted names."""
    return _takes_steps(options) or options["model.head_views"] > 0


_OF_BACKBONE = "only for --model.backbone NAME; the network cnn starts at random and learns as a whole"
_OF_STEPS = "without effect with --model.tune head, which is fitted in one go; --model.tune all uses it"
_OF_VIEWS = (
    "without effect with --model.tune head, which is fitted on the plain pictures; --model.tune all and "
    "--model.head_views N use it"
)

CHECKPOINTS = {"weights": ("default", "none")}  # these words are no files of weights
HELD = {"weights": "none"}  # a run that goes on has its weights in its checkpoint
# See `trainer.command.idle`. What says only what is the case anyway is let through.
CONDITIONS = (
    (("model.weights",), lambda options: not _own(options) or options["model.weights"] == "none", _OF_BACKBONE),
    (tuple(f"model.{name}" for name in BACKBONE if name != "weights"), lambda options: not _own(options), _OF_BACKBONE),
    (
        tuple(f"model.{name}" for name in OWN),
        _own,
        "only for the network cnn, not for --model.backbone {0[model.backbone]}",
    ),
    (STEPS, _takes_steps, _OF_STEPS),
    (("data.aug",), lambda options: draws_views(options) or options["data.aug"] == "none", _OF_VIEWS),
    (("data.flip",), lambda options: draws_views(options) or not options["data.flip"], _OF_VIEWS),
    (("data.min_area",), draws_views, _OF_VIEWS),
    (
        ("model.head_views",),
        lambda options: (
            not options["model.head_views"] or (options["model.head_start"] and options["data.aug"] != "none")
        ),
        "needs --model.head_start true and an augmentation, --data.aug",
    ),
)

# What no recipe sets, so that a value other than these is the user's, wherever it stands: of a backbone; of our own.
UNTOUCHED: dict[str, tuple[Any, ...]] = {
    "weights": ("default", "none"),
    "freeze_epochs": (0,),
    "unfreeze_milestones": ([],),
    "mixup": (0,),
    "cutmix": (0,),
}
OWN_UNTOUCHED: dict[str, tuple[Any, ...]] = {"pools": (None,), "columns": (1,)}


def check_untouched(options: Mapping[str, Any]) -> None:
    """Refuses settings that only the other kind of network reads, also from a file.

    Raises:
        ValueError: Naming the first of them.
    """
    own = options["backbone"] == "cnn"
    why = (
        "needs --model.backbone NAME"
        if own
        else f"is for the network cnn, not for --model.backbone {options['backbone']}"
    )
    rest = "; the network cnn starts at random and learns as a whole" if own else ""
    for name, allowed in (UNTOUCHED if own else OWN_UNTOUCHED).items():
        if options[name] not in allowed:
            raise ValueError(f"{name} {why}, got {options[name]!r}{rest}")
