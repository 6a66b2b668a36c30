"""The head of a pretrained network alone, beside the whole after its body has learnt too.

The head is fitted to what the body sees already; that the body then learns is meant to help. It may as well destroy
what it knew, above all where few pictures differ in little, so the run says which of the two is better.
"""

from typing import NamedTuple

from models.classification.evaluation import Outcome
from theory.intervals import wilson_interval


class HeadAlone(NamedTuple):
    """How the fitted head did on the validation pictures before the body learnt.

    Attributes:
        right: Pictures classified rightly.
        judged: Pictures.
        loss: Mean cross-entropy in nats.
    """

    right: int
    judged: int
    loss: float

    @classmethod
    def of(cls, outcome: Outcome) -> "HeadAlone":
        """From the outputs of a validation."""
        return cls(outcome.num_right, len(outcome.labels), float(outcome.losses().mean()))

    def metrics(self) -> dict[str, float]:
        """Tags and values for ``metrics.json``."""
        return {"head/val_accuracy": self.right / self.judged, "head/val_loss": self.loss}

    def findings(self, after: Outcome, mirrors: bool) -> list[tuple[str, str]]:
        """Both beside each other, and a warning where the body's learning did harm beyond chance.

        Args:
            after: Validation of the weights that the run keeps.
            mirrors: Whether training saw mirror images.
        """
        right, judged = after.num_right, len(after.labels)
        before, now = self.right / self.judged, right / judged
        said = (
            f"{100 * before:.2f} % of the validation pictures ({self.right} of {self.judged}) before the body learnt, "
            f"{100 * now:.2f} % ({right}) after it"
        )
        if before <= wilson_interval(right, judged)[1]:
            return [("head alone", said)]
        advice = ", and --data.flip 0 where left is not right" if mirrors else ""
        text = f"training the body did harm: --model.tune head keeps the head; else try a smaller --lr{advice}"
        return [("head alone", said), ("warning", text)]
