"""Deep against wide at the same budget, and the linear regions that each of them has, counted exactly.

    python train.py --model deep-vs-wide                               rings in a square, 48 neurons in 1 to 6 layers
    python train.py --model deep-vs-wide --data depth-targets          a sawtooth, which depth is made for
    python train.py --model deep-vs-wide --data digits                 on the plane through three training digits
    python train.py --model deep-vs-wide --model.budget parameters --model.activation leaky_relu

Every shape is trained ten times from different random starts, all networks of a shape as one tensor programme. Regions
are counted before, while and after they train (``theory.regions``), beside what mathematics says: one layer of n units
cuts a plane into 1 + n + C(n, 2) regions at most, deep ones can have exponentially more, and at random have as many.

Letters: S networks of each shape, N points, D numbers of an input, K outputs.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from models.depth.checkpoint import given_networks
from models.depth.counting import TRIANGLE, Slice, check_view
from models.depth.history import History, bounds_of, counting_epochs
from models.depth.results import Result
from models.depth.shapes import parameters, picture_inputs, same_budget, shape_name
from models.depth.stack import Stack
from models.limits import MOST_COPIES, MOST_LAYERS, MOST_UNITS, check_within
from models.pixels import from_the_start, unit_range
from models.resuming import resumes
from theory.regions.planar_map import TooManyRegionsError

MOST_REGIONS = 1_000_000_000  # of one network: a terabyte of corners
Batch = tuple[Tensor, Tensor]  # inputs (N, …), classes (N,) int64 or values (N,) float


class DeepVsWideTask(LightningModule):
    """Trains shapes of equal budget and counts their linear regions.

    Args:
        class_names: Names of the classes; none for a function to approximate.
        in_features: Numbers of an input; from the data.
        box: Low and high end of every input; from the data.
        target: What the data is called; from the data.
        circles: Radii at which the true class changes, where it is that of rings; from the data.
        in_channels: Channels of pictures; from the data.
        image_size: Height and width of pictures; from the data.
        neurons: Hidden neurons of each network, or of the one-layer network whose parameters set the budget.
        depths: Numbers of hidden layers to compare; 1 is the widest.
        budget: What all shapes have equally many of: neurons, or (at most) parameters.
        num_networks: Networks of each shape, from different random starts; 2 and more give a deviation.
        activation: relu or leaky_relu.
        slope: Slope of leaky_relu below zero, above -1 and below 1.
        lr: Learning rate of Adam at the start; it falls to 0 as a cosine.
        view: Low and high end of the coordinates on which regions are counted; without it the box, or, for inputs of
            more than two numbers, [-0.25, 1.25] on the plane through three training points, which lie at 0 and 1.
        max_regions: Counting a network is given up beyond so many regions.
        checkpoint: A run folder or checkpoint whose networks' regions are counted on the same slice: of deep-vs-wide,
            of mlp (with data of one input), or of another model of Linear, ReLU and LeakyReLU layers.
    """

    FROM_DATA = ("in_features", "box", "target", "circles", "in_channels", "image_size")
    PLACES = ("checkpoint",)
    CONDITIONS = (
        (("model.slope",), lambda o: o["model.activation"] == "leaky_relu", "only for --model.activation leaky_relu"),
    )
    monitor, mode = "val/loss", "min"
    plane: Tensor
    stacks: Any  # ModuleList of Stack

    def __init__(
        self,
        class_names: list[str],
        in_features: int = 0,
        box: list[float] = [],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        target: str = "",
        circles: list[float] = [],  # noqa: B006
        in_channels: int = 1,
        image_size: list[int] = [],  # noqa: B006
        neurons: int = 48,
        depths: list[int] = [1, 2, 3, 6],  # noqa: B006
        budget: Literal["neurons", "parameters"] = "neurons",
        num_networks: int = 10,
        activation: Literal["relu", "leaky_relu"] = "relu",
        slope: float = 0.2,
        lr: float = 0.01,
        view: list[float] = [],  # noqa: B006
        max_regions: int = 1_000_000,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if image_size:
            in_features = picture_inputs(in_channels, image_size)
        check_within(self.hparams, {"num_networks": (1, MOST_COPIES), "max_regions": (1, MOST_REGIONS),
                                    "neurons": (1, MOST_UNITS), "depths": (1, MOST_LAYERS), "lr": (0, 10, "(]"),
                                    "slope": (-1, 1, "()")})  # fmt: skip
        if in_features < 1:
            raise ValueError(f"in_features must be at least 1, got {in_features}")
        self.slope = slope if activation == "leaky_relu" else 0.0
        self.num_outputs = len(class_names) or 1
        self.shapes = same_budget(budget, neurons, depths, in_features, self.num_outputs)
        self.stacks = torch.nn.ModuleList(
            Stack(num_networks, [in_features, *widths, self.num_outputs], self.slope) for widths in self.shapes
        )
        self.register_buffer("plane", torch.zeros(3, in_features))
        self.view = check_view(view, box if in_features <= 2 else [0.0, 1.0]) or (
            list(box) if in_features <= 2 else list(TRIANGLE)
        )
        self.given = given_networks(checkpoint, in_features) if checkpoint else {}
        self.history = History()
        if in_features <= 2:
            self.check_limit()
        self.errors: list[list[float]] = []
        self.trained: list[list[float]] = []  # regions of the networks that are tested, by shape
        self.samples: Any = None  # test points and values of a function of one number
        self.sums = torch.zeros(0)

    def check_limit(self) -> None:
        """Counts one random network of each shape, before anything is trained.

        Raises:
            ValueError: If it has more regions than ``max_regions``, with the count so far.
        """
        try:
            for stack in self.stacks:
                self.where().count(stack.layers(0))
        except TooManyRegionsError as error:
            raise ValueError(f"--model.max_regions {self.hparams['max_regions']}: {error}") from error

    def where(self) -> Slice:
        """The slice on which regions are counted."""
        plane = self.plane.detach().cpu().double().numpy() if self.plane.shape[1] > 2 else None
        low, high = self.view
        return Slice(low, high, min(self.plane.shape[1], 2), self.hparams["max_regions"], plane)

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs as rows of numbers, pictures on the scale 0..1. Args: x (N, …). Returns: (N, D)."""
        return unit_range(x.flatten(1))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats, or mean squared error, of each network. Args: outputs (S, N, K). Returns: (S,)."""
        if self.hparams["class_names"]:
            every = targets.expand(len(outputs), -1)
            return F.cross_entropy(outputs.transpose(1, 2), every, reduction="none").mean(1)
        return (outputs[..., 0] - targets).square().mean(1)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before the first step: chooses the plane, and counts the regions of the random start."""
        if self.history.epochs or self.trainer.global_step:
            return
        if self.plane.shape[1] > 2:
            points, labels = first_batches(self.trainer.train_dataloader, 3)
            self.plane.copy_(three_points(self.inputs(points), labels))
        self.history.add(0, list(self.stacks), self.where())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss summed over all networks, which do not influence each other."""
        x = self.inputs(batch[0])
        losses = torch.stack([self.losses(stack(x), batch[1]) for stack in self.stacks])  # (shapes, S)
        self.log("train/loss", losses.detach().mean())
        return losses.sum()

    def on_train_epoch_end(self) -> None:
        """Counts regions after some of the epochs."""
        epoch = self.current_epoch + 1
        if epoch in counting_epochs(self.trainer.max_epochs or epoch):
            self.history.add(epoch, list(self.stacks), self.where())
            for widths, counts in zip(self.shapes, self.history.counts[-1], strict=True):
                self.log(f"regions/depth_{len(widths)}", sum(counts) / len(counts))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Mean loss of all networks."""
        x = self.inputs(batch[0])
        self.log("val/loss", torch.stack([self.losses(stack(x), batch[1]).mean() for stack in self.stacks]).mean())

    def on_test_start(self) -> None:
        """Nothing has been tested yet."""
        self.sums = torch.zeros(len(self.shapes), self.hparams["num_networks"] + 1, device=self.device)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Wrong classes or squared distances of every network, and the number of points."""
        x = self.inputs(batch[0])
        if x.shape[1] == 1 and not self.hparams["class_names"] and batch_idx == 0:
            order = x[:, 0].argsort()
            self.samples = (x[order, 0].cpu().numpy(), batch[1][order].cpu().numpy())
        for place, stack in enumerate(self.stacks):
            outputs = stack(x)
            if self.hparams["class_names"]:
                missed = (outputs.argmax(2) != batch[1]).float().sum(1)
            else:
                missed = (outputs[..., 0] - batch[1]).square().sum(1)
            self.sums[place, :-1] += missed
            self.sums[place, -1] += len(x)

    def on_test_epoch_end(self) -> None:
        """Error of each shape: share of wrong classes, or root mean square; and the regions of these networks."""
        errors = self.sums[:, :-1] / self.sums[:, -1:]
        self.errors = (errors if self.hparams["class_names"] else errors.sqrt()).tolist()
        for widths, values in zip(self.shapes, self.errors, strict=True):
            self.log(f"test/error_depth_{len(widths)}", sum(values) / len(values))
        now = History()  # the weights that are tested need not be the last ones
        now.add(self.current_epoch, list(self.stacks), self.where())
        self.trained, self.history.most = now.counts[0], now.most or self.history.most

    def configure_optimizers(self) -> Any:
        """Adam, which treats every number by itself, so that networks trained together are as if trained alone."""
        optimiser = torch.optim.Adam(self.parameters(), lr=self.hparams["lr"])
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the counts so far."""
        checkpoint["regions"] = self.history.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the counts so far."""
        if resumes(self):
            self.history = History.of(checkpoint["regions"])

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        inputs = self.plane.shape[1]
        sizes = [f"{shape_name(w)} ({parameters(w, inputs, self.num_outputs):,} parameters)" for w in self.shapes]
        count = self.hparams["num_networks"]
        return f"{count} network{'s' * (count > 1)} of each shape: {', '.join(sizes)}"

    def result(self) -> Result:
        """Everything the run found."""
        where = self.where()
        return Result(
            shapes=self.shapes,
            errors=self.errors,
            trained=self.trained,
            history=self.history,
            bounds=[bounds_of(widths, where, self.slope) for widths in self.shapes],
            where=where,
            classifies=bool(self.hparams["class_names"]),
            target=self.hparams["target"],
            given=self.given,
            samples=self.samples,
            circles=self.hparams["circles"],
        )

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        return self.result().findings()

    def final_metrics(self) -> dict[str, float]:
        """Errors, counts, bounds and gaps by depth."""
        return self.result().metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Figures of the run; see `models.depth.pictures`."""
        from models.depth.pictures import pictures

        yield from pictures(self.result(), list(self.stacks))

    def show(self, writer: Any, step: int) -> list[str]:
        """Regions of the networks of each shape, as histograms."""
        for widths, counts in zip(self.shapes, torch.tensor(self.trained), strict=True):
            if torch.isfinite(counts).all():
                writer.add_histogram(f"regions/all_of_depth_{len(widths)}", counts, step)
        return []


def first_batches(loader: Any, least: int) -> Batch:
    """The first batches of the training together: as many as it takes for ``least`` points, where there are so many."""
    batches: list[Batch] = []
    for batch in from_the_start(loader):
        batches.append(batch)
        if sum(len(labels) for _, labels in batches) >= least:
            break
    points, labels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    return points, labels


def three_points(points: Tensor, labels: Tensor) -> Tensor:
    """The first three points, of different classes where there are three. Args: (N, D), (N,). Returns: (3, D)."""
    first = (
        [int((labels == label).nonzero()[0]) for label in labels.unique()[:3]] if not labels.is_floating_point() else []
    )
    rest = [index for index in range(len(points)) if index not in first]
    return points[torch.tensor((first + rest)[:3], device=points.device)]
