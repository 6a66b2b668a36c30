"""Which stages of a pretrained network learn, and how fast: pure functions of the epoch.

A fresh head sends large, random gradients into a body that was already good. So the head learns first; then the stages
are unfrozen from the last to the first; and the deeper a stage lies, the smaller its learning rate. With stages
l = 0 (stem) ... L (head):

    lr_l = lr * decay^(L - l)

The state is computed from the epoch's number, never remembered: a resumed run cannot differ from an uninterrupted one.
Every parameter is in the optimiser from the start; one without a gradient is left alone by it.

Source:
    Howard, Ruder (2018), Universal language model fine-tuning, sections 3.2 (discriminative rates) and 3.3 (gradual
    unfreezing); Clark et al. (2020), ELECTRA, appendix A (layer-wise decay).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from models.finetune.backbones import Backbone


def check_decay(decay: float) -> None:
    """Refuses a factor of the rates that is none.

    Raises:
        ValueError: If ``decay`` is outside (0, 1].
    """
    if not 0 < decay <= 1:
        raise ValueError(f"layer_decay must be in (0, 1], got {decay}")


def stage_learning_rates(lr: float, num_stages: int, decay: float) -> list[float]:
    """Learning rate of each stage, lr * decay^(L - l).

    Args:
        lr: Learning rate of the head, above 0.
        num_stages: Number of stages L + 1, head included.
        decay: Factor from one stage to the one before it, in (0, 1]; 0.9 usual, 1 gives one rate to all.

    Returns:
        Rates from the stem to the head.

    Raises:
        ValueError: If ``decay`` is outside (0, 1].
    """
    check_decay(decay)
    return [lr * decay ** (num_stages - 1 - stage) for stage in range(num_stages)]


def check_schedule(num_stages: int, freeze_epochs: int, unfreeze_milestones: Sequence[int]) -> None:
    """Refuses a schedule of `first_trainable_stage` that contradicts itself.

    Raises:
        ValueError: Naming the option and its value.
    """
    milestones = list(unfreeze_milestones)
    if freeze_epochs < 0:
        raise ValueError(f"freeze_epochs must be 0 or more, got {freeze_epochs}")
    if milestones != sorted(set(milestones)):
        raise ValueError(f"unfreeze_milestones must increase, got {milestones}")
    if milestones and milestones[0] < freeze_epochs:
        raise ValueError(f"unfreeze_milestones {milestones} begin before freeze_epochs {freeze_epochs} are over")
    if len(milestones) > num_stages - 1:
        raise ValueError(
            f"{len(milestones)} unfreeze_milestones, but only {num_stages - 1} stages can be unfrozen: {milestones}"
        )


def first_trainable_stage(
    epoch: int, num_stages: int, freeze_epochs: int = 0, unfreeze_milestones: Sequence[int] = ()
) -> int:
    """Number of the first stage that learns in an epoch; the stages after it learn too.

    Without milestones the head alone learns for ``freeze_epochs`` epochs and everything afterwards. With milestones the
    head alone learns until the first of them, and at each one more stage joins, from the last to the first; a stage
    without a milestone stays frozen.

    Args:
        epoch: Epoch from 0.
        num_stages: Number of stages, head included.
        freeze_epochs: Epochs in which the head alone learns, 0 or more.
        unfreeze_milestones: Increasing epochs, none before ``freeze_epochs``, at most one for each stage but the head.

    Returns:
        Index in [0, num_stages - 1]; the last means that the head learns alone.

    Raises:
        ValueError: If the schedule contradicts itself.
    """
    check_schedule(num_stages, freeze_epochs, unfreeze_milestones)
    if not unfreeze_milestones:
        return num_stages - 1 if epoch < freeze_epochs else 0
    return num_stages - 1 - sum(epoch >= milestone for milestone in unfreeze_milestones)


def set_train_mode(
    backbone: Backbone, epoch: int, freeze_epochs: int = 0, unfreeze_milestones: Sequence[int] = ()
) -> list[str]:
    """Sets what learns in an epoch; to be called at the beginning of each training epoch.

    A frozen stage gets no gradients and is in ``eval()``: its batch normalisation keeps its statistics and its dropout
    is off, so that a frozen body gives one picture the same features every time.

    Args:
        backbone: The network.
        epoch: Epoch from 0.
        freeze_epochs: See `first_trainable_stage`.
        unfreeze_milestones: See `first_trainable_stage`.

    Returns:
        Names of the stages that learn.
    """
    stages = backbone.stages()
    first = first_trainable_stage(epoch, len(stages), freeze_epochs, unfreeze_milestones)
    body_frozen = first == len(stages) - 1
    backbone.train()
    backbone.body.train(not body_frozen)
    for index, (_, stage) in enumerate(stages):
        learns = index >= first
        stage.requires_grad_(learns)
        if not learns:
            stage.eval()
    return [name for name, _ in stages[first:]]


def fix_statistics(backbone: nn.Module) -> None:
    """Puts all normalisation layers with running statistics into ``eval()``; their gains and biases still learn."""
    for module in backbone.modules():
        if getattr(module, "running_mean", None) is not None:
            module.eval()


def is_weight(parameter: Tensor) -> bool:
    """Whether a parameter multiplies across two axes; biases, gains of shape (C, 1, 1) and class tokens do not."""
    return parameter.ndim == 2 or sum(size > 1 for size in parameter.shape) > 1


def layerwise_groups(
    backbone: Backbone, lr: float, decay: float = 1.0, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Parameter groups of the optimiser: one rate per stage, and weight decay on weights only.

    Args:
        backbone: The network; all its parameters are taken, frozen or not, so that the groups are the same on resume.
        lr: Learning rate of the head.
        decay: See `stage_learning_rates`.
        weight_decay: Pull towards 0, of weights only, see `is_weight`.

    Returns:
        Groups as `torch.optim` takes them, from stem to head, named ``STAGE`` and ``STAGE/free`` (without decay).
    """
    stages = backbone.stages()
    groups: list[dict[str, Any]] = []
    for (name, stage), rate in zip(stages, stage_learning_rates(lr, len(stages), decay), strict=True):
        for label, parameters, pull in (
            (name, [parameter for parameter in stage.parameters() if is_weight(parameter)], weight_decay),
            (f"{name}/free", [parameter for parameter in stage.parameters() if not is_weight(parameter)], 0.0),
        ):
            if parameters:
                groups.append({"params": parameters, "lr": rate, "weight_decay": pull, "name": label})
    return groups
