"""A finished classifier on other labelled pictures: a row for each, and what a run would say of them at its end.

The logarithms of the probabilities stand for logits in an `Outcome`: their softmax is the answer itself, temperature
and views included, so that loss and calibration are those of what ``predict.py`` answers.
"""
# N pictures, K classes

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from models.classification.evaluation import Outcome
from models.classification.findings import accuracy_text, chance_text, mistakes, unequal
from theory.calibration import calibration_floor, expected_calibration_error

COLUMNS = ("path", "truth", "label", "probability", "loss", "error")


class Picture(Protocol):
    """What `data.files.labelled.Prepared` offers."""

    path: str
    label: str
    pixels: Tensor | None
    digest: str
    cause: str | None


class Judged:
    """Collects answers on labelled pictures while their rows are made.

    Args:
        class_names: K names, in the order of the probabilities; every label is one of them.

    Attributes:
        labels: Class of each picture that could be read.
        digests: SHA-256 of their files.
        bad: Path and cause of each that could not.
    """

    def __init__(self, class_names: list[str]) -> None:
        self.class_names = class_names
        self.labels, self.digests = list[int](), list[str]()
        self.bad: list[tuple[str, str]] = []
        self._answers: list[Tensor] = []

    def rows(
        self, batches: Iterable[list[Any]], answer: Callable[[Tensor], Tensor]
    ) -> Iterator[dict[str, str | float | None]]:
        """A row with `COLUMNS` for each picture, in order.

        Args:
            batches: Pictures, each with what `Picture` has.
            answer: From uint8 (N, C, H, W) to logarithms of probabilities (N, K).
        """
        number = {name: index for index, name in enumerate(self.class_names)}
        for batch in batches:
            good: list[Picture] = [one for one in batch if one.pixels is not None]
            found: dict[str, dict[str, str | float | None]] = {}
            if good:
                answers = answer(torch.stack([one.pixels for one in good if one.pixels is not None])).float()  # (N, K)
                labels = [number[one.label] for one in good]
                self._answers.append(answers)
                self.labels += labels
                self.digests += [one.digest for one in good]
                best, guesses = answers.max(1)
                losses = -answers[torch.arange(len(good)), labels]
                columns = zip(good, guesses.tolist(), best.exp().tolist(), losses.tolist(), strict=True)
                for one, guess, probability, loss in columns:
                    row = {"label": self.class_names[guess], "probability": round(probability, 6)}
                    found[one.path] = row | {"loss": round(loss, 6)}
            for one in batch:
                if one.cause is not None:
                    self.bad.append((one.path, one.cause))
                row = found.get(one.path, {"label": None, "probability": None, "loss": None})
                yield {"path": one.path, "truth": one.label} | row | {"error": one.cause}

    def outcome(self) -> Outcome:
        """Everything that was answered so far, at least one picture."""
        answers, nothing = torch.cat(self._answers), torch.empty(0)
        return Outcome(nothing, torch.tensor(self.labels), nothing, answers, self.class_names)

    def findings(self, temperature: float) -> list[tuple[str, str]]:
        """Name and text of each line of the result, of at least one picture.

        Args:
            temperature: That the answers were made with.
        """
        outcome = self.outcome()
        lines = [("accuracy", accuracy_text(outcome)), ("beside it", chance_text(outcome)), *unequal(outcome)]
        if "loss" not in dict(lines):
            beside = f"; a classifier that knows nothing has {outcome.chance.loss:.3f}" * (outcome.num_present > 1)
            lines.append(("loss", f"{float(outcome.losses().mean()):.3f} nats{beside}"))
        lines += mistakes(outcome)
        probabilities = outcome.logits.softmax(1)
        error = expected_calibration_error(probabilities, outcome.labels)
        text = f"ECE {100 * error:.2f} % with the checkpoint's temperature {temperature:.2f}"
        if not math.isnan(error):
            floor, count = calibration_floor(probabilities.amax(1)), len(outcome.labels)
            text += f"; chance alone gives {100 * floor:.1f} % on {count} picture{'s' * (count != 1)}"
        return [*lines, ("calibration", text)]
