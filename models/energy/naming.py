"""From machines to names: which steps train what, which pictures have a label, and what the test found.

Letters: N pictures, C chains, V visible units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.energy.bounds import Depth
from theory.intervals import wilson_interval
from theory.paired import mcnemar


def pretraining_steps(total: int, share: float) -> int:
    """Steps that a share of the run comes to; at least one is left for fine-tuning."""
    return min(int(share * total), total - 1)


def phase(step: int, total: int, layers: int, share: float) -> tuple[int, float]:
    """What a step trains.

    Args:
        step: From 0.
        total: Steps of the run.
        layers: Machines.
        share: Part of the steps spent on them, evenly, in [0, 1).

    Returns:
        The layer, or ``layers`` for fine-tuning, and how far that phase has come, in [0, 1).
    """
    pretraining = pretraining_steps(total, share)
    if step >= pretraining:
        return layers, (step - pretraining) / max(total - pretraining, 1)
    layer, rest = divmod(step * layers, pretraining)
    return layer, rest / pretraining


def choose_labelled(labels: Tensor, count: int, seed: int) -> Tensor:
    """Places of pictures whose label is used, equally many of each class.

    Args:
        labels: Of all training pictures, shape (N,).
        count: How many are wanted, a multiple of the number of classes.
        seed: Of the choice.

    Returns:
        int64 on the CPU, shape (count,).

    Raises:
        ValueError: If a class has fewer pictures than its share.
    """
    sizes = labels.unique(return_counts=True)[1]
    least = int(sizes.min())
    if count > least * len(sizes):
        raise ValueError(
            f"--model.labels must be at most {least * len(sizes):,}: the smallest of the {len(sizes)} classes has "
            f"{least:,} of the {len(labels):,} training pictures; got {count}"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels.cpu()[order]
    # Rank within the class: pictures of rank 0 come first, then those of rank 1, …
    ranks = torch.zeros(len(labels), dtype=torch.int64)
    for label in shuffled.unique():
        where = (shuffled == label).nonzero()[:, 0]
        ranks[where] = torch.arange(len(where))
    return order[ranks.argsort(stable=True)[:count]]


@dataclass(frozen=True)
class Names:
    """What the test found.

    Attributes:
        right: For ``pretrained`` and, when compared, ``random``: whether each test picture was named, shape (N,).
        depths: The bound after each layer.
        dreams: Probabilities of pixels in samples of the network, shape (C, V).
        pretraining: Whether the machines were trained; else ``pretrained`` started at random too.
    """

    right: dict[str, Tensor]
    depths: list[Depth]
    dreams: Tensor
    pretraining: bool = True

    def errors(self, name: str) -> tuple[int, int]:
        """Pictures misnamed, and all."""
        return int((~self.right[name]).sum()), len(self.right[name])

    def advantage(self) -> tuple[int, int, float]:
        """Pictures only the pretrained one names, only the other one names, and McNemar's exact p-value."""
        one, other = self.right["pretrained"], self.right["random"]
        gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
        return gained, lost, mcnemar(gained, lost)

    def metrics(self) -> dict[str, float]:
        """Tags of the test."""
        values = {}
        for name in self.right:
            wrong, count = self.errors(name)
            values["test/error" if name == "pretrained" else "test/error_random"] = wrong / count
        low, high = wilson_interval(*self.errors("pretrained"))
        values |= {"test/accuracy": 1 - values["test/error"], "test/error_low": low, "test/error_high": high}
        for number, depth in enumerate(self.depths, 1):
            values[f"test/bound_{number}_layers"] = depth.bound
            if depth.log_z is not None:
                values[f"test/log_z_effective_chains_{number}_layers"] = depth.log_z.effective
        return values

    def beside(self, record_error: float | None, num_classes: int) -> dict[str, float]:
        """Theory and gaps."""
        values = {"theory/chance_error": 1 - 1 / num_classes}
        if "random" in self.right:
            values["gap/error_pretrained_random"] = self.metrics()["test/error"] - self.metrics()["test/error_random"]
        if record_error is not None:
            values |= {
                "theory/error_published": record_error,
                "gap/error_published": self.metrics()["test/error"] - record_error,
            }
        if len(self.depths) > 1:
            values["gap/bound_last_first_layer"] = self.depths[-1].bound - self.depths[0].bound
        return values

    def findings(self, record_error: float | None, record_source: str) -> list[tuple[str, str]]:
        """Lines of the result."""
        wrong, count = self.errors("pretrained")
        low, high = wilson_interval(wrong, count)
        interval = f"95 % Wilson interval {100 * low:.2f} to {100 * high:.2f} %"
        lines = [("test error", f"{100 * wrong / count:.2f} % ({wrong} of {count:,}; {interval})")]
        if "random" in self.right:
            other, _ = self.errors("random")
            gained, lost, p = self.advantage()
            name, winner = ("started at random", "pretraining") if self.pretraining else ("second start", "the first")
            text = f"{100 * other / count:.2f} %, same pictures and steps; {winner} wins {gained} test pictures "
            lines.append((name, f"{text}and loses {lost} (McNemar p = {p:.2g})"))
        if record_error is not None:
            lines.append(("published", f"{100 * record_error:.2f} % ({record_source})"))
        for number, depth in enumerate(self.depths, 1):
            name = "log-likelihood, 1 layer" if number == 1 else f"bound, {number} layers"
            lines.append((name, f"{depth.bound:.2f} nats a test picture, its pixels drawn once ({depth.how})"))
        return lines
