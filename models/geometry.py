"""The task behind ``--model geometry``: what every layer of a network does to the space of its inputs.

    python train.py --model geometry
    python train.py --model geometry --data.points rings --data.num_rings 2 --model.widths "[2,2,2]"

A layer φ(W x + b) with W = U Σ Vᵀ rotates or reflects (Vᵀ), scales (Σ), rotates or reflects (U), shifts (b) and bends
(φ); a W that is not square also changes the dimension. Only the bend can make classes linearly separable that were not.
Whether they are is decided at every layer by linear programming, and set beside Cover's probability that a plane exists
by chance.

Symbols: n points, d coordinates; widths of the layers d_1, d_2, ….
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.limits import check_optimiser
from models.point_network import PointNetwork, Stage, anatomy, grid_lines, look
from theory.intervals import wilson_interval
from theory.random_matrices import stable_rank


class GeometryTask(LightningModule):
    """Separates two classes of points, and shows what each layer did to the space between them.

    Args:
        class_names: Names of the two classes.
        in_features: Coordinates of a point.
        box: [low, high] of every coordinate, the extent of the grid that is drawn.
        widths: Units of each hidden layer. All 2 with tanh only bend the plane and can never cut it open.
        activation: What bends.
        lr: Peak learning rate of AdamW.
        weight_decay: Pull of the weights towards 0.
    """

    monitor, mode = "val/accuracy", "max"

    def __init__(
        self,
        class_names: list[str],
        in_features: int,
        box: list[float],
        widths: list[int] = [8, 8, 2],  # noqa: B006
        activation: Literal["tanh", "sigmoid", "relu", "leaky", "linear"] = "tanh",
        lr: float = 0.03,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_optimiser(self.hparams)
        if len(class_names) != 2:
            raise ValueError(f"geometry separates 2 classes, this data has {len(class_names)}")
        self.network = PointNetwork(in_features, widths, activation)
        self.train_points: tuple[Tensor, Tensor] | None = None
        self.counts = [0, 0]  # right answers and answers of the evaluation that runs
        self.tested = (0, 0)

    def forward(self, points: Tensor) -> Tensor:
        """Logit of class 1, shape (N,). Args: points of shape (N, in_features)."""
        logit: Tensor = self.network(points)
        return logit

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of one batch."""
        points, labels = batch
        logits = self(points)
        loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def count(self, batch: tuple[Tensor, Tensor]) -> None:
        """Adds the right answers of a batch."""
        points, labels = batch
        self.counts[0] += int(((self(points) > 0) == (labels > 0)).sum())
        self.counts[1] += len(labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts the right answers of one batch."""
        self.count(batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the accuracy."""
        right, answers = self.counts
        self.counts = [0, 0]
        self.log("val/accuracy", right / answers)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Counts the right answers of one batch."""
        self.count(batch)

    def on_test_epoch_end(self) -> None:
        """Logs the accuracy."""
        self.tested = (self.counts[0], self.counts[1])
        self.counts = [0, 0]
        self.log("test/accuracy", self.tested[0] / self.tested[1])

    def on_fit_end(self) -> None:
        """Keeps the training points, about which separability is a statement; the result is told on the CPU."""
        loader: Any = self.trainer.train_dataloader
        self.train_points = (loader.images.cpu(), loader.labels.cpu())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, its rate falling to 0 along half a cosine."""
        options = self.hparams
        optimiser = torch.optim.AdamW(self.parameters(), lr=options["lr"], weight_decay=options["weight_decay"])
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        options = self.hparams
        sizes = " → ".join(str(size) for size in [options["in_features"], *options["widths"], 1])
        return f"{sizes}, {options['activation']}, {sum(p.numel() for p in self.parameters())} parameters"

    @torch.no_grad()
    def stages(self) -> list[Stage]:
        """Every stage of the trained network, on the training points."""
        assert self.train_points is not None
        points, labels = self.train_points
        # Points that coincide must not be torn apart by rounding, nor rounding fill a dimension.
        distinct = points.cpu().double().unique(dim=0)
        exact = deepcopy(self.network).cpu().double().stages(distinct)
        return [look(stage, labels, image) for stage, image in zip(self.network.stages(points), exact, strict=True)]

    def injective(self) -> bool:
        """Whether no two points of the input space can meet: strictly increasing bends, full column ranks."""
        ranks = [
            int(torch.linalg.matrix_rank(layer.weight)) == layer.weight.shape[1] for layer in self.network.hidden()
        ]
        return self.hparams["activation"] != "relu" and all(ranks)

    @torch.no_grad()
    def rebuilt(self) -> float:
        """Largest distance between a layer's affine map and its four steps, `anatomy`, relative, in float64."""
        assert self.train_points is not None
        distances = []
        for layer, x in zip(self.network.hidden(), self.network.stages(self.train_points[0]), strict=False):
            weight, bias, x = layer.weight.double(), layer.bias.double(), x.double()
            due = x @ weight.T + bias
            distances.append(float((anatomy(weight, bias, x)[-1][1] - due).norm() / due.norm()))
        return max(distances)

    def findings(self) -> list[tuple[str, str]]:
        """Where the classes become separable, then each stage, then what is exact."""
        stages = self.stages()
        first = next((place for place, stage in enumerate(stages) if stage.plane.separable), None)
        where = "at no layer" if first is None else "as they come" if first == 0 else f"from layer {first} on"
        lines = [
            (
                "separable",
                f"{where}, by linear programming on {len(stages[0].points)} training points; "
                f"in the input space the plane of least slack has {100 * stages[0].accuracy:.1f} % right",
            )
        ]
        for place, stage in enumerate(stages):
            state = (
                "separable" if stage.plane.separable else f"{100 * stage.accuracy:.1f} % by the plane of least slack"
            )
            count, dimensions = stage.points.shape
            text = f"{dimensions} dimension{'s' * (dimensions > 1)}"
            text += f", of which the points fill {stage.dimension}" * (stage.dimension < dimensions)
            text += f", {stage.distinct} of the {count} points distinct" * (stage.distinct < count)
            text += f", {state}; by chance at most {stage.chance_in_words()} (Cover)"
            if place:
                weight = self.network.hidden()[place - 1].weight.detach()
                values = torch.linalg.svdvals(weight.double())
                text += (
                    f"; σ {float(values[0]):.2f}..{float(values[-1]):.2f}, "
                    f"rank {int(torch.linalg.matrix_rank(weight))}, stable rank {stable_rank(weight.cpu().numpy()):.2f}"
                )
            lines.append((f"layer {place}" if place else "inputs", text))
        right, answers = self.tested
        low, high = wilson_interval(right, answers)
        lines += [
            ("test accuracy", f"{100 * right / answers:.2f} % (95 % Wilson {100 * low:.2f} to {100 * high:.2f})"),
            ("U Σ Vᵀ x + b", f"rebuilds every layer to {self.rebuilt():.1e} (due: rounding, 2e-16 an operation)"),
            ("one-to-one", self.one_to_one()),
        ]
        dead = [f"{count} of {units} in layer {place}" for place, (count, units) in enumerate(self.dead(), 1) if count]
        return [*lines, ("dead units", f"{', '.join(dead)}: 0 at every training point")] if dead else lines

    @torch.no_grad()
    def dead(self) -> list[tuple[int, int]]:
        """Units of each hidden layer whose bend is flat at every training point, and units; without a flat part none.

        Such a unit is 0 everywhere, and its weights have no gradient: nothing on these points wakes it again.
        """
        assert self.train_points is not None
        stages = self.network.stages(self.train_points[0])[1:]
        flat = self.hparams["activation"] == "relu"
        return [(int((stage == 0).all(0).sum()) if flat else 0, stage.shape[1]) for stage in stages]

    @property
    def failure(self) -> str:
        """One line where a whole layer is dead: what comes behind it knows nothing of the inputs."""
        for place, (dead, units) in enumerate(self.dead(), 1):
            if dead == units:
                every = "the only unit" if units == 1 else "both units" if units == 2 else f"all {units} units"
                return (
                    f"nothing was learnt: {every} of layer {place} died, 0 at every training point and without a "
                    "gradient; --model.activation leaky has no dead units, and another --seed may have fewer"
                )
        return ""

    def one_to_one(self) -> str:
        """Whether points can meet, and why."""
        activation = self.hparams["activation"]
        if self.injective():
            if activation == "linear":
                return "yes: full column ranks; nothing bends, so no layer separates what the inputs do not"
            return "yes: full column ranks and an increasing bend; the plane is bent, never cut or folded"
        flat = " or has a flat part" * (activation == "relu")
        return f"no: a layer goes down in dimension{flat}, so points can meet"

    def final_metrics(self) -> dict[str, float]:
        """Separability, ranks and Cover's probability of each stage."""
        metrics = {"gap/svd_rebuilt": self.rebuilt()}
        for place, stage in enumerate(self.stages()):
            metrics[f"test/plane_accuracy_layer_{place}"] = stage.accuracy
            metrics[f"test/plane_slack_layer_{place}"] = stage.plane.slack
            metrics[f"theory/chance_log10_layer_{place}"] = stage.chance
        return metrics

    @torch.no_grad()
    def figures(self) -> Iterator[tuple[str, Any]]:
        """The grid through all layers, and the first layer taken apart."""
        from dashboard.geometry import anatomy_figure, layers_figure

        assert self.train_points is not None
        points, labels = self.train_points
        stages, y = self.stages(), labels.cpu().numpy()
        low, high = self.hparams["box"]
        if self.hparams["in_features"] != 2:
            yield "layers", layers_figure(stages, y, None)
            return
        lines = grid_lines(low, high).to(points.device)  # (L, T, 2)
        through = [
            part.unflatten(0, lines.shape[:2]).cpu().numpy() for part in self.network.stages(lines.flatten(0, 1))
        ]
        yield "layers", layers_figure(stages, y, through)
        layer = self.network.hidden()[0]
        steps = [("input", points), *anatomy(layer.weight, layer.bias, points)]
        grids = [("input", lines.flatten(0, 1)), *anatomy(layer.weight, layer.bias, lines.flatten(0, 1))]
        if self.hparams["activation"] != "linear":
            steps.append((f"bend, {self.hparams['activation']}", self.network.activation(steps[-1][1])))
            grids.append(("", self.network.activation(grids[-1][1])))
        yield (
            "anatomy",
            anatomy_figure(
                [name for name, _ in steps],
                [part.cpu().numpy() for _, part in steps],
                [part.unflatten(0, lines.shape[:2]).cpu().numpy() for _, part in grids],
                y,
                f"layer 1 of {len(self.network.hidden())}",
            ),
        )

    def show(self, writer: Any, step: int) -> list[str]:
        """The weights as histograms."""
        for place, layer in enumerate(self.network.hidden(), 1):
            writer.add_histogram(f"weights/layer_{place}", layer.weight.detach(), step)
        return []
