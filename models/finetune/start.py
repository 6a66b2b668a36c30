"""What happens once, before the first epoch: the head is fitted on features of the body, a learning rate is found."""
# N pictures, D features, K classes

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from models.classification.targets import smooth_targets
from models.finetune.features import PRECISIONS, extract_features
from models.finetune.folds import choosing
from models.finetune.freezing import layerwise_groups
from models.finetune.head_start import STRENGTHS, HeadFit, fit_best_head
from models.finetune.lr_finder import run_trial, suggest, trial_rates
from models.optimisation import build_optimiser
from models.training_pictures import training_set

if TYPE_CHECKING:
    from models.cnn import CNNTask

MOST_AT_ONCE = 64  # pictures at a time while features are computed; fewer when a step sees fewer
SAME = 1e-4  # spread of features, of their size, that is none
PATIENCE_S = 10.0  # after which it is said how far the work has come


def fit_head_of(trainer: Trainer, task: CNNTask) -> tuple[HeadFit, Tensor]:
    """Fits the head of a task's network and gives it to the network.

    Args:
        trainer: Running the task.
        task: Its network is a backbone.

    Returns:
        The fit; and loss times pictures, right ones, and pictures of the training set, over the processes, shape (3,).
    """
    network, classes = task.network, len(task.hparams["class_names"])
    precision = str(trainer.precision) if str(trainer.precision) in PRECISIONS else "32-true"
    images, labels, units = training_set(trainer.datamodule, trainer.train_dataloader)  # type: ignore[attr-defined]
    total = len(labels)
    chosen = int(choosing(labels.cpu(), classes, units).sum())
    say(
        f"head    features of {total:,} training pictures, then the best head on them; "
        f"folds of {f'{chosen:,} of them' if chosen < total else 'them'} choose its strength"
    )
    progress = Progress()
    size = min(MOST_AT_ONCE, getattr(trainer.train_dataloader, "batch_size", MOST_AT_ONCE))

    def features_of(batches: Iterable[tuple[Tensor, Tensor]], what: str) -> tuple[Tensor, Tensor]:
        return extract_features(
            network,
            batches,
            task.device,
            precision,
            lambda done: progress(f"features of {done:,} of {what}"),
            task.normalise,
            lambda most: say(f"out of memory: features are computed {most} pictures at a time"),
            task.memory_format,
        )

    features, labels = features_of(zip(images.split(size), labels.split(size), strict=True), f"{total:,} pictures")
    if same_for_all(features):
        say(f"warning: {why_same(images)}")
    views, count = None, task.hparams["head_views"]
    if count:
        loader: Any = trainer.train_dataloader
        say(f"head    features of {count} augmented views of each picture")
        views = *features_of(loader.views(count), f"{count * total:,} views"), count

    def fit(device: torch.device) -> HeadFit:
        beside = None if views is None else (views[0].to(device), *views[1:])
        return fit_best_head(
            features.to(device), network.parts(), labels, classes, balances(trainer),
            tried=lambda count: progress(f"{count} of at most {len(STRENGTHS)} strengths tried"),
            views=beside, units=units,
        )  # fmt: skip

    # In float64, which Apple's GPUs do not have.
    head = on_device(fit, task.device if task.device.type == "cuda" else torch.device("cpu"))
    weight, bias = (trainer.strategy.broadcast(part) for part in (head.weight, head.bias))
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)
    logits = features @ weight.T + bias  # (N, K)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    right = (logits.argmax(1) == labels).sum()
    return head, torch.stack([loss, right, torch.tensor(total)]).to(task.device) / trainer.world_size


def same_for_all(features: Tensor) -> bool:
    """Whether features, shape (N, D), lie within a ten-thousandth of their size around their mean."""
    x = features.double()
    return bool((x - x.mean(0)).square().sum() <= SAME**2 * x.square().sum())


def why_same(images: Tensor) -> str:
    """What to say of pictures, shape (N, C, H, W), that have nearly the same features."""
    count, side = f"{len(images):,}", "×".join(map(str, images.shape[-2:]))
    if torch.equal(images.amax(0), images.amin(0)):
        return (
            f"all {count} pictures are the same when they are prepared, pixel for pixel: what tells them apart is cut "
            "off (--data.fit stretch or pad, or a larger --data.crop, shows more), transparency over the same colour "
            "(another --data.background shows it) or, of 16 bits, too small for 8 (see the note of these)"
        )
    return (
        f"the frozen network gives all {count} pictures nearly the same features at {side} pixels, from which no head "
        "can tell them apart; a larger --data.image_size may help"
    )


def balances(trainer: Trainer) -> bool:
    """Whether all classes count alike: repeating the pictures of a class, as the sampler does, is weighing them."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    return getattr(data, "balance", "none") != "none"


def on_device(fit: Callable[[torch.device], HeadFit], device: torch.device) -> HeadFit:
    """The fit on a device, or on the CPU where the device's memory does not suffice."""
    try:
        return fit(device)
    except torch.OutOfMemoryError:
        if device.type == "cpu":
            raise
    say("out of memory: the head is fitted on the CPU")
    return fit(torch.device("cpu"))


def find_lr(
    trainer: Trainer, task: CNNTask, loss_of: Callable[[Any, Tensor, Tensor], Tensor]
) -> tuple[list[float], list[float]]:
    """Finds a peak learning rate, gives it to the optimiser, says and logs it.

    Args:
        trainer: Running the task.
        task: Its network is in the mode in which it will learn.
        loss_of: Loss of a copy of the network on normalised pictures and their targets (N, K).

    Returns:
        The rates that were tried, and the losses.
    """
    options: Any = task.hparams
    loader: Any = copy.copy(trainer.train_dataloader)
    loader.sampler = copy.copy(loader.sampler)
    batches = ((images.to(task.device), labels.to(task.device)) for _ in count() for images, labels in loader)

    def loss_of_batch(network: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        targets = smooth_targets(batch[1], len(options["class_names"]), options["label_smoothing"])
        with trainer.precision_plugin.train_step_context():
            return loss_of(network, task.normalise(batch[0]), targets)

    def optimiser_of(network: Any) -> Optimizer:
        groups = layerwise_groups(network, 1.0, options["layer_decay"], options["weight_decay"])
        return build_optimiser(options["optimizer"], groups, 1.0, options["momentum"])

    scaler = getattr(trainer.precision_plugin, "scaler", None)
    curve = run_trial(task.network, optimiser_of, loss_of_batch, batches, trial_rates(), scaler)
    found: float = trainer.strategy.broadcast(suggest(*curve))
    set_peak(trainer, found)
    say(f"lr      {found:.2g}, found in {len(curve[0])} steps of a copy")
    for step, (rate, loss) in enumerate(zip(*curve, strict=True)):
        for logger in trainer.loggers:
            logger.log_metrics({"lr_find/lr": rate, "lr_find/loss": loss}, step)
    return curve


def set_peak(trainer: Trainer, lr: float) -> None:
    """Gives all groups, and the schedule, rates for another peak; the last group is the head's, at the peak."""
    (optimiser,) = trainer.optimizers
    before = optimiser.param_groups[-1]["initial_lr"]
    for group in optimiser.param_groups:
        group["initial_lr"] *= lr / before
        group["lr"] *= lr / before
    for config in trainer.lr_scheduler_configs:
        config.scheduler.base_lrs = [group["initial_lr"] for group in optimiser.param_groups]


@rank_zero_only
def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Says how far long work has come, now and then; short work passes in silence."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, text: str) -> None:
        """One line, if the last one was long ago."""
        if time.monotonic() - self._said >= PATIENCE_S:
            self._said = time.monotonic()
            say(f"head    {text}")
