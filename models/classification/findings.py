"""The result of a classifier beside its references: an interval, a baseline without training, the laws of calibration.

References, from weak to strong:

* chance: a classifier that knows nothing has cross-entropy ln K and accuracy 1/K; where some classes are more frequent
  than others it has the entropy of their shares and the largest share (`models.classification.chance`);
* the nearest neighbour among the training pixels needs no training; Cover and Hart bound its error by twice the best
  possible one, so half its error is (for many pictures) a floor for any classifier of those pixels;
* the best published record, where there is one.

Source:
    Cover, Hart (1967), Nearest neighbor pattern classification. Guo et al. (2017), On calibration of modern neural
    networks. Papyan, Han, Donoho (2020), Prevalence of neural collapse. Byerly, Kalganova, Dear (2020), No routing
    needed between capsules (MNIST record of a single model without external data).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from dashboard.confusion import confusion_counts, most_confused
from models.classification.evaluation import Outcome, Point
from models.training_pictures import FewPictures
from theory.calibration import HIGHEST, LOWEST, expected_calibration_error, fit_temperature
from theory.intervals import wilson_interval
from theory.neighbours import nearest_neighbour

NOTHING = [("result", "nothing was measured: there is neither a test nor a validation set")]
MOST_CLASSES_SHOWN = 20  # in one line
PIXELS_AT_ONCE = 2**24  # of the judged pictures as float32: 64 MiB
MOST_DISTANCES = 2 * 10**10  # multiply-adds of the baseline that are worth waiting for, about a second


@dataclass
class Summary:
    """What a run found.

    Attributes:
        test: Outputs on the test pictures.
        validation: Outputs of the tested weights on the validation pictures, or None without any.
        history: Where the classes stood after each validated epoch.
        train_pictures: For a number, training pictures (N, C, H, W) and labels (N,) if there are no more, see
            `models.training_pictures`; None without training.
        reference: Best published accuracy in 0..1 and its source, or None.
        split: What ``test`` holds: ``test``, or ``val`` where there is no test set.
        chosen: Whether these pictures also chose the weights, which flatters them.
        balance: Choice of ``--data.balance``, or None where the data have no such option.
    """

    test: Outcome
    validation: Outcome | None
    history: list[Point]
    train_pictures: FewPictures | None
    reference: list[Any] | None = None
    split: str = "test"
    chosen: bool = False
    balance: str | None = None

    @cached_property
    def temperature(self) -> float | None:
        """Temperature fitted on the validation pictures; None without any."""
        fitted = self.validation if self.split == "test" else self.test
        return None if fitted is None else fit_temperature(fitted.logits, fitted.labels)

    @property
    def judged_temperature(self) -> float | None:
        """The temperature, if the judged pictures are others than those that it was fitted on."""
        return self.temperature if self.split == "test" else None

    @cached_property
    def neighbour_right(self) -> int | None:
        """Test pictures that the nearest training picture classifies rightly, or None where that would take long."""
        pixels = self.test.images[0].numel()
        few = self.train_pictures and self.train_pictures(MOST_DISTANCES // (len(self.test.images) * pixels))
        if not few or few[0].shape[1:] != self.test.images.shape[1:]:  # a loader of the user's own may hold other sizes
            return None
        images, labels = few
        guesses = [
            nearest_neighbour(part.cpu().flatten(1).float(), images.flatten(1), labels)
            for part in self.test.images.split(max(1, PIXELS_AT_ONCE // pixels))
        ]
        return int((torch.cat(guesses) == self.test.labels).sum())

    def calibration(self) -> tuple[float, float | None]:
        """ECE on the judged pictures before, and after the temperature that other pictures chose, if there were any."""
        before = expected_calibration_error(self.test.logits.float().softmax(1), self.test.labels)
        if self.judged_temperature is None:
            return before, None
        scaled = (self.test.logits.float() / self.judged_temperature).softmax(1)
        return before, expected_calibration_error(scaled, self.test.labels)

    def metrics(self) -> dict[str, float]:
        """Tags and values for ``metrics.json``."""
        total, chance = len(self.test.labels), self.test.chance
        values = {
            "theory/chance_accuracy": chance.accuracy,
            "theory/chance_loss": chance.loss,
        }
        if self.test.collapse_cosine is not None:
            values["theory/collapse_cosine"] = self.test.collapse_cosine
        if chance.loss:  # 0 where all pictures are of one class
            values["gap/loss_over_chance"] = float(self.test.losses().mean()) / chance.loss
        if self.temperature is not None:
            values[f"{self.split}/temperature"] = self.temperature
        if (after := self.calibration()[1]) is not None:
            values[f"{self.split}/ece_after_temperature"] = after
        if self.reference:
            values["theory/best_published_accuracy"] = float(self.reference[0])
            values["gap/accuracy_to_best_published"] = float(self.reference[0]) - self.test.accuracy
        if self.neighbour_right is not None:
            values["theory/nearest_neighbour_accuracy"] = self.neighbour_right / total
            if self.neighbour_right < total:
                errors = total - self.test.num_right
                values["gap/error_over_nearest_neighbour"] = errors / (total - self.neighbour_right)
        if self.history:
            values["theory/isometry_distance"] = 1.0
            values["neural_distance/start"] = self.history[0].distance
            if self.history[-1].epoch:
                values["neural_distance/last_epoch"] = self.history[-1].distance
        return values

    def findings(self) -> list[tuple[str, str]]:
        """Name and text of each line of the result."""
        total = len(self.test.labels)
        lines = [("test accuracy" if self.split == "test" else "validation accuracy", accuracy_text(self.test))]
        if self.split != "test":
            text = "the validation pictures chose nothing" + (" but the temperature" * (self.temperature is not None))
            text = "the validation pictures chose the weights too: expect less on new ones" if self.chosen else text
            lines.append(("no test pictures", text))
        beside = [chance_text(self.test)]
        if self.neighbour_right is not None:
            beside.insert(0, f"nearest neighbour on pixels {_share(self.neighbour_right, total)}")
        if self.reference:
            accuracy, source = self.reference
            beside.insert(0, f"best published {100 * accuracy:.2f} % ({source})")
        lines.append(("beside it", "; ".join(beside)))
        lines += unequal(self.test, self.balance) + mistakes(self.test, ", see MODEL_CARD.md")
        before, after = self.calibration()
        text = f"ECE {100 * before:.2f} %"
        if after is not None:
            text += f", {100 * after:.2f} % after temperature {self.temperature:.2f} (fitted on validation)"
        elif self.temperature is not None:
            text += f" before temperature {self.temperature:.2f}, which was fitted on these pictures and flatters them"
        if self.temperature == HIGHEST:
            text += (
                ", the end of its range: the logits told nothing of those, and prediction finds all classes as likely"
            )
        elif self.temperature == LOWEST:
            text += ", the end of its range: the pictures it was fitted on do not tell it"
        lines.append(("calibration", text))
        if self.history:
            start, (_, end, lowest, _, highest) = self.history[0].distance, self.history[-1]
            then = f"{end:.3f} after" if self.history[-1].epoch else "not measured after it"  # nothing was validated
            text = f"{start:.3f} before training, {then} (isometry 1, collapse 0)"
            lines.append(("neural distance", text))
            limit = (self.validation or self.test).collapse_cosine  # of the pictures that the history is of
            if limit is not None:
                lines.append(("class-mean cosines", f"{lowest:.3f} to {highest:.3f} (all {limit:.3f} at collapse)"))
        return lines


def accuracy_text(outcome: Outcome) -> str:
    """Accuracy, in counts too, with Wilson's interval."""
    total = len(outcome.labels)
    low, high = wilson_interval(outcome.num_right, total)
    return (
        f"{100 * outcome.accuracy:.2f} % ({outcome.num_right} of {total}), "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} % (Wilson)"
    )


def chance_text(outcome: Outcome) -> str:
    """Accuracy of one answer to all pictures."""
    chance = outcome.chance
    if chance.commonest is None:
        return f"chance {100 * chance.accuracy:.1f} %"
    return f"the commonest class alone {100 * chance.accuracy:.1f} % ({outcome.class_names[chance.commonest]})"


def unequal(outcome: Outcome, balance: str | None = None) -> list[tuple[str, str]]:
    """What an accuracy hides where classes are not equally frequent; nothing where they are.

    Args:
        outcome: Outputs on the judged pictures.
        balance: Choice of ``--data.balance``, or None where there is none to advise on.
    """
    chance, names = outcome.chance, outcome.class_names
    if chance.commonest is None:
        return []
    present = outcome.num_present
    if present == 1:
        return [("warning", f"all judged pictures are of one class, {names[chance.commonest]}: they tell nothing")]
    balanced = f"{100 * outcome.balanced_accuracy:.2f} %, the mean recall of {present} classes"
    loss = float(outcome.losses().mean())
    lines = [
        ("balanced accuracy", f"{balanced}; one answer to all pictures has {100 / present:.1f} %"),
        (
            "loss",
            f"{loss:.3f} nats; the shares of the classes as the answer to all pictures have {chance.loss:.3f}",
        ),
    ]
    always = f"always answering {names[chance.commonest]}"
    if outcome.accuracy <= chance.accuracy:
        advice = "; --data.balance loss or sampler lets all classes count alike" * (balance == "none")
        if balance in ("loss", "sampler"):
            gained = outcome.balanced_accuracy > 1 / present
            advice = f"; --data.balance {balance} gave the rare classes {'more' if gained else 'nothing'} for it"
        lines.append(("warning", f"by its accuracy no better than {always}{advice}"))
    elif wilson_interval(outcome.num_right, len(outcome.labels)).low <= chance.accuracy:
        lines.append(("warning", f"too few pictures to tell its accuracy from that of {always}"))
    return lines


def mistakes(outcome: Outcome, elsewhere: str = "") -> list[tuple[str, str]]:
    """Recall of every class, the lowest of them, and which classes are confused most.

    Args:
        outcome: Outputs on the judged pictures.
        elsewhere: What is added where the classes are too many for a line, such as where the others stand.
    """
    recalls = outcome.recalls()
    worst = min(recalls, key=lambda name: recalls[name][0] / recalls[name][1])
    shown = worst if worst.lower().startswith("class") else f"class {worst}"
    lines = [("lowest recall", f"{shown}: {recalls[worst][0]} of {recalls[worst][1]}, {_share(*recalls[worst])}")]
    each = [f"{name} {found}/{of}" for name, (found, of) in recalls.items()]
    rest = f" and {len(each) - MOST_CLASSES_SHOWN} more classes{elsewhere}"
    shown = ", ".join(each[:MOST_CLASSES_SHOWN]) + rest * (len(each) > MOST_CLASSES_SHOWN)
    lines.append(("found of each class", shown))
    names = outcome.class_names
    pairs = most_confused(confusion_counts(outcome.labels, outcome.guesses, len(names)), len(names) ** 2)
    if wrong := pairs[:3]:
        first = [f"{names[pair.truth]} → {names[pair.guess]} ({pair.mistakes} of {pair.total})" for pair in wrong]
        more = sum(pair.mistakes == wrong[-1].mistakes for pair in pairs[3:])
        others = f"; {more} other pair{'s' * (more > 1)} as often as the last" if more else ""
        lines.append(("most confused", ", ".join(first) + others))
    return lines


def _share(right: int, total: int) -> str:
    """A share in percent, with its Wilson interval."""
    low, high = wilson_interval(right, total)
    return f"{100 * right / total:.2f} % ({100 * low:.1f} to {100 * high:.1f} %)"
