"""The head of a pretrained network alone, beside the whole after its body has learnt too.

The head is fitted to what the body sees already; that the body then learns is meant to help. It may as well destroy
what it knew, above all where few pictures differ in little, so the run says which of the two is better. Both answer for
the same pictures: McNemar's exact test tells harm from chance (`theory.paired`).
"""

from typing import NamedTuple

from models.classification.evaluation import Outcome
from theory.paired import mcnemar

SURE = 0.025  # chance, at most, of a warning where the body's learning changed nothing


class HeadAlone(NamedTuple):
    """How the fitted head did on the validation pictures before the body learnt.

    Attributes:
        mistakes: Numbers of the pictures that it misjudged.
        judged: Pictures.
        loss: Mean cross-entropy in nats.
    """

    mistakes: list[int]
    judged: int
    loss: float

    @classmethod
    def of(cls, outcome: Outcome) -> "HeadAlone":
        """From the outputs of a validation."""
        return cls(_mistakes(outcome), len(outcome.labels), float(outcome.losses().mean()))

    @property
    def right(self) -> int:
        """Pictures classified rightly."""
        return self.judged - len(self.mistakes)

    def metrics(self) -> dict[str, float]:
        """Tags and values for ``metrics.json``."""
        return {"head/val_accuracy": self.right / self.judged, "head/val_loss": self.loss}

    def chance_of_harm(self, after: Outcome) -> float:
        """Probability of as much harm, or more, where the body's learning was of no account; in 0..1.

        Args:
            after: Outputs on the same pictures in the same order.
        """
        before, now = set(self.mistakes), set(_mistakes(after))
        return mcnemar(len(now - before), len(before - now), "greater")

    def findings(self, after: Outcome, mirrors: bool) -> list[tuple[str, str]]:
        """Both beside each other, and a warning where the body's learning did harm beyond chance.

        Args:
            after: Validation of the weights that the run keeps.
            mirrors: Whether training saw mirror images.
        """
        said = (
            f"{100 * self.right / self.judged:.2f} % of the validation pictures ({self.right} of {self.judged}) before "
            f"the body learnt, {100 * after.accuracy:.2f} % ({after.num_right}) after it"
        )
        if self.chance_of_harm(after) > SURE:
            return [("head alone", said)]
        advice = ", and --data.flip 0 where left is not right" if mirrors else ""
        text = f"training the body did harm: --model.tune head keeps the head; else try a smaller --lr{advice}"
        return [("head alone", said), ("warning", text)]


def _mistakes(outcome: Outcome) -> list[int]:
    found: list[int] = (outcome.guesses != outcome.labels).nonzero().flatten().tolist()
    return found
