"""The task behind ``--model cnn``: classifies pictures with our own convolutional network or a pretrained backbone.

    python train.py --model cnn                     embedded digits
    python train.py --model cnn --data mnist        60,000 digits, see models/cnn-mnist.yaml
    python train.py --model cnn --data ~/photos     your own pictures, on a pretrained backbone

The network itself, with the formulas of convolution, is `models.convnet`; pretrained ones are `models.finetune`.
"""
# N batch, C channels, H height, W width, D features, K classes

from functools import partial
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.classification.evaluation import Evaluation, Outcome, Point
from models.classification.head_alone import HeadAlone
from models.classification.reporting import ClassifierReporting
from models.classification.targets import class_weights, smoothed_cross_entropy
from models.classification.views import further_views, log_mean_probability
from models.columns import column_losses
from models.convnet import CNN
from models.finetune import idle
from models.finetune.compilation import compile_if_possible, forget_compiled
from models.limits import check_optimiser
from models.optimisation import build_optimiser, cycle, may_fuse, parameter_groups, peak_rate
from models.pixels import normalise
from models.resuming import resumes
from models.training_pictures import FewPictures, few_training_pictures


class CNNTask(ClassifierReporting, LightningModule):
    """Classifies pictures with a convolutional network of our own or a pretrained backbone.

    Args:
        class_names: Names of the classes, in the order of the labels.
        in_channels: 1 for grey, 3 for colour; others as --data.channels says.
        image_size: [height, width] of the pictures in pixels.
        mean: Mean of the training pictures per channel, in 0..1.
        std: Standard deviation of the training pictures per channel, in 0..1.
        reference: Best published accuracy on this data in 0..1 and its source, or None.
        backbone: ``cnn`` (the network of `models.convnet`), a torchvision model such as ``resnet18``, or ``timm/NAME``.
        weights: For a backbone: ``default`` (pretrained), ``none`` (random), or a file.
        widths: Channels of each stage of the network ``cnn``.
        padding: Padding of each stage of the network ``cnn``, 0 or 1; 1 by default. 0 loses a border and is cheaper.
        depths: Convolutions of each stage of the network ``cnn``, 1 to 16; 2 by default.
        pools: Max-pooling window at the end of each stage of the network ``cnn``, 1 to 8; 2 by default, which halves
            the picture; 1 for none.
        patch: Space-to-depth factor at the entrance of the network ``cnn``, from 1; 2 makes its first stage 4 times
            cheaper.
        dropout: Probability with which the network ``cnn`` drops a feature before its last layer, 0 to 0.5.
        logit_scale: Factor on the logits of the network ``cnn``, 0 to 100; below 1 its last layer grows more slowly,
            which a high learning rate needs: 0.25 at a rate of 0.4.
        norm_momentum: Weight of the newest batch in the running mean of batch normalisation of the network ``cnn``,
            0 to 1; 0.1 usual, 0.3 for short runs.
        columns: Networks ``cnn`` side by side in one, 1 to 16; each learns for itself, their mean logits answer.
        optimizer: ``sgd`` (Nesterov) or ``adamw``.
        lr: Peak learning rate, 0 to 1000; per batch, not per picture. auto searches one for a backbone.
        momentum: Momentum of SGD, or the first beta of AdamW, 0 to 0.999999; 0.9 usual.
        weight_decay: Pull of the weights (not of biases and normalisation) towards 0, 0 to 1000; 5e-4 usual for sgd,
            0.05 for adamw.
        schedule: Shape of the way down from the peak: ``linear`` or ``cosine``.
        warmup: Share of all steps in which the learning rate climbs to its peak, 0 to 1.
        label_smoothing: Share of the target spread evenly over the classes, 0 to 0.999; at most 0.3 usual.
        views: Views averaged at test time: ``one`` (no averaging), ``shift`` (5, by a 28th of the side), ``mirror``.
        tune: What of a backbone is trained: ``all``, or only its ``head``, on features computed once.
        head_start: Fit the head of a backbone before the first epoch, on features that pretrained weights give.
        head_views: Augmented views of each picture that this head is fitted on too, from 0; see --data.aug.
        opinion: Offer that head also the opinion of the classifier that came with the weights; folds of the training
            pictures decide whether it listens.
        freeze_epochs: Epochs in which the head of a backbone learns alone.
        unfreeze_milestones: Epochs at which one more stage of a backbone learns, from the last to the first.
        layer_decay: Learning rate of a backbone's stage over that of the next one, above 0 to 1.
        norm: Statistics with which a backbone is trained: ``fixed`` as they came with the weights, of the ``batch``, or
            ``auto``: of the batch for weights none, which come without.
        ema_decay: Longest memory of the average of a backbone's weights that is validated and kept; 0 for no average.
        mixup: alpha of mixup for a backbone, 0 to 100; 0.2 usual, 0 for none.
        cutmix: alpha of CutMix for a backbone, 0 to 100; 1 usual, 0 for none. With mixup too, each batch gets one.
        mix_off_epochs: Last epochs without mixup and CutMix.
        channels_last: Keep weights and pictures of a backbone in the memory order that convolutions are fastest in.
        compile: Compile the network; where that fails, one line says so and training goes on without.
    """

    FROM_DATA = ("reference",)
    CONDITIONS, CHECKPOINTS, HELD = idle.CONDITIONS, idle.CHECKPOINTS, idle.HELD
    monitor, mode = "val/accuracy", "max"
    classifies = judges_validation = weighs_classes = tolerates_mixed_precision = True
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        class_names: list[str],
        in_channels: int,
        image_size: list[int],
        mean: list[float],
        std: list[float],
        reference: list[Any] | None = None,
        backbone: str = "cnn",
        weights: str = "default",
        widths: list[int] = [32, 64],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        padding: list[int] | None = None,
        depths: list[int] | None = None,
        pools: list[int] | None = None,
        patch: int = 1,
        dropout: float = 0.0,
        logit_scale: float = 1.0,
        norm_momentum: float = 0.1,
        columns: int = 1,
        optimizer: Literal["sgd", "adamw"] = "sgd",
        lr: float | Literal["auto"] = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: Literal["linear", "cosine"] = "linear",
        warmup: float = 0.25,
        label_smoothing: float = 0.1,
        views: Literal["one", "shift", "mirror"] = "one",
        tune: Literal["all", "head"] = "all",
        head_start: bool = True,
        head_views: int = 0,
        opinion: bool = True,
        freeze_epochs: int = 0,
        unfreeze_milestones: list[int] = [],  # noqa: B006
        layer_decay: float = 0.8,
        norm: Literal["auto", "fixed", "batch"] = "auto",
        ema_decay: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        mix_off_epochs: int = 1,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        options = self.hparams
        check_optimiser(options)
        self.finetuning: Any = None
        if backbone == "cnn":
            if lr == "auto":
                raise ValueError("--model.lr auto needs a pretrained --model.backbone; give a number")
            sizes = {name: options[name] for name in idle.OWN}
            self.network: Any = CNN(in_channels, len(class_names), image_size, **sizes)
        else:
            from models.finetune.policy import pretrained

            self.network, self.finetuning = pretrained(options)
            mean, std = self.network.preprocessing["mean"], self.network.preprocessing["std"]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).clamp_min(1e-3).view(-1, 1, 1))
        self.fixed_features = self.finetuning is not None and self.finetuning.head_only
        self.memory_format = torch.channels_last if backbone == "cnn" or channels_last else torch.contiguous_format
        self.evaluation = Evaluation(class_names)
        self.class_weights: Tensor | None = None  # with --data.balance loss, (K,)
        self.train_sums = torch.zeros(3)  # loss * pictures, right ones, pictures of this epoch
        self.history: list[Point] = []
        self.train_results: list[tuple[float, float, float]] = []  # of each epoch: mean loss, right ones, pictures
        self.head_alone: HeadAlone | None = None
        self.validation: Outcome | None = None
        self.test: Outcome | None = None
        self.train_pictures: FewPictures | None = None
        self.first_batch: tuple[Tensor, Tensor] | None = None  # as training sees pictures, for a figure

    @classmethod
    def check(cls, options: dict[str, Any]) -> None:
        """Refuses what is wrong whatever the pictures are, before these are read.

        Raises:
            ValueError: If a number is out of its range, or there is no such backbone or weights file.
        """
        check_optimiser(options)
        if options["backbone"] == "cnn":
            return idle.check_untouched(options)
        from models.finetune.early import check_early

        check_early(options)

    @classmethod
    def wanted_pictures(cls, options: dict[str, Any]) -> dict[str, Any]:
        """How the weights of a backbone want pictures of a folder prepared, where the user does not say it."""
        if options["backbone"] == "cnn":
            return {}
        from models.finetune.early import picture_settings

        return picture_settings(options["backbone"])

    @classmethod
    def draws_views(cls, options: dict[str, Any]) -> bool:
        """Whether it learns from augmented views; a head alone may be fitted on features of the plain pictures."""
        return idle.draws_views({f"model.{name}": value for name, value in options.items()})

    def normalise(self, images: Tensor) -> Tensor:
        """Pictures as the network wants them: mean 0, deviation 1. Args: uint8 0..255 or float 0..1, (N, C, H, W)."""
        return normalise(images, self.mean, self.std).contiguous(memory_format=self.memory_format)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of pictures, uint8 in 0..255 or float in 0..1, shape (N, C, H, W)."""
        logits: Tensor = self.network(self.normalise(images))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of one batch, with the targets smoothed."""
        images, labels = batch
        if self.first_batch is None:
            self.first_batch = images.detach().cpu(), labels.cpu()
        if self.finetuning is not None:
            return self.finetuning.training_step(self, batch)
        smoothing, weights = self.hparams["label_smoothing"], self.class_weights
        if self.hparams["columns"] > 1:
            opinions = self.network(self.normalise(images), each=True)  # (G, N, K)
            losses = column_losses(opinions, labels, smoothing, weights)
            self.count(losses.mean(), opinions.mean(0), labels)
            return losses.sum()
        logits = self(images)
        return self.count(smoothed_cross_entropy(logits, labels, smoothing, weights), logits, labels)

    def count(self, loss: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Adds a batch to the sums of the epoch and gives the loss back."""
        right = (logits.detach().argmax(1) == labels).sum()
        self.train_sums[0].add_(loss.detach(), alpha=len(labels))
        self.train_sums[1].add_(right)
        self.train_sums[2].add_(len(labels))
        return loss

    def configure_callbacks(self) -> list[Callback]:
        """What a pretrained backbone needs around the loop."""
        return [] if self.finetuning is None else self.finetuning.callbacks(self.trainer)

    def on_fit_start(self) -> None:
        """Moves the sums to the device of the run, weighs the classes, compiles."""
        self.train_sums = self.train_sums.to(self.device)
        data: Any = self.trainer.datamodule
        if getattr(data, "balance", "none") == "loss":
            weights = class_weights(data.labels("train"), len(self.hparams["class_names"]))
            self.class_weights = weights.to(self.device)
        if self.hparams["compile"]:
            precision = self.trainer.precision_plugin.train_step_context()
            size, each = self.hparams["image_size"], [True] * (self.hparams["columns"] > 1)
            compile_if_possible(self.network, self.hparams["in_channels"], size, precision, *each)

    def on_train_epoch_end(self) -> None:
        """Logs the epoch's means; they are summed on the device because a log per step costs more than a small step."""
        sums = self.trainer.strategy.reduce(self.train_sums, reduce_op="sum")
        count = sums[2].clamp_min(1)
        self.train_results.append((float(sums[0] / count), float(sums[1]), float(sums[2])))
        values = {"train/loss": sums[0] / count, "train/accuracy": sums[1] / count, "lr/peak": peak_rate(self.trainer)}
        if self.finetuning is not None and self.finetuning.mixes(self):
            del values["train/accuracy"]  # there is no right class of a mixture
        self.log_dict(values)
        self.train_sums = torch.zeros_like(self.train_sums)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collects the outputs of one validation batch."""
        self.evaluation.collect(self.trainer, *batch, *self.outputs(batch[0], self.hparams["views"]))

    def on_validation_epoch_end(self) -> None:
        """Logs loss, accuracy, recalls, calibration and how far the classes have moved apart."""
        self.validation = self.evaluation.finish(self.trainer)
        if self.trainer.state.fn == "fit":
            self.log_dict(self.validation.metrics("val"))
            self.remember(self.current_epoch + 1, self.validation)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collects the outputs of one test batch, averaged over the chosen views."""
        self.evaluation.collect(self.trainer, *batch, *self.outputs(batch[0], self.hparams["views"]))

    def on_test_epoch_end(self) -> None:
        """Logs the final figures."""
        self.test = self.evaluation.finish(self.trainer)
        self.log_dict(self.test.metrics("test"))

    def outputs(self, images: Tensor, views: str = "one") -> tuple[Tensor, Tensor]:
        """Features (N, D) and logits (N, K); the logits are the log of the mean probability over the views."""
        if self.finetuning is not None:
            seen = self.finetuning.features(self, images, views)
        else:
            seen = self.features(images, views)
        logits = [self.network.head(features) for features in seen]
        if len(logits) == 1:
            return seen[0], logits[0]
        return seen[0], log_mean_probability(torch.stack(logits))

    def features(self, images: Tensor, views: str) -> list[Tensor]:
        """Features of the pictures and of each further view of them."""
        x = self.normalise(images)
        return [self.network.features(view) for view in (x, *further_views(x, views))]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser and a schedule over all steps of the run."""
        options = self.hparams
        lr = 1.0 if options["lr"] == "auto" else options["lr"]
        groups = parameter_groups([self.network], options["weight_decay"])
        if self.finetuning is not None:
            groups = self.finetuning.groups(self, lr)
        optimiser = build_optimiser(options["optimizer"], groups, lr, options["momentum"], may_fuse(self.trainer))
        return cycle(optimiser, self.trainer, options["warmup"], options["schedule"])

    def on_fit_end(self) -> None:
        """Keeps where the training pictures are, for the baseline that needs no training."""
        forget_compiled(self.network)
        data = getattr(self.trainer, "datamodule", None)
        self.train_pictures = partial(few_training_pictures, data, self.trainer.train_dataloader)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the sums of a half-finished epoch and the curve so far, so that a resumed run reports the same."""
        checkpoint["train_sums"] = self.train_sums.cpu()
        checkpoint["history"] = [tuple(point) for point in self.history]
        checkpoint["train_results"] = self.train_results
        checkpoint["head_alone"] = self.head_alone and tuple(self.head_alone)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        if resumes(self):
            self.train_sums = checkpoint["train_sums"].to(self.device)
            self.history = [Point(*point) for point in checkpoint["history"]]
            self.train_results = [tuple(found) for found in checkpoint.get("train_results", [])]
            self.head_alone = (found := checkpoint.get("head_alone")) and HeadAlone(*found)
