"""What a classifier's task tells the house about its run: findings, final figures, pictures, the worst answers.

A task that inherits from `ClassifierReporting` fills in its outcomes and has `outputs`, the features and logits of a
batch; everything said about them is here.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor

from dashboard.confusion import confusion_counts
from dashboard.layout import BEFORE_TRAINING
from models.classification.chance import Chance, chance
from models.classification.evaluation import Evaluation, Outcome, Point
from models.classification.findings import NOTHING, Summary
from models.classification.head_alone import HeadAlone
from models.columns import Compared, compare_columns
from models.training_pictures import FewPictures
from theory.intervals import wilson_interval

BLOWN_UP = math.log(10)  # nats above one that knows nothing: the right class gets a tenth of chance


class ClassifierReporting:
    """The reporting half of a classifier's task.

    Attributes:
        evaluation: What collects the outputs of a split.
        history: Where the classes stood after each validated epoch.
        train_results: Of each epoch of training: mean loss in nats, pictures classified rightly, pictures.
        head_alone: What the fitted head of a backbone did before the body learnt, or None.
        validation: Outputs of the newest validation, or None.
        test: Outputs on the test pictures, or None.
        train_pictures: Training pictures and labels for the baseline, see `models.training_pictures`, or None.
        first_batch: Pictures of a batch in 0..1 or 0..255 as training sees them, and their labels, shape (N,), or the
            shares of the classes, shape (N, K), where pictures are mixed.
    """

    hparams: Any
    trainer: Any
    logger: Any
    network: Any
    finetuning: Any
    evaluation: Evaluation
    history: list[Point]
    train_results: list[tuple[float, float, float]]
    head_alone: HeadAlone | None = None
    validation: Outcome | None
    test: Outcome | None
    train_pictures: FewPictures | None
    first_batch: tuple[Tensor, Tensor] | None
    _found: tuple[Outcome | None, Outcome | None, Summary | None] = (None, None, None)

    @property
    def failure(self) -> str:
        """One line where training blew up, stayed finite and did not come back; else empty.

        Asked of the network that starts at random, with logits near 0; the head of a backbone may start with any.
        """
        nothing, losses = math.log(len(self.hparams["class_names"])), [loss for loss, _, _ in self.train_results]
        if self.finetuning is not None or not losses or losses[-1] <= nothing or max(losses) <= nothing + BLOWN_UP:
            return ""
        _, right, count = self.train_results[-1]
        if wilson_interval(round(right), round(count))[0] > self._chance("train_dataloader").accuracy:
            return ""  # too sure of itself, and yet it knows something
        return (
            f"training diverged: the mean loss was {max(losses):.4g} nats in epoch {losses.index(max(losses)) + 1} and "
            f"{losses[-1]:.4g} in the last one; a classifier that knows nothing has {nothing:.4g}. Try a smaller --lr"
        )

    def describe(self) -> str:
        """Sizes of the network, for the first lines of a run."""
        count = sum(parameter.numel() for parameter in self.network.parameters())
        field = getattr(self.network, "receptive_field", None)
        seen = f", each last unit sees {field.size}×{field.size} pixels" if field else ""
        columns = f", {self.network.columns} columns" if getattr(self.network, "columns", 1) > 1 else ""
        return f"{self.hparams['backbone']}{columns}, {count:,} parameters{seen}"

    @property
    def augmentation(self) -> str:
        """What training does to the pictures of a batch beside the augmentation of each; empty for nothing."""
        from models.finetune.mixing import described

        alone = self.finetuning is None or self.finetuning.head_only
        return "" if alone else described(*(self.hparams[name] for name in ("mixup", "cutmix", "mix_off_epochs")))

    def keep_mixed(self, x: Tensor, targets: Tensor) -> None:
        """Keeps the first mixed batch for its figure in place of one that is not: pictures and shares of the classes.

        Args:
            x: Normalised pictures, shape (N, C, H, W).
            targets: Smoothed labels, shape (N, K).
        """
        if self.first_batch is None or self.first_batch[1].ndim == 2:
            return
        task, smoothing = cast(Any, self), self.hparams["label_smoothing"]
        pictures = (x.detach().float() * task.std.float() + task.mean.float()).clamp(0, 1)
        shares = (targets.float() - smoothing / targets.shape[1]) / (1 - smoothing)
        self.first_batch = pictures.cpu(), shares.cpu()

    def weights_origin(self) -> str:
        """Where the weights came from, and their licence, for the model card."""
        from models.finetune.origin import weights_origin

        own = self.hparams["backbone"] == "cnn"
        return weights_origin(self.hparams["backbone"], "none" if own else self.hparams["weights"])

    @classmethod
    def weights_file(cls, options: dict[str, Any]) -> str | None:
        """The file of weights that a backbone begins with; None where there is none."""
        given = options.get("weights", "none") if options.get("backbone", "cnn") != "cnn" else "none"
        return None if given in ("default", "none") else str(given).partition("#sha256=")[0]

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        reference, chance = self.hparams["reference"], self._chance("val_dataloaders")
        published = {"theory/best_published_accuracy": float(reference[0])} if reference else {}
        return {
            "loss": {"theory/chance_loss": chance.loss},
            "accuracy": {"val/balanced_accuracy": None, "theory/chance_accuracy": chance.accuracy, **published},
            "neural distance": {"val/neural_distance": None, "theory/isometry_distance": 1.0},
        }

    def _chance(self, loader: str) -> Chance:
        """What is reached on a loader's pictures without a look at them; with equal classes before there is one."""
        found = getattr(getattr(self, "_trainer", None), loader, None)
        return chance(getattr(found, "labels", None), len(self.hparams["class_names"]))

    def on_train_start(self) -> None:
        """Measures the distances before the first step, where an isometry would stand at 1."""
        task, loader = cast(Any, self), self.trainer.val_dataloaders
        if self.history or self.trainer.global_step or not loader:
            return
        limits = self.trainer.num_val_batches
        most = int(limits[0]) if limits and math.isfinite(limits[0]) else None
        with torch.no_grad(), self.trainer.precision_plugin.val_step_context():
            task.eval()
            for images, labels in islice(loader, most):
                images, labels = images.to(task.device), labels.to(task.device)
                self.evaluation.collect(self.trainer, images, labels, *task.outputs(images))
            task.train()
        outcome = self.evaluation.finish(self.trainer)
        self.remember(0, outcome)
        if getattr(self.finetuning, "head", None) is not None and not self.finetuning.head_only:
            self.head_alone = HeadAlone.of(outcome)

    def remember(self, epoch: int, outcome: Outcome) -> None:
        """Adds one point to the curve of the neural distance; the one before training has no epoch that logs it."""
        point = outcome.standing
        if point is not None:
            self.history.append(point._replace(epoch=epoch))
            if epoch == 0 and self.logger is not None:
                self.logger.log_metrics({"val/neural_distance": point.distance}, BEFORE_TRAINING)

    def summary(self) -> Summary | None:
        """Everything the run found on its test pictures, else on the validation pictures; None without either.

        Made once for a pair of outcomes: its neighbours and its temperature take their time.
        """
        if self._found[0] is not self.test or self._found[1] is not self.validation:
            self._found = self.test, self.validation, self._summarise()
        return self._found[2]

    def _summarise(self) -> Summary | None:
        rest = (self.history, self.train_pictures, self.hparams["reference"])
        trainer = getattr(self, "_trainer", None)
        balance = getattr(getattr(trainer, "datamodule", None), "balance", None)
        if self.test is not None or self.validation is None:
            found = self.test
            return Summary(found, self.validation, *rest, balance=balance) if found is not None else None
        fitted = getattr(self.finetuning, "head_only", False)  # in one go: there was nothing to choose from
        chosen = not fitted and any(getattr(callback, "monitor", None) for callback in self.trainer.callbacks)
        return Summary(self.validation, None, *rest, "val", chosen, balance)

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        summary, columns = self.summary(), self._columns()
        if summary is None:
            return NOTHING
        found = summary.findings() + ([columns.finding()] if columns else [])
        if self.head_alone is not None and self.validation is not None:
            found += self.head_alone.findings(self.validation, bool(getattr(self.trainer.datamodule, "mirrors", False)))
        return found

    def _columns(self) -> Compared | None:
        """The columns of the network beside one another, where one look at each judged picture is all there was."""
        summary = self.summary()
        if summary is None or getattr(self.network, "columns", 1) == 1 or self.hparams["views"] != "one":
            return None
        with torch.no_grad():
            opinions = self.network.opinions(summary.test.features.to(next(self.network.head.parameters())))
        return compare_columns(opinions.cpu(), summary.test.labels)

    def final_metrics(self) -> dict[str, float]:
        """Figures beside the test's own: calibration, baseline, theory and gaps."""
        summary = self.summary()
        metrics = {**summary.test.metrics(summary.split), **summary.metrics()} if summary else {}
        if summary:
            metrics[f"{summary.split}/judged"] = float(len(summary.test.labels))
        if columns := self._columns():
            metrics |= columns.metrics()
        if self.head_alone is not None:
            metrics |= self.head_alone.metrics()
        if self.validation:  # of the weights that were tested
            metrics |= {
                "best/val_accuracy": self.validation.accuracy,
                "best/val_judged": float(len(self.validation.labels)),
                "best/val_loss": float(self.validation.losses().mean()),
            }
        return metrics

    def top_losses(self, limit: int) -> tuple[str, list[tuple[int, str, str, float, float]]]:
        """The split that was judged, and its pictures with the largest losses; see `Outcome.top_losses`."""
        summary = self.summary()
        return (summary.split, summary.test.top_losses(limit)) if summary else ("val", [])

    def recalls(self) -> dict[str, tuple[int, int]]:
        """For each class among the judged pictures: how many of its pictures were found, and how many there are."""
        summary = self.summary()
        return summary.test.recalls() if summary else {}

    def confusion(self) -> list[list[int]] | None:
        """How often each class (row) was taken for each (column) among the judged pictures; None without any."""
        summary = self.summary()
        if summary is None:
            return None
        counts: list[list[int]] = confusion_counts(
            summary.test.labels, summary.test.guesses, len(summary.test.class_names)
        ).tolist()
        return counts

    def files(self, split: str) -> list[str] | None:
        """Paths of a split's pictures in the order in which they were judged; None where they are no files."""
        data: Any = self.trainer.datamodule
        return data.paths(split) if hasattr(data, "paths") else None

    def show(self, writer: Any, step: int) -> list[str]:
        """What TensorBoard shows beside curves and figures; see `models.classification.board`."""
        from models.classification.board import show_classifier

        summary = self.summary()
        return show_classifier(writer, step, self, summary.test, self.files(summary.split)) if summary else []

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Figures of the run; see `models.classification.explanation`."""
        from models.classification.explanation import classifier_figures

        if summary := self.summary():
            files = self.files(summary.split)
            yield from classifier_figures(self, summary.test, summary.judged_temperature, self.history, files)
