"""Perceptrons: what one threshold unit can do, what it cannot, and two hidden units that can.

python train.py --model perceptron                                    XOR: no line, but 2-2-1
python train.py --model perceptron --data.points and                  a line, within Novikoff's bound
python train.py --model perceptron --data.points xor --data.num_inputs 3 --model.hidden 3

One run learns the points twice: by Rosenblatt's rule with one layer, and by gradient descent with a hidden layer, from
several random starts at once, because a small network may get stuck. Whether any line separates the training points is
decided by linear programming before the first step.

Source:
    McCulloch and Pitts (1943); Rosenblatt (1958); Novikoff (1962); Minsky and Papert (1969), Perceptrons.
"""
# S starts, N points, D coordinates, H hidden units

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F

from dashboard.perceptron import Line, decision_figure, learning_figure, separable_figure
from dashboard.style import counted
from models.limits import HIGHEST_RATE, Range, check_within
from models.resuming import training_loader
from theory.gates import GATES, truth_table
from theory.intervals import wilson_interval
from theory.separability import separating_plane
from theory.threshold import (
    UNITS,
    as_labels,
    best_agreement,
    corners,
    count_separable,
    extended,
    fires,
    most_rows,
    novikoff_bound,
    rosenblatt,
    update,
)

MOST_HIDDEN = 10_000  # each is drawn as a line of its own, and sees every point
MOST_STARTS = 1_000  # networks of up to so many units, trained together
Batch = tuple[Tensor, Tensor]  # points (N, D), classes 0 and 1 (N,)


class Perceptrons(nn.Module):
    """Networks D-H-1 with tanh units, as many as there are starts; they do not influence each other.

    Args:
        starts: S.
        in_features: D.
        hidden: H.
    """

    def __init__(self, starts: int, in_features: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(starts, hidden, in_features) * 2 / in_features**0.5)
        self.bias = nn.Parameter(torch.randn(starts, hidden))
        self.out = nn.Parameter(torch.randn(starts, hidden) / hidden**0.5)
        self.shift = nn.Parameter(torch.zeros(starts, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of class 1, shape (S, N). Args: points (N, D)."""
        units = torch.tanh(torch.einsum("shd,nd->snh", self.weight, 2 * x - 1) + self.bias[:, None])  # (S, N, H)
        return torch.einsum("snh,sh->sn", units, self.out) + self.shift


class PerceptronTask(LightningModule):
    """Learns points in two classes by Rosenblatt's rule and by networks with one hidden layer.

    Args:
        in_features: Coordinates of a point.
        target: Name of the set; a gate has a truth table.
        box: [low, high] of every coordinate, for the figure.
        hidden: Units of the hidden layer, 1 to 10,000; 2 suffice for XOR.
        starts: Networks trained at once from different weights, 1 to 1,000; the one of the least training loss is
            reported.
        lr: Learning rate of Adam, above 0 and at most 1000.
    """

    monitor, mode = "val/loss", "min"
    plane: Tensor
    mistakes: Tensor
    losses: Tensor

    def __init__(
        self,
        in_features: int,
        target: Literal["xor", "xnor", "and", "or", "nand", "nor", "moons", "spirals", "rings"],
        box: list[float],
        hidden: int = 2,
        starts: int = 20,
        lr: float = 0.05,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        ranges: dict[str, Range] = {
            "hidden": (1, MOST_HIDDEN), "starts": (1, MOST_STARTS), "lr": (0, HIGHEST_RATE, "(]")
        }  # fmt: skip
        check_within(self.hparams, ranges)
        self.seed = torch.initial_seed()  # of the random starts; told in the title of a figure
        self.networks = Perceptrons(starts, in_features, hidden)
        self.register_buffer("plane", torch.zeros(in_features + 1, dtype=torch.float64))  # Rosenblatt's (w, b)
        self.register_buffer("mistakes", torch.zeros((), dtype=torch.int64))
        self.register_buffer("losses", torch.zeros(starts))  # of each start, a running mean over the steps
        self.bound = float("nan")  # Novikoff's, of the training points; infinite where no plane separates them
        self.separable = False
        self.batches: list[Batch] = []  # of the test
        self.tested: Batch | None = None

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Curves beside the losses of TensorBoard's overview; see `trainer.contract.Task`."""
        return {"accuracy": {"val/accuracy": None}}

    def on_fit_start(self) -> None:
        """What one layer can do with the training points is decided before it tries."""
        batches = list(training_loader(self))
        points, classes = (torch.cat(tensors).cpu() for tensors in zip(*batches, strict=True))
        inputs, labels = points.double().numpy(), 2.0 * classes.numpy() - 1
        self.separable = separating_plane(inputs, labels).separable
        self.bound = novikoff_bound(inputs, labels) if self.separable else float("inf")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of class 1 by the best network, shape (N,). Args: points (N, D)."""
        logits: Tensor = self.networks(x)[self.losses.argmin()]
        return logits

    def one_layer(self, x: Tensor) -> Tensor:
        """Whether Rosenblatt's unit says class 1, shape (N,)."""
        return x.double() @ self.plane[:-1] + self.plane[-1] > 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One pass of Rosenblatt's rule over the batch, and the summed loss of all networks."""
        x, y = batch
        plane, mistakes = update(self.plane.cpu().numpy(), x.double().cpu().numpy(), 2.0 * y.cpu().numpy() - 1)
        self.plane.copy_(torch.from_numpy(plane))
        self.mistakes += mistakes
        losses = losses_of(self.networks(x), y)  # (S,)
        self.losses.lerp_(losses.detach(), 0.1)
        self.log_dict({"train/loss": losses.detach().min(), "train/mistakes": float(mistakes)})
        return losses.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and accuracy of the best network."""
        x, y = batch
        logits = self(x)
        loss = F.binary_cross_entropy_with_logits(logits, y.float())
        accuracy = ((logits > 0) == (y == 1)).float().mean()
        self.log_dict({"val/loss": loss, "val/accuracy": accuracy}, batch_size=len(x))

    def on_test_start(self) -> None:
        """Nothing has been tested yet."""
        self.batches = []

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Accuracy of both on the test points."""
        x, y = batch
        self.batches.append((x.cpu(), y.cpu()))
        metrics = {"test/accuracy": (self(x) > 0) == (y == 1), "test/accuracy_one_layer": self.one_layer(x) == (y == 1)}
        self.log_dict({name: right.float().mean() for name, right in metrics.items()}, batch_size=len(x))

    def on_test_epoch_end(self) -> None:
        """Puts the batches together."""
        points, classes = (torch.cat(tensors) for tensors in zip(*self.batches, strict=True))
        self.tested, self.batches = (points, classes), []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, whose step does not depend on how many networks are summed."""
        return torch.optim.Adam(self.networks.parameters(), lr=self.hparams["lr"])

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        starts = self.hparams["starts"]
        return f"{starts} network{'s' * (starts > 1)} {self.sizes()} and one threshold unit by Rosenblatt's rule"

    def sizes(self) -> str:
        """Such as 2-2-1."""
        return f"{self.hparams['in_features']}-{self.hparams['hidden']}-1"

    def table(self) -> int | None:
        """The truth table of the points' gate, or None."""
        target = self.hparams["target"]
        return truth_table(target, self.hparams["in_features"]) if target in GATES else None

    @torch.no_grad()
    def corners_right(self) -> tuple[int, int, int]:
        """Rows of the truth table right: by the best network, by Rosenblatt's unit, and starts that get all right."""
        n, table = self.hparams["in_features"], self.table()
        assert table is not None
        x = torch.tensor(corners(n), dtype=torch.float32, device=self.device)
        due = torch.tensor(as_labels(table, n) > 0, device=self.device)
        solved = ((self.networks(x) > 0) == due).all(1).sum()
        return int(((self(x) > 0) == due).sum()), int((self.one_layer(x) == due).sum()), int(solved)

    def final_metrics(self) -> dict[str, float]:
        """Mistakes, rows of the truth table and counts beside what they must be."""
        n, table = self.hparams["in_features"], self.table()
        metrics = {"test/mistakes": float(self.mistakes), "theory/separable": float(self.separable)}
        if self.separable:
            metrics |= {"theory/mistakes": self.bound, "gap/mistakes": float(self.mistakes) / self.bound}
        if table is not None:
            network, unit, solved = self.corners_right()
            # One hidden unit, then a threshold: a half space, as of a threshold unit.
            due = most_rows(self.hparams["target"], n) if self.hparams["hidden"] == 1 else 2**n
            metrics |= {"test/rows_right": network, "theory/rows_right": due, "test/rows_right_one_layer": unit}
            metrics["test/starts_solved"] = solved
            if n <= 4:
                metrics["theory/rows_right_one_layer"] = best_agreement(table, n)
        metrics |= {f"theory/separable_{bits}_bits": count for bits, count in counts().items()}
        return {name: float(value) for name, value in metrics.items()}

    def findings(self) -> list[tuple[str, str]]:
        """The network, the one layer, the preset units and the counts."""
        assert self.tested is not None
        metrics, n, lines = self.final_metrics(), self.hparams["in_features"], []
        size, starts = len(self.tested[0]), self.hparams["starts"]
        accuracy = {name: int((right == (self.tested[1] == 1)).sum()) for name, right in self.answers().items()}
        low, high = wilson_interval(accuracy["network"], size)
        text = f"test accuracy {accuracy['network'] / size:.4f} (95 % interval {low:.4f} to {high:.4f})"
        if "test/rows_right" in metrics:
            due = metrics["theory/rows_right"]
            why = "" if due == 2**n else " (one hidden unit parts the inputs by a plane, as one layer does)"
            text = (f"{metrics['test/rows_right']:.0f} of {2**n} rows of the truth table right, due {due:.0f}{why}; "
                    f"{text}; {metrics['test/starts_solved']:.0f} of {counted(starts, 'start')} "
                    f"get{'s' * (starts == 1)} every row right")  # fmt: skip
        lines.append((f"network {self.sizes()}", text))
        made = counted(int(self.mistakes), "mistake")
        if self.separable:
            text = f"a plane separates the training points: {made}, bound (R/γ)² = {self.bound:.1f}"
        else:
            text = f"no plane separates the training points (by linear programming); {made}"
        if "theory/rows_right_one_layer" in metrics:
            text += (f"; {metrics['test/rows_right_one_layer']:.0f} of {2**n} rows right, at most "
                     f"{metrics['theory/rows_right_one_layer']:.0f} are possible")  # fmt: skip
        lines.append(("one layer", f"{text}; test accuracy {accuracy['one layer'] / size:.4f}"))
        right = {name: rows_right(name) for name in UNITS}
        texts = [f"{name.upper()} {count} of {due} rows" for name, (count, due) in right.items()]
        lines.append(("preset weights", ", ".join(texts)))
        texts = [f"{name.upper()} {made} ≤ {bound:.1f}" for name, (made, bound) in learned_gates().items()]
        lines.append(("mistakes ≤ (R/γ)²", ", ".join(texts)))
        texts = [f"{count} of {2**2**bits} for {bits} bits" for bits, count in counts().items()]
        lines.append(("one unit computes", ", ".join(texts) + " (due 14, 104, 1882)"))
        return lines

    @torch.no_grad()
    def answers(self) -> dict[str, Tensor]:
        """Whether each test point is said to be of class 1, shape (N,)."""
        assert self.tested is not None
        x = self.tested[0].to(self.device)
        return {"network": (self(x) > 0).cpu(), "one layer": self.one_layer(x).cpu()}

    @torch.no_grad()
    def figures(self) -> Iterator[tuple[str, Any]]:
        """Decision lines in the plane, mistakes beside their bound, and how few functions one unit computes."""
        assert self.tested is not None
        metrics = self.final_metrics()
        if self.hparams["in_features"] == 2:
            low, high = self.hparams["box"]
            side = torch.linspace(low, high, 201, device=self.device)
            grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), 2)  # (201, 201, 2)
            best, networks = self.losses.argmin(), self.networks
            # A unit's line: w·(2x − 1) + b = 0, that is 2w·x + b − Σw = 0.
            weight, bias = networks.weight[best].cpu().numpy(), networks.bias[best].cpu().numpy()
            units: list[Line] = [(2 * w[0], 2 * w[1], b - w.sum()) for w, b in zip(weight, bias, strict=True)]
            points, classes = (tensor.numpy() for tensor in self.tested)
            logits = self(grid.reshape(-1, 2)).reshape(201, 201).cpu().numpy()
            accuracy = {name: float((a == (self.tested[1] == 1)).float().mean()) for name, a in self.answers().items()}
            yield "decision", decision_figure(
                points, classes, side.cpu().numpy(), logits, units, tuple(self.plane.tolist()),
                name=f"{self.hparams['target'].upper()} (seed {self.seed})", accuracy=accuracy,
                separable=self.separable,
            )  # fmt: skip
        gates = learned_gates()
        yield "mistakes", learning_figure(list(gates), *map(list, zip(*gates.values(), strict=True)))
        yield "separable", separable_figure({bits: int(metrics[f"theory/separable_{bits}_bits"]) for bits in (2, 3, 4)})

    def show(self, writer: Any, step: int) -> list[str]:
        """Rosenblatt's weights as text."""
        weights = ", ".join(f"{value:.3g}" for value in self.plane.tolist())
        writer.add_text("weights/one_layer", f"(w, b) = ({weights})", step)
        return []


def losses_of(logits: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of each network, shape (S,). Args: logits (S, N), classes (N,)."""
    return F.binary_cross_entropy_with_logits(logits, y.float().expand_as(logits), reduction="none").mean(1)


def rows_right(name: str) -> tuple[int, int]:
    """Rows of its truth table that a unit with preset weights gets right, and how many there are."""
    weights, threshold = UNITS[name]
    n = len(weights)
    due = as_labels(truth_table("nor" if name == "not" else name, n), n) > 0  # NOT is NOR of one input
    return int((fires(corners(n), np.array(weights), threshold) == due).sum()), 2**n


def learned_gates() -> dict[str, tuple[int, float]]:
    """Mistakes of Rosenblatt's rule on the truth tables that a line separates, and their bounds."""
    found = {}
    for name in ("and", "or", "nand", "nor"):
        labels = as_labels(truth_table(name, 2), 2)
        plane, mistakes = rosenblatt(corners(2), labels, passes=1000)
        assert (labels * (extended(corners(2)) @ plane) > 0).all()
        found[name] = mistakes, novikoff_bound(corners(2), labels)
    return found


def counts() -> dict[int, int]:
    """How many Boolean functions of 2, 3 and 4 bits one unit computes, by linear programming."""
    return {bits: count_separable(bits) for bits in (2, 3, 4)}
