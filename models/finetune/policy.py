"""Fine-tuning of a pretrained backbone: what happens when, on top of Lightning's loop.

1. The head is fitted on the features of the frozen body (`models.finetune.head_start`): seconds, no learning rate.
2. Unless ``tune`` is ``head``, the body follows: stages may join one after the other, early ones learn more slowly
   (`models.finetune.freezing`), pictures may be mixed (`models.finetune.mixing`), and the average of the weights is
   what is validated (`models.finetune.averaging`).

What learns in an epoch is computed from the epoch's number. Nothing is remembered that a checkpoint would have to hold.
"""
# N pictures, D features, K classes

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from models.classification.evaluation import resident_pictures
from models.classification.targets import smooth_targets, soft_cross_entropy
from models.finetune.averaging import WeightAverage
from models.finetune.backbones import Backbone, build_backbone
from models.finetune.depthwise import float32_depthwise
from models.finetune.early import RANGES
from models.finetune.features import FeatureCache, in_parts
from models.finetune.freezing import (
    check_decay,
    check_schedule,
    first_trainable_stage,
    fix_statistics,
    layerwise_groups,
    set_train_mode,
)
from models.finetune.head_start import HeadFit
from models.finetune.memory import loss_within_memory
from models.finetune.mixing import mix
from models.finetune.start import balances, find_lr, fit_head_of, say
from models.finetune.statistics import FreshStatistics
from models.limits import check_within
from theory.epochs import last_epoch
from theory.intervals import wilson_interval

if TYPE_CHECKING:
    from models.cnn import CNNTask


class FineTuning(Callback):
    """Head first, then the body.

    Args:
        options: The task's: ``tune``, ``head_start``, ``freeze_epochs``, ``unfreeze_milestones``, ``layer_decay``,
            ``ema_decay``, ``mixup``, ``cutmix``, ``mix_off_epochs``, ``lr``, ``label_smoothing``.
        num_stages: Stages of the backbone, head included.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(self, options: Mapping[str, Any], num_stages: int) -> None:
        self.options = options
        self.head_only = options["tune"] == "head"
        self.head: HeadFit | None = None
        self.head_s = 0.0
        self.balanced = False  # whether all classes counted alike in its fit
        self.parts = 1  # of a batch, doubled when memory runs out
        self.curve: tuple[list[float], list[float]] | None = None
        decay = 0.0 if self.head_only else options["ema_decay"]
        self.average = WeightAverage(decay) if decay else None
        self._frozen: list[Tensor] = []
        self._cache = FeatureCache()
        check_decay(options["layer_decay"])
        self.num_stages = num_stages
        self.schedule: tuple[int, list[int]] = options["freeze_epochs"], options["unfreeze_milestones"]
        check_schedule(num_stages, *self.schedule)
        check_within(options, RANGES)
        if self.head_only and not options["head_start"]:
            raise ValueError(
                "--model.head_start false leaves --model.tune head nothing to train; --model.tune all trains on"
            )

    # What the task asks for

    def callbacks(self, trainer: Trainer) -> list[Callback]:
        """This one, the average of the weights and then their statistics; each trainer gets them once."""
        wanted = [callback for callback in (self, self.average, self.statistics) if callback is not None]
        return [callback for callback in wanted if callback not in trainer.callbacks]  # type: ignore[attr-defined]

    @cached_property
    def statistics(self) -> FreshStatistics | None:
        """What keeps the statistics of a body that learns with those of each batch.

        Made when the run asks for it, not with the task: a run that goes on is built without the weights that its
        checkpoint holds, and ``norm auto`` is about those that it began with.
        """
        return FreshStatistics(lambda: self.parts, self.average) if self.takes_batch_statistics else None

    @property
    def takes_batch_statistics(self) -> bool:
        """Whether the body learns with the statistics of each batch."""
        norm = self.options["norm"]
        return not self.head_only and (norm == "batch" or (norm == "auto" and self.options["weights"] == "none"))

    def groups(self, task: CNNTask, lr: float) -> list[dict[str, Any]]:
        """Parameter groups with a rate for each stage."""
        return layerwise_groups(task.network, lr, self.options["layer_decay"], self.options["weight_decay"])

    def mixes(self, task: LightningModule) -> bool:
        """Whether the pictures of this epoch are mixed; never in the last ``mix_off_epochs`` of the run."""
        last = last_epoch(task.trainer)
        return bool(self.options["mixup"] or self.options["cutmix"]) and (
            last is None or task.current_epoch <= last - self.options["mix_off_epochs"]
        )

    def training_step(self, task: CNNTask, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Loss of a batch; for a head alone, that of all training pictures, as the fit left it."""
        if self.head_only:
            task.train_sums += self.sums
            return (self.sums[0] / self.sums[2]).requires_grad_()
        images, labels = batch
        x = task.normalise(images)
        targets = smooth_targets(labels, len(task.hparams["class_names"]), self.options["label_smoothing"])
        if self.mixes(task):
            x, targets = mix(x, targets, self.options["mixup"], self.options["cutmix"])
            task.keep_mixed(x, targets)
        seen = torch.zeros_like(targets)

        def loss_of(part: slice) -> Tensor:
            with self._fast_gradients(task):
                logits = task.network(x[part])
            seen[part] = logits.detach().float()
            return soft_cross_entropy(logits, targets[part], task.class_weights)

        return task.count(self._within_memory(task, task.network, loss_of, len(x)), seen, labels)

    def _fast_gradients(self, task: CNNTask) -> AbstractContextManager[Any]:
        return nullcontext() if self.options["compile"] else float32_depthwise(task.device)

    def _within_memory(
        self, task: CNNTask, network: nn.Module, loss_of: Callable[[slice], Tensor], size: int
    ) -> Tensor:
        """Loss of a batch of a network, in as many parts as memory asks for from now on."""
        whole, scaler = task.device.type == "cpu", getattr(task.trainer.precision_plugin, "scaler", None)
        scale = float(scaler.get_scale()) if scaler is not None else 1.0
        loss, parts = loss_within_memory(loss_of, size, self.parts, list(network.parameters()), scale, whole)
        if parts > self.parts:
            self.parts = parts
            say(f"out of memory: batches of {size} now go through in {parts} parts, with the same gradient")
        return loss

    def features(self, task: CNNTask, images: Tensor, views: str) -> list[Tensor]:
        """Features of a batch and of its views; of a frozen body they are computed once in a run."""
        if task._trainer is None or torch.is_grad_enabled():
            return task.features(images, views)
        compute = partial(in_parts, partial(task.features, views=views), images)
        resident = resident_pictures(task.trainer) if self.head_only else None
        if resident is None or resident.device != images.device:  # a batch that was moved lies elsewhere each time
            return compute()
        return self._cache.get(images, views, compute)

    # Lightning's hooks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A head alone needs one step, which is the whole fit; a body that is to learn must get an epoch."""
        if stage != "fit":
            return
        if self.head_only:
            trainer.limit_train_batches = 1
            trainer.fit_loop.max_epochs = 1
            precision: Any = trainer.precision_plugin
            if getattr(precision, "scaler", None) is not None:
                precision.scaler = None  # it would look for gradients, and the one step has none
            return
        self._check_length(trainer)

    def _check_length(self, trainer: Trainer) -> None:
        """Refuses a run that ends before the body learns, or before a picture is mixed.

        Raises:
            ValueError: Naming the option and the epochs that there are.
        """
        last, stages, (frozen, milestones) = last_epoch(trainer), self.num_stages, self.schedule
        off = self.options["mix_off_epochs"]
        if (self.options["mixup"] or self.options["cutmix"]) and last is not None and last < off:
            raise ValueError(f"--model.mix_off_epochs {off}: in none of {last + 1} epochs would pictures be mixed")
        if last is not None and last >= 0 and first_trainable_stage(last, stages, frozen, milestones) == stages - 1:
            given = f"unfreeze_milestones {milestones}" if milestones else f"freeze_epochs {frozen}"
            raise ValueError(f"--model.{given}: none of {last + 1} epochs is left for the body (see --model.tune head)")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """At the start of a run, not of a resumed part: fit the head, find the learning rate."""
        task: Any = pl_module
        if not self.head_only:
            self._check_length(trainer)  # once more: how many epochs the steps are is known now
        if trainer.global_step or trainer.current_epoch:
            # A run resumed inside an epoch gets no start of that epoch.
            self.on_train_epoch_start(trainer, task)
            return
        if self.options["head_start"] and self.takes_batch_statistics and self.options["weights"] == "none":
            say("head    not fitted first: the features of a body without weights are no guide; all learn together")
            if self.options["layer_decay"] < 1:
                say(
                    "note: smaller rates towards the picture keep what pretrained weights know; a body without any is "
                    "better off with --model.layer_decay 1, --lr auto or 0.001, and more --epochs"
                )
        elif self.options["head_start"]:
            self._fit_head(trainer, task)
        if self.options["lr"] == "auto" and not self.head_only:
            self._find_lr(trainer, task)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set what learns."""
        task: Any = pl_module
        self._set_mode(task.network, trainer.current_epoch)
        if trainer.world_size > 1:
            # DistributedDataParallel expects a gradient of all that it was given: let it have them, and drop them.
            self._frozen = [parameter for parameter in task.network.parameters() if not parameter.requires_grad]
            task.network.requires_grad_(True)

    def _set_mode(self, network: Backbone, epoch: int) -> None:
        """What learns in an epoch, and which statistics stay as they are."""
        set_train_mode(network, epoch, *((epoch + 1, []) if self.head_only else self.schedule))
        if self.statistics is None:
            fix_statistics(network)
        else:
            self.statistics.follow(network)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Frozen parameters get no step."""
        for parameter in self._frozen:
            parameter.grad = None

    def describe(self) -> str:
        """What the fit of the head found."""
        assert self.head is not None
        what = ("frozen features", "the opinion of the pretrained classifier")[self.head.part]
        right, judged = round(self.head.accuracy * self.head.judged), self.head.judged
        low, high = wilson_interval(right, judged)
        sure = ", mean over the classes" if self.balanced else f" ({100 * low:.1f} to {100 * high:.1f} %)"
        alone = f"; {self.head.alone:,} of a class with no other judged nothing" * (self.head.alone > 0)
        return (
            f"{100 * self.head.accuracy:.1f} % of {judged:,} training pictures right when held out{sure}, "
            f"on {what} (strength {self.head.strength:.2g}, {self.head_s:.1f} s){alone}"
        )

    def _fit_head(self, trainer: Trainer, task: CNNTask) -> None:
        started = time.perf_counter()
        self.balanced = balances(trainer)
        self.head, self.sums = fit_head_of(trainer, task)
        self.head_s = time.perf_counter() - started
        say(f"head    {self.describe()}")

    def _find_lr(self, trainer: Trainer, task: CNNTask) -> None:
        network = task.network
        frozen, milestones = self.schedule
        self._set_mode(network, milestones[0] if milestones else frozen)  # as when the body begins to learn

        def loss_of(trial: Any, x: Tensor, targets: Tensor) -> Tensor:
            def part_loss(part: slice) -> Tensor:
                with self._fast_gradients(task):
                    logits = trial(x[part])
                return soft_cross_entropy(logits, targets[part], task.class_weights)

            return self._within_memory(task, trial, part_loss, len(x))

        self.curve = find_lr(trainer, task, loss_of)


def pretrained(options: Mapping[str, Any]) -> tuple[Backbone, FineTuning]:
    """The backbone that a task's options name, and what fine-tunes it.

    Raises:
        ValueError: If an option is not usable; the message says what is.
    """
    names = options["class_names"]
    network = build_backbone(
        options["backbone"],
        len(names),
        in_channels=options["in_channels"],
        weights=options["weights"],
        opinion=options["opinion"],
        class_names=names,
        head_start=options["head_start"],
    )
    network.check_size(options["image_size"])
    if options["channels_last"]:
        network.to(memory_format=torch.channels_last)
    return network, FineTuning(options, len(network.stages()))
