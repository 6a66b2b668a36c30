"""What a loss asks for: trained on the same samples, each loss ends at another number.

python train.py --model losses
python train.py --model losses --data.probabilities "[0.02, 0.5, 0.5]"

One number for each group is learned by gradient descent: by the absolute error (the group's median), by the squared
error and half of it (the mean), by the cross entropy (the share of label 1, where the loss is the entropy H(y|x)). All
these ends are known from the samples, and the losses on fresh samples from their distributions.

Source:
    Laplace (1774); Gauss (1809); Good (1952).
"""
# K groups, N samples

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from dashboard.curves import beside_theory_figure
from dashboard.losses import minimisers_figure
from models.limits import POSITIVE, check_within
from models.optimisation import with_schedule
from models.resuming import training_loader
from theory.losses import (
    absolute_error,
    binary_entropy,
    cross_entropy,
    half_squared_error,
    logit_gradient,
    squared_error,
    swapped_cross_entropy,
)
from theory.strata import stratified_mean

Batch = tuple[Tensor, Tensor, Tensor]  # group (N,), number (N,), label (N,)
NUMBERS = {"absolute": absolute_error, "squared": squared_error, "half-squared": half_squared_error}
NOWHERE = 0.5  # of the distance from 0 to the minimiser: a loss that leaves more has not learned
SAID = {"absolute": "medians", "squared": "means", "half-squared": "means", "cross-entropy": "shares of label 1"}


def as_text(value: float) -> str:
    """Such as 1.2037, or 6.889e-10 where four decimals would not show it; never -0."""
    return f"{value:.4g}" if 0 < abs(value) < 1e-3 else f"{value + 0.0:.4f}"


class LossesTask(LightningModule):
    """Learns one number for each group by four losses side by side.

    Args:
        means: Mean of the exponential numbers of each group.
        probabilities: Probability of label 1 in each group.
        lr: Learning rate at the start, above 0, usually 0.1 to 0.5; it falls linearly to 0. It is that of the absolute
            error, counted in units of the mean size of a group's numbers, and of the squared error; the half-squared
            error takes twice as much and the cross entropy 8 times. Above 1 the squared error overshoots and grows at
            first; from 2.296 on it ends farther away than it began.
    """

    monitor, mode = "train/loss", "min"

    def __init__(self, means: list[float], probabilities: list[float], lr: float = 0.4) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_within(self.hparams, {"lr": POSITIVE})
        groups = len(means)
        self.numbers = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(groups, dtype=torch.float64)) for name in NUMBERS}
        )
        self.logits = nn.Parameter(torch.zeros(groups, dtype=torch.float64))
        self.register_buffer("apart", torch.zeros((), dtype=torch.float64))  # squared and half-squared, at most
        self.train_batch: Batch | None = None
        self.tested: Batch | None = None

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        return {name: {f"train/{name}": None, f"theory/{name}": floor} for name, floor in self.floors().items()}

    def predictions(self) -> dict[str, Tensor]:
        """What each loss has learned for each group, shape (K,)."""
        learned = {name: value.detach() for name, value in self.numbers.items()}
        return {**learned, "cross-entropy": torch.sigmoid(self.logits.detach())}

    def sizes(self, group: Tensor, number: Tensor) -> Tensor:
        """Mean size of the numbers of each group, shape (K,). Args: of the samples, shape (N,) each."""
        none = torch.zeros(len(self.logits), dtype=number.dtype, device=number.device)
        return none.index_add(0, group, number.abs()) / torch.bincount(group, minlength=len(none)).clamp_min(1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Each loss on a batch, scalars."""
        group, number, label = batch
        numbers = {name: self.numbers[name] for name in NUMBERS}
        # The same numbers, whose gradient is that of the loss in units of the group's size, times that unit.
        still = numbers["absolute"].detach()
        numbers["absolute"] = still + self.sizes(group, number) * (numbers["absolute"] - still)
        found = {name: loss(numbers[name][group], number) for name, loss in NUMBERS.items()}
        return {**found, "cross-entropy": cross_entropy(torch.sigmoid(self.logits)[group], label)}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of all losses; their parameters are not shared."""
        self.train_batch = batch
        losses = self.losses(batch)
        with torch.no_grad():
            distance = (self.numbers["squared"] - self.numbers["half-squared"]).abs().max()
            apart = self.get_buffer("apart")
            apart.copy_(torch.maximum(apart, distance))
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        total: Tensor = torch.stack(list(losses.values())).sum()
        self.log("train/loss", total.detach())
        return total

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Gradient descent whose rate falls to 0, because the absolute error has a slope right up to its minimum."""
        rate = self.hparams["lr"] * len(self.logits)  # a group has a K-th of the samples
        groups = [
            {"params": [self.numbers["absolute"], self.numbers["squared"]], "lr": rate},
            {"params": [self.numbers["half-squared"]], "lr": 2 * rate},
            {"params": [self.logits], "lr": 8 * rate},  # curvature f(1 − f) ≤ 1/4, that of the squared error is 2
        ]
        optimizer = torch.optim.SGD(groups, lr=rate)
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        return with_schedule(optimizer, lambda step: 1 - step / steps)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Each loss on fresh samples."""
        if self.train_batch is None:
            self.train_batch = next(iter(training_loader(self)))
        self.tested = batch
        self.log_dict({f"test/{name}": loss for name, loss in self.losses(batch).items()}, batch_size=len(batch[0]))

    def on_test_end(self) -> None:
        """What is kept goes to the CPU, as the task does then: the result is told there."""
        assert self.train_batch is not None
        assert self.tested is not None
        self.train_batch, self.tested = (
            (group.cpu(), number.cpu(), label.cpu()) for group, number, label in (self.train_batch, self.tested)
        )

    def due(self) -> dict[str, Tensor]:
        """The minimiser of each loss on the training samples, shape (K,)."""
        assert self.train_batch is not None
        group, number, label = self.train_batch
        members = [group == place for place in range(len(self.logits))]
        mean = torch.stack([number[own].mean() for own in members])
        return {
            "absolute": self.numbers["absolute"].detach().clamp(*self.medians()),  # of all minimisers the nearest
            "squared": mean,
            "half-squared": mean,
            "cross-entropy": torch.stack([label[own].mean() for own in members]),
        }

    def medians(self) -> tuple[Tensor, Tensor]:
        """First and last minimiser of the absolute error on the training samples, shape (K,).

        As many samples lie to the left as to the right of every point between the two middle ones of an even number.
        """
        assert self.train_batch is not None
        group, number, _ = self.train_batch
        own = [number[group == place].sort().values for place in range(len(self.logits))]
        return torch.stack([one[(len(one) - 1) // 2] for one in own]), torch.stack([one[len(one) // 2] for one in own])

    def floors(self) -> dict[str, float]:
        """The least loss on fresh samples that any prediction from the group can have on average.

        Exponential numbers of mean m: E|y − m ln 2| = m ln 2, and the variance is m². Labels: the entropy H(y|x).
        """
        means, shares = self.hparams["means"], self.hparams["probabilities"]
        average = lambda values: math.fsum(values) / len(values)
        square = average([mean**2 for mean in means])
        return {
            "absolute": average([mean * math.log(2) for mean in means]),
            "squared": square,
            "half-squared": square / 2,
            "cross-entropy": average([binary_entropy(p) for p in shares]),
        }

    @torch.no_grad()
    def excess(self) -> dict[str, float]:
        """Each loss on the training samples over that of its exact minimiser there."""
        assert self.train_batch is not None
        group, number, label = self.train_batch
        due, reached = self.due(), self.losses(self.train_batch)
        best = {name: loss(due[name][group], number) for name, loss in NUMBERS.items()}
        best["cross-entropy"] = cross_entropy(due["cross-entropy"][group], label)
        return {name: float(reached[name] - best[name]) for name in reached}

    @torch.no_grad()
    def judged(self) -> dict[str, tuple[float, float]]:
        """Each loss on the test samples and its standard error."""
        assert self.tested is not None
        group, number, label = self.tested
        f = {name: value[group] for name, value in self.predictions().items()}
        each = {
            "absolute": (f["absolute"] - number).abs(),
            "squared": (f["squared"] - number).square(),
            "half-squared": (f["half-squared"] - number).square() / 2,
            "cross-entropy": -(torch.xlogy(label, f["cross-entropy"]) + torch.xlogy(1 - label, 1 - f["cross-entropy"])),
        }
        return {name: stratified_mean(loss, group, len(self.logits)) for name, loss in each.items()}

    def gradient_gap(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, autograd's dL/dz of the cross entropy at y = 1, and σ(z) − y, each of shape (41,)."""
        z = torch.linspace(-8, 8, 41, dtype=torch.float64).requires_grad_()
        one = torch.ones_like(z)
        (slope,) = torch.autograd.grad(cross_entropy(torch.sigmoid(z), one) * len(z), z)
        return z.detach(), slope, logit_gradient(z.detach(), one)

    def final_metrics(self) -> dict[str, float]:
        """Distances from the minimisers, excess losses, test losses over their floors."""
        metrics, due, floors, excess = {}, self.due(), self.floors(), self.excess()
        for name, value in self.predictions().items():
            metrics[f"gap/minimiser_{name}"] = float((value - due[name]).abs().max())
            metrics[f"gap/excess_{name}"] = excess[name]
            metrics[f"theory/{name}"] = floors[name]
        _, slope, formula = self.gradient_gap()
        metrics["gap/gradient"] = float((slope - formula).abs().max())
        metrics["gap/half_squared_path"] = float(self.get_buffer("apart"))
        return metrics

    def findings(self) -> list[tuple[str, str]]:
        """Where each loss ended and where it must, its value on fresh samples, and the misprint."""
        due, floors, judged, excess = self.due(), self.floors(), self.judged(), self.excess()
        lines = []
        for name, value in self.predictions().items():
            ends, dues = (", ".join(map(as_text, numbers.tolist())) for numbers in (value, due[name]))
            if name == "absolute":
                pairs = zip(*(edge.tolist() for edge in self.medians()), strict=True)
                dues = ", ".join(as_text(low) + f" to {as_text(high)}" * (low < high) for low, high in pairs)
            loss, error = judged[name]
            about = "" if math.isnan(error) else f" ± {as_text(error)}"
            lines.append((name, f"learned {ends}; due, the {SAID[name]}: {dues} (excess loss {excess[name]:.1e}); on "
                                f"fresh samples {loss:.4f}{about}, floor {floors[name]:.4f}"))  # fmt: skip
        apart = float(self.get_buffer("apart"))
        lines.append(("half of it", f"with twice the rate the half-squared error took the path of the squared one, "
                                    f"at most {apart:.1g} apart"))  # fmt: skip
        _, slope, formula = self.gradient_gap()
        gap = float((slope - formula).abs().max())
        lines.append(("gradient", f"dL/dz of the cross entropy is σ(z) − y, largest difference {gap:.1g}"))
        assert self.train_batch is not None
        group, _, label = self.train_batch
        printed = float(swapped_cross_entropy(torch.sigmoid(self.logits.detach())[group], label))
        told = "infinite" if math.isinf(printed) else "undefined"
        lines.append(("as printed", f"with y and f exchanged the cross entropy of these predictions is {told}: nothing "
                                    "could be learned from it"))  # fmt: skip
        return lines

    @property
    @torch.no_grad()
    def failure(self) -> str:
        """One line where a number ended further from the minimiser of its loss than it began, or less than half way."""
        due = self.due()
        away = {name: ((value - due[name]).abs() / due[name].abs().clamp_min(1e-300)).max()
                for name, value in self.predictions().items() if name in NUMBERS}  # fmt: skip
        worst = max(away, key=lambda name: float(away[name].nan_to_num(math.inf)))
        if away[worst] <= NOWHERE:
            return ""
        rate = f"--lr {self.hparams['lr']:g}"
        if away[worst] <= 1:
            left = f"{100 * float(away[worst]):.0f} % of the way to a minimiser is left"
            return f"the {worst} error is less than half way there, {left}: more --epochs or more than {rate} help"
        return (
            f"the {worst} error ended further from its minimiser than it began: {rate} is too large, see --model.help"
        )

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        groups = len(self.logits)
        return f"one number for each of {groups} group{'s' * (groups > 1)}, by {len(SAID)} losses"

    @torch.no_grad()
    def figures(self) -> Iterator[tuple[str, Any]]:
        """Both errors over f with their minima, the cross entropy over f, and the gradient in the logit."""
        assert self.train_batch is not None
        group, number, label = (tensor.cpu() for tensor in self.train_batch)
        own = group == len(self.logits) // 2
        f = torch.linspace(0, 2.5 * float(number[own].mean()), 200, dtype=torch.float64)
        p = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
        curves = {name: torch.stack([loss(one.expand(int(own.sum())), number[own]) for one in f]).numpy()
                  for name, loss in NUMBERS.items()}  # fmt: skip
        entropy = torch.stack([cross_entropy(one.expand(int(own.sum())), label[own]) for one in p]).numpy()
        place = len(self.logits) // 2
        low, high = self.medians()
        between = float(low[place]), float(high[place])
        yield "minimisers", minimisers_figure(
            f.numpy(), curves, p.numpy(), entropy,
            due={name: float(value[place]) for name, value in self.due().items()},
            learned={name: float(value[place]) for name, value in self.predictions().items()},
            floor=binary_entropy(float(label[own].mean())), medians=between if between[0] < between[1] else None,
            subject=f"group {place + 1} of {len(self.logits)}" if len(self.logits) > 1 else "",
        )  # fmt: skip
        with torch.enable_grad():
            z, slope, formula = self.gradient_gap()
        yield "gradient", beside_theory_figure(
            z.numpy(), slope.numpy(), formula.numpy(), x_label="logit z", y_label="dL/dz at y = 1",
            subject="gradient of the cross entropy by autograd", theory_name="σ(z) − y",
        )  # fmt: skip

    def show(self, writer: Any, step: int) -> list[str]:
        """What was learned, as numbers for each group."""
        for name, value in self.predictions().items():
            for place, one in enumerate(value.tolist()):
                writer.add_scalar(f"learned/{name}", one, place)
        return []
