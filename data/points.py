"""Points in classes, computed: moons, spirals, rings, and Boolean gates as clouds at the corners of a cube.

    --data points --data.points spirals --data.num_points 400 --data.noise 0.05

A set is a function of (name, number, noise, seed) alone. Labels are decided before the noise is added, so a set with
noise 0 is separable and a truth table with noise 0 is exactly that table, repeated.

Letters: N points, D coordinates.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import TensorLoader
from data.ranges import MOST_NOISE, MOST_POINTS, check_used, check_within
from data.run import order_seed, run_device
from theory.gates import GATES
from theory.seeds import mix_seed

MOST_TURNS = 100  # of a spiral of radius 1: beyond, its windings are nearer to each other than its points
Shape = Literal["xor", "xnor", "and", "or", "nand", "nor", "moons", "spirals", "rings"]


class Cloud(NamedTuple):
    """Points (float32, shape (N, D)) and the class of each (int64, shape (N,))."""

    points: Tensor
    labels: Tensor


def gate(name: str, num: int, num_inputs: int) -> Cloud:
    """Truth table of a gate, repeated until there are ``num`` points; row r holds the bits of r, first bit first."""
    rows = torch.arange(num) % 2**num_inputs
    bits = (rows[:, None] >> torch.arange(num_inputs - 1, -1, -1)) & 1  # (N, D)
    return Cloud(bits.float(), GATES[name](bits.sum(1), num_inputs).long())


def moons(num: int, generator: torch.Generator) -> Cloud:
    """Two half circles of radius 1/2 that reach into each other, within [-1, 1]²."""
    labels = torch.arange(num) % 2
    angle = torch.pi * torch.rand(num, generator=generator)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    points = torch.where(labels[:, None] == 0, upper, -upper)
    return Cloud(points * 2 / 3, labels)


def spirals(num: int, turns: float, generator: torch.Generator) -> Cloud:
    """Two Archimedean spirals from the centre to radius 1, half a turn apart; uniform in length far from the centre."""
    labels = torch.arange(num) % 2
    radius = torch.rand(num, generator=generator).sqrt()
    angle = 2 * torch.pi * turns * radius + torch.pi * labels
    return Cloud(torch.stack([radius * angle.cos(), radius * angle.sin()], 1), labels)


def rings(num: int, num_rings: int, generator: torch.Generator) -> Cloud:
    """Uniform points of [-1, 1]², the class changing at the radii 1/K, 2/K, …, (K-1)/K; outside as in the last ring."""
    points = 2 * torch.rand(num, 2, generator=generator) - 1
    ring = (points.norm(dim=1) * num_rings).floor().clamp_max(num_rings - 1)
    return Cloud(points, ring.long() % 2)


def draw(
    name: str, num: int, noise: float, seed: int, *, turns: float = 1.0, num_rings: int = 4, num_inputs: int = 2
) -> Cloud:
    """Points of a named set.

    Args:
        name: One of `Shape`.
        num: Number of points, at least 1.
        noise: Standard deviation of Gaussian noise on every coordinate, 0 or more.
        seed: Seed of everything random.
        turns: Turns of each spiral.
        num_rings: Number of rings, at least 2.
        num_inputs: Inputs of a gate, 1 to 10.

    Returns:
        ``num`` points and their classes 0 and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    if name in GATES:
        cloud = gate(name, num, num_inputs)
    elif name == "moons":
        cloud = moons(num, generator)
    elif name == "spirals":
        cloud = spirals(num, turns, generator)
    else:
        cloud = rings(num, num_rings, generator)
    shake = torch.randn(cloud.points.shape, generator=generator)
    return Cloud(cloud.points + noise * shake, cloud.labels)


class Points(LightningDataModule):
    """Two classes of points, in training, validation and test sets drawn independently.

    Args:
        points: The set: a Boolean gate (corners of the cube {0, 1}^n), moons, spirals or rings (in [-1, 1]²).
        num_points: Training points.
        num_val: Validation points; 0 for no validation set.
        num_test: Test points.
        noise: Standard deviation of Gaussian noise on every coordinate, 0 or more; 0 makes a gate its truth table.
        turns: Turns of each spiral, 0 (two straight lines) to 100.
        num_rings: Number of rings, at least 2 and at most as many as training points.
        num_inputs: Inputs of a gate, 1 to 10.
        batch_size: Points a step.
        split_seed: Seed of the points.
        seed: Seed of the order; without it the run's seed.
    """

    FACTS = ("class_names", "in_features", "box", "target", "circles")
    name = "points"

    def __init__(
        self,
        points: Shape = "xor",
        num_points: int = 400,
        num_val: int = 200,
        num_test: int = 1000,
        noise: float = 0.05,
        turns: float = 1.0,
        num_rings: int = 4,
        num_inputs: int = 2,
        batch_size: int = 40,
        split_seed: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        given = dict(locals())
        check_within(given, {
            "num_points": (2, MOST_POINTS), "num_val": (0, MOST_POINTS), "num_test": (1, MOST_POINTS),
            "batch_size": (1, math.inf), "noise": (0, MOST_NOISE), "num_inputs": (1, 10), "turns": (0, MOST_TURNS),
            "split_seed": (0, math.inf), "seed": (0, math.inf), "num_rings": (2, max(num_points, 4)),
        })  # fmt: skip
        if points != "spirals":
            check_used(given, {"turns": 1.0}, "--data.points spirals")
        if points != "rings":
            check_used(given, {"num_rings": 4}, "--data.points rings")
        if points not in GATES:
            check_used(given, {"num_inputs": 2}, f"gates ({', '.join(GATES)}); {points} lie in the plane")
        if points in GATES and num_points < 2**num_inputs:
            rows = 2**num_inputs
            raise ValueError(f"--data.num_points must be at least {rows}, the rows of the table, got {num_points}")
        self.points, self.noise, self.split_seed = points, noise, split_seed
        self.sizes = {"train": num_points, "val": num_val, "test": num_test}
        self.shape: dict[str, Any] = {"turns": turns, "num_rings": num_rings, "num_inputs": num_inputs}
        self.batch_size, self.seed = batch_size, seed
        self._parts: dict[str, Cloud] = {}

    def setup(self, stage: str | None = None) -> None:
        """Draw the points; a second call does nothing."""
        if not self._parts:
            for stream, (part, num) in enumerate(self.sizes.items()):
                seed = mix_seed(self.split_seed, stream)
                self._parts[part] = draw(self.points, num, self.noise, seed, **self.shape)

    def part(self, name: str) -> Cloud:
        """The points of "train", "val" or "test"."""
        self.setup()
        return self._parts[name]

    def facts(self) -> dict[str, Any]:
        """What a model must know.

        class_names; in_features, the number of coordinates; box [low, high] of every coordinate without the noise;
        target, the name of the set; circles, the radii around 0 at which the class of rings changes, else empty.
        """
        low, high = (-0.5, 1.5) if self.points in GATES else (-1.0, 1.0)
        dimension = self.part("train").points.shape[1]
        count = self.shape["num_rings"] if self.points == "rings" else 0
        return {
            "class_names": ["0", "1"],
            "in_features": dimension,
            "box": [low, high],
            "target": self.points,
            "circles": [ring / count for ring in range(1, count)],
        }

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts, for the start of a run and its report."""
        return {
            "name": self.points,
            "source": f"computed, noise {self.noise:g}, seed {self.split_seed}",
            "splits": dict(self.sizes),
            "classes": 2,
            "shape": f"{self.part('train').points.shape[1]} coordinates",
            "split_seed": self.split_seed,
        }

    def _loader(self, part: str, training: bool = False) -> TensorLoader:
        device = run_device(self)
        self._parts[part] = Cloud(*(tensor.to(device) for tensor in self.part(part)))
        seed = order_seed(self.seed)
        return TensorLoader(*self._parts[part], self.batch_size if training else 10_000, shuffle=training, seed=seed)

    def train_dataloader(self) -> TensorLoader:
        """Shuffled batches of the training points."""
        return self._loader("train", training=True)

    def val_dataloader(self) -> TensorLoader | list[TensorLoader]:
        """The validation points in order; an empty list, which Lightning skips, when there are none."""
        if self.sizes["val"] == 0:
            return []
        return self._loader("val")

    def test_dataloader(self) -> TensorLoader:
        """The test points in order."""
        return self._loader("test")
