"""What a classifier did on one split: collected batch by batch, then turned into numbers.

An `Outcome` holds the pictures, their features and logits, and knows every figure that follows from them: accuracy and
its interval, recall of each class, calibration, and how far training has moved the classes apart.
"""
# N pictures, D features, K classes, C channels, H height, W width

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor

from models.classification.chance import Chance, chance
from theory.calibration import expected_calibration_error
from theory.intervals import wilson_interval
from theory.neural_distance import class_mean_cosines, neural_distance

MOST_PICTURES_FOR_DISTANCES = 5_000  # a fixed share of a large set says the same and costs nothing
MOST_NUMBERS_FOR_DISTANCES = 50_000_000  # of them, after every epoch
MOST_CLASSES_LOGGED = 40


class Point(NamedTuple):
    """Where the classes stand after some epochs.

    Attributes:
        epoch: Number of epochs, 0 before training.
        distance: Within/between-class distance ratio in feature space over that in pixel space: 1 for an isometry,
            towards 0 when the classes collapse to points.
        lowest_cosine: Smallest cosine between two centred class means; all are -1/(K-1) at collapse.
        mean_cosine: Their mean.
        highest_cosine: The largest.
    """

    epoch: int
    distance: float
    lowest_cosine: float
    mean_cosine: float
    highest_cosine: float


@dataclass
class Outcome:
    """Outputs of a classifier on one split.

    Attributes:
        images: Pictures as the loader gave them, shape (N, C, H, W); where it holds them anyway, on its device, and
            nothing is copied.
        labels: Right classes, shape (N,).
        features: What the last layer saw, shape (N, D).
        logits: Shape (N, K).
        class_names: K names.
    """

    images: Tensor
    labels: Tensor
    features: Tensor
    logits: Tensor
    class_names: list[str]

    @property
    def guesses(self) -> Tensor:
        """Most probable class of each picture, shape (N,)."""
        return self.logits.argmax(1)

    @property
    def num_right(self) -> int:
        """Number of pictures classified rightly."""
        return int((self.guesses == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """Share of the pictures classified rightly."""
        return self.num_right / len(self.labels)

    @cached_property
    def chance(self) -> Chance:
        """What is reached on these pictures without a look at them."""
        return chance(self.labels, len(self.class_names))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have pictures, in 0..1."""
        recalls = [found / total for found, total in self.recalls().values()]
        return sum(recalls) / len(recalls)

    @cached_property
    def num_present(self) -> int:
        """Number of classes that have pictures."""
        return len(self.labels.unique())

    @property
    def collapse_cosine(self) -> float | None:
        """Cosine of any two class means at collapse, -1/(K'-1) for the K' classes that have pictures; None below 3.

        The means of two classes, seen from the mean of both, are opposite in any features, which says nothing.
        """
        return -1 / (self.num_present - 1) if self.num_present > 2 else None

    def pictures(self, which: Tensor | slice) -> Tensor:
        """Some of the pictures, on the CPU."""
        return self.images[which].cpu()

    def top_losses(self, limit: int) -> list[tuple[int, str, str, float, float]]:
        """The pictures with the largest losses: number, class, guess, its probability, loss in nats; largest first."""
        losses, names = self.losses(), self.class_names
        order = losses.argsort(descending=True, stable=True)[:limit]
        guesses = self.guesses[order]
        probabilities = self.logits[order].float().softmax(1).amax(1)
        columns = (order, self.labels[order], guesses, probabilities, losses[order])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [(number, names[label], names[guess], share, loss) for number, label, guess, share, loss in rows]

    def losses(self) -> Tensor:
        """Cross-entropy of each picture in nats, shape (N,)."""
        return F.cross_entropy(self.logits.float(), self.labels, reduction="none")

    def recalls(self) -> dict[str, tuple[int, int]]:
        """For each class present: how many of its pictures were found, and how many there are."""
        right = self.guesses == self.labels
        found = torch.bincount(self.labels[right], minlength=len(self.class_names)).tolist()
        total = torch.bincount(self.labels, minlength=len(self.class_names)).tolist()
        return {name: (f, t) for name, f, t in zip(self.class_names, found, total, strict=True) if t}

    @cached_property
    def standing(self) -> Point | None:
        """Where the classes stand, at epoch 0; None when no class, or only one, has two pictures."""
        if not 1 < self.num_present < len(self.labels):
            return None
        numbers = max(self.images[0].numel(), self.features.shape[1])
        most = min(MOST_PICTURES_FOR_DISTANCES, MOST_NUMBERS_FOR_DISTANCES // numbers)
        part = slice(None, None, -(-len(self.labels) // max(most, 2)))
        labels, features = self.labels[part], self.features[part]
        if not 1 < len(labels.unique()) < len(labels):
            return None
        ratio = neural_distance(features, self.pictures(part), labels)
        cosines = class_mean_cosines(features, labels)
        return Point(0, ratio, float(cosines.min()), float(cosines.mean()), float(cosines.max()))

    def metrics(self, split: str) -> dict[str, float]:
        """All figures as tags, such as ``val/accuracy``.

        Args:
            split: ``val`` or ``test``.
        """
        low, high = wilson_interval(self.num_right, len(self.labels))
        probabilities = self.logits.float().softmax(1)
        values = {
            f"{split}/loss": float(self.losses().mean()),
            f"{split}/accuracy": self.accuracy,
            f"{split}/accuracy_low": low,
            f"{split}/accuracy_high": high,
            f"{split}/ece": expected_calibration_error(probabilities, self.labels),
        }
        if self.chance.commonest is not None:
            values[f"{split}/balanced_accuracy"] = self.balanced_accuracy
        if len(self.class_names) <= MOST_CLASSES_LOGGED:
            values |= {f"{split}/recall_{name}": found / total for name, (found, total) in self.recalls().items()}
        if (point := self.standing) is not None:
            values[f"{split}/neural_distance"] = point.distance
            # The mean cosine is near -1/(K-1) for almost any features; only all of them together say collapse.
            if (limit := self.collapse_cosine) is not None:
                values[f"{split}/class_cosine_error"] = max(point.highest_cosine - limit, limit - point.lowest_cosine)
        return values


class Evaluation:
    """Collects batches until the split is complete.

    Args:
        class_names: K names in the order of the labels.
    """

    def __init__(self, class_names: list[str]) -> None:
        self.class_names = class_names
        self.batches: list[tuple[Tensor, ...]] = []
        self.resident: Tensor | None = None

    def collect(self, trainer: Trainer, images: Tensor, labels: Tensor, features: Tensor, logits: Tensor) -> None:
        """Keeps one batch: (N, C, H, W), (N,), (N, D), (N, K); no pictures that the loader holds anyway."""
        if not self.batches:
            self.resident = resident_pictures(trainer)
        kept = images[:0] if self.resident is not None else images if trainer.world_size > 1 else images.cpu()
        self.batches.append((kept, labels, features.float(), logits.float()))

    def finish(self, trainer: Trainer) -> Outcome:
        """Joins the batches of all processes on the CPU, in the loader's order, and starts afresh."""
        pictures, *rest = zip(*self.batches, strict=True)
        self.batches = []
        images, self.resident = self.resident, None
        joined = [torch.cat(parts) for parts in rest]
        if trainer.world_size > 1:
            # The processes take turns inside each batch: sorted by (batch, turn, process) the rows stand as loaded.
            turns = [torch.arange(len(labels)) * trainer.world_size + trainer.global_rank for labels in rest[0]]
            place = torch.cat([number * 2**32 + turn for number, turn in enumerate(turns)]).to(joined[0].device)
            order = gather(place, trainer).argsort()
            joined = [gather(part, trainer)[order] for part in joined]
            images = images if images is not None else gather(torch.cat(pictures), trainer)[order].cpu()
        elif images is None:
            images = torch.cat(pictures).cpu()
        labels, features, logits = (part.cpu() for part in joined)
        return Outcome(images[: len(labels)], labels, features, logits, class_names=self.class_names)


def resident_pictures(trainer: Trainer) -> Tensor | None:
    """The pictures of the split that is being evaluated, when its loader holds them all in order; else None."""
    loader: Any = trainer.test_dataloaders if trainer.state.fn == "test" else trainer.val_dataloaders
    plain = getattr(loader, "augment", None) is None and not getattr(loader, "shuffle", True)
    return loader.images if plain and isinstance(getattr(loader, "images", None), Tensor) else None


def gather(part: Tensor, trainer: Trainer) -> Tensor:
    """The rows of all processes, which may have different numbers of them, one process after the other."""
    size = torch.tensor(len(part), device=part.device)
    sizes: Any = trainer.strategy.all_gather(size)
    longest = int(sizes.max())
    padded = torch.cat([part, part.new_zeros(longest - len(part), *part.shape[1:])])
    rows: Any = trainer.strategy.all_gather(padded)  # (processes, longest, ...)
    return torch.cat([rows[i, : int(n)] for i, n in enumerate(sizes)])
