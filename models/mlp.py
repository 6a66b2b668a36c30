"""The task behind ``--model mlp``: one hidden layer approximates any continuous function, with a certificate.

    python train.py --model mlp                                            widths 8 to 64 on a wave with a front
    python train.py --model mlp --data.function "exp(-x)*sin(9*x)" --model.hidden 32
    python train.py --model mlp --model.activation tanh --data.function runge

A ReLU network of one hidden layer is a broken line. The best broken line of N pieces has an error that can be bounded
from below exactly (``theory.segmentation``); the run says how far from that bound its networks end. It trains them by
variable projection on their knots (``models.approximation.knots``) and, beside it, as people do: all weights by Adam and
by L-BFGS. Other activations are trained by variable projection too, without a floor, or with one if polynomial.
"""

# W widths, S seeds, M samples, T places of the test

import math
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from models.approximation.descent import LBFGS, Adam
from models.approximation.family import BROKEN_LINES, Activation, Family
from models.approximation.gauss_newton import GaussNewton
from models.approximation.knots import evaluate
from models.approximation.reference import Floors, find_floors, notes_on, one_network
from models.approximation.results import Method, Result
from models.approximation.search import SplineSearch
from theory.seeds import mix_seed

ADAM_STEPS = 10  # for each round of the other searches
MOST_WIDTH = 512
DESCENT_SAMPLES, PROJECTION_SAMPLES = 512, 1024


class Rounds(torch.optim.Optimizer):
    """Lightning counts an optimiser's steps; here a step is one round of all searches, given as the closure."""

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """One round."""
        return closure() if closure is not None else None


class MLPTask(LightningModule):
    """Approximates a function by networks of one hidden layer.

    Args:
        function: Name or formula of the function.
        low: Left end of its interval.
        high: Right end.
        num_inputs: 1 or 2 variables.
        noisy: The values to learn from carry noise.
        widths: Units N of the networks, trained together, 1 to 512 each.
        hidden: One width instead of ``widths``.
        seeds: Networks of each width from different random starts, 1 to 50.
        activation: relu, leaky_relu (slope 0.2), sigmoid, tanh, sin, gaussian, gelu, or polynomial.
        degree: Degree of the activation polynomial, 1 to 20.
        method: varpro (linear weights solved for, the others by Levenberg and Marquardt), adam or lbfgs (all weights).
        compare: With varpro, also train by Adam and L-BFGS on all weights.
        lr: Learning rate of Adam at the start; it falls to 0.
        rounds: Rounds in all, by which Adam's rate falls; epochs times ``--data.steps``.
    """

    monitor, mode = "val/loss", "min"

    def __init__(
        self,
        function: str,
        low: float,
        high: float,
        num_inputs: int,
        noisy: bool,
        widths: list[int] = [8, 16, 32, 64],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        hidden: int | None = None,
        seeds: int = 3,
        activation: Activation = "relu",
        degree: int = 4,
        method: Literal["varpro", "adam", "lbfgs"] = "varpro",
        compare: bool = True,
        lr: float = 0.01,
        rounds: int = 300,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.widths = check_widths(widths, hidden)
        for name, value, least, most in (
            ("seeds", seeds, 1, 50), ("degree", degree, 1, 20), ("rounds", rounds, 1, 10**7), ("lr", lr, 1e-9, 100),
        ):  # fmt: skip
            if not least <= value <= most:
                raise ValueError(f"--model.{name} must be {least:g} to {most:g}, got {value}")
        self.lines = method == "varpro" and activation in BROKEN_LINES and num_inputs == 1
        self.spline = SplineSearch(self.widths, seeds, noisy, self.seed(0)) if self.lines else None
        descents = ["adam", "lbfgs"] if method == "varpro" and compare else [method]
        self.adam = Adam(self.family(1, torch.float32), lr, ADAM_STEPS * rounds) if "adam" in descents else None
        self.lbfgs = LBFGS(self.family(2)) if "lbfgs" in descents else None
        projected = method == "varpro" and not self.lines
        self.newton = GaussNewton(self.family(3, spread=activation != "polynomial")) if projected else None
        # What the optimiser is told of; its step is a round of the searches above.
        self.anchor = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.seconds = dict.fromkeys(("spline", "newton", "adam", "lbfgs"), 0.0)
        self.steps = 0
        self.floors: Floors | None = None
        self.result: Result | None = None
        self.drawn: dict[str, Any] = {}

    def seed(self, stream: int) -> int:
        """Seed of one of the searches, from the run's own."""
        return mix_seed(torch.initial_seed(), stream)

    def family(self, stream: int, dtype: torch.dtype = torch.float64, spread: bool = False) -> Family:
        """Networks of every width and seed."""
        options = self.hparams
        return Family(
            self.widths, options["seeds"], options["activation"], options["num_inputs"], options["degree"], spread,
            self.seed(stream) % 2**62, dtype,
        )  # fmt: skip

    def bounds(self, batch: Any) -> Floors:
        """Floors of every width on the noiseless samples; found once."""
        if self.floors is None:
            options = self.hparams
            started = time.perf_counter()
            self.floors = find_floors(batch, self.widths, options["activation"], options["degree"])
            self.seconds["spline"] += time.perf_counter() - started
        return self.floors

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One round of every search; gives the mean of the squared errors relative to the function's variance."""
        x, y = batch[0], batch[1]
        optimizer: Any = self.optimizers()
        loss: Tensor = optimizer.step(lambda: self.round(x, y, batch))
        self.steps += 1
        self.log("train/loss", loss.mean())
        return loss.mean()

    def round(self, x: Tensor, y: Tensor, batch: Any) -> Tensor:
        """One round; the main method's least mean squared error of each width over the variance, shape (W,)."""
        errors = None
        if self.spline is not None:
            floors = [0.0] * len(self.widths) if self.hparams["noisy"] else self.bounds(batch).values or []
            with self.clock("spline"):
                errors = self.spline.step(x, y, floors)
        centre, scale = y.mean(), deviation(y)
        if self.newton is not None:
            part = subset(len(x), PROJECTION_SAMPLES, x)
            with self.clock("newton"):
                errors = self.best_of(self.newton.step(x[part], y[part]))
        part = subset(len(x), DESCENT_SAMPLES, x)
        places, values = x[part], (y[part] - centre) / scale  # standardised, as people do
        for name, search in (("adam", self.adam), ("lbfgs", self.lbfgs)):
            if search is not None:
                with self.clock(name):
                    found = search.step(places, values, *([ADAM_STEPS] if name == "adam" else []))
                errors = self.best_of(found.double() * scale**2) if errors is None else errors
        assert errors is not None
        return errors / scale**2

    def best_of(self, losses: Tensor) -> Tensor:
        """Least of the seeds' losses (P,) of each width, shape (W,)."""
        return losses.view(len(self.widths), -1).amin(1)

    def clock(self, name: str) -> "Stopwatch":
        """Adds the seconds of a block to those of a search."""
        return Stopwatch(self.seconds, name)

    def on_train_epoch_end(self) -> None:
        """Logs where the main method stands beside its floor."""
        batch = self.trainer.train_dataloader.batch  # type: ignore[union-attr]
        floors = self.bounds(batch).values
        errors = [float(row.min()) for row in self.predictions(batch)[0][1].errors]
        for place, (width, error) in enumerate(zip(self.widths, errors, strict=True)):
            self.log(f"train/rms_{width}", error)
            if floors is not None:
                self.log(f"theory/floor_{width}", floors[place])

    def predictions(self, batch: Any) -> list[tuple[Tensor, Method]]:
        """Values on the samples (W, S, M) and errors of every method, the main one first."""
        x, y, clean = batch[0], batch[1], batch[2]
        centre, scale = y.mean(), deviation(y)
        found: list[tuple[Tensor, str, int, str]] = []
        if self.spline is not None:
            lines = [evaluate(line.knots[None], line.values[None], x) for line in self.spline.best(x, y)]
            found.append((torch.stack(lines), "free knots", int(self.spline.rounds), "spline"))
        for name, key, search in (("free weights", "newton", self.newton), ("Adam", "adam", self.adam),
                                  ("L-BFGS", "lbfgs", self.lbfgs)):  # fmt: skip
            if search is not None:
                with torch.no_grad():
                    values = search.family(x).double().view(len(self.widths), -1, len(x))
                values = values if key == "newton" else centre + scale * values
                found.append((values, name, self.steps * (ADAM_STEPS if key == "adam" else 1), key))
        return [
            (values, Method(name, (values - clean).square().mean(2).sqrt().cpu().numpy(), steps, self.seconds[key]))
            for values, name, steps, key in found
        ]

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Errors beside floors, on the samples and between them."""
        x, y, clean, test_x, test_y = batch
        floors, options = self.bounds(batch), self.hparams
        (values, main), *others = self.predictions(batch)
        best = torch.from_numpy(main.errors.argmin(1)).to(x.device)
        chosen = values[torch.arange(len(values)), best]  # (W, M)
        lines = self.spline.best(x, y) if self.spline is not None else []
        slope = BROKEN_LINES.get(options["activation"], 0.0)
        networks = [one_network(line, slope, options["low"], options["high"]) for line in lines]
        real = options["low"] + (options["high"] - options["low"]) * x
        gap = max((float((net(real[:, None])[:, 0] - f).abs().max()) for net, f in zip(networks, chosen, strict=True)),
                  default=None) if lines else None  # fmt: skip
        if lines:
            between = torch.cat([evaluate(line.knots[None], line.values[None], test_x) for line in lines])
        else:
            search = next(search for search in (self.newton, self.adam, self.lbfgs) if search is not None)
            with torch.no_grad():
                all_values = search.family(test_x).double().view(len(self.widths), -1, len(test_x))
            all_values = all_values if self.newton is not None else y.mean() + deviation(y) * all_values
            between = all_values[torch.arange(len(all_values)), best]
        variance = float((y - clean).square().mean())
        noise = [math.sqrt(1 + 2 * n * variance / (len(x) * f * f)) for n, f in zip(self.widths, floors.values, strict=True)
                 if f > 0] if options["noisy"] and lines and floors.values else []  # fmt: skip
        starts = {}
        if self.spline is not None and int(self.spline.generation) > 0 and not options["noisy"]:
            ends = self.spline.first_error.view(len(self.widths), -1).sqrt().cpu().numpy()
            starts = dict(zip(self.spline.names, ends.T, strict=True))
        self.result = Result(
            options["function"], self.widths, len(x), float(deviation(clean)), main, [method for _, method in others],
            floors.values, floors.name, [float(error) for error in (between - test_y).square().mean(1).sqrt()], starts,
            floors.constant, gap, noise if len(noise) == len(self.widths) else [],
            notes_on(options["function"], lines, batch, chosen, options["low"], options["high"]),
        )  # fmt: skip
        self.drawn = {"batch": batch, "chosen": chosen, "lines": lines, "networks": networks}
        self.log_dict({tag: v for tag, v in self.result.metrics().items() if tag.startswith("test/")}, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Counts the rounds."""
        return Rounds([self.anchor], {"lr": self.hparams["lr"]})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was spent."""
        checkpoint["spent"] = {"seconds": self.seconds, "steps": self.steps}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        self.seconds, self.steps = dict(checkpoint["spent"]["seconds"]), checkpoint["spent"]["steps"]

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        options = self.hparams
        count = [search for search in (self.spline, self.newton, self.adam, self.lbfgs) if search is not None]
        return (
            f"one hidden layer of {', '.join(map(str, self.widths))} {options['activation']} units, "
            f"{options['seeds']} seeds, {len(count)} method{'s' * (len(count) > 1)} side by side"
        )

    def findings(self) -> list[tuple[str, str]]:
        """The result and its certificate."""
        assert self.result is not None
        return self.result.findings()

    def final_metrics(self) -> dict[str, float]:
        """Errors, floors and gaps."""
        assert self.result is not None
        return self.result.metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Fit with knots and error band; errors over N; knots on their way; the units one by one."""
        assert self.result is not None
        from models.approximation.pictures import pictures

        yield from pictures(self.result, self.drawn, self.spline, self.hparams["low"], self.hparams["high"])

    def show(self, writer: Any, step: int) -> list[str]:
        """Gaps between the knots, as histograms."""
        for width, line in zip(self.widths, self.drawn.get("lines", []), strict=False):
            writer.add_histogram(f"weights/knots_{width}", line.knots, step)
        return []


class Stopwatch:
    """Adds the wall time of a block to an entry. Args: seconds, the entries; name, of the entry."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self.name] += time.perf_counter() - self.started


def check_widths(widths: list[int], hidden: int | None) -> list[int]:
    """The widths to train, ascending.

    Raises:
        ValueError: If one is not 1 to 512, or there is none.
    """
    option, chosen = ("hidden", [hidden]) if hidden is not None else ("widths", sorted(set(widths)))
    if not chosen or not all(1 <= width <= MOST_WIDTH for width in chosen):
        raise ValueError(
            f"--model.{option} must be 1 to {MOST_WIDTH} units, got {hidden if hidden is not None else widths}"
        )
    return chosen


def deviation(y: Tensor) -> Tensor:
    """Standard deviation of the values, 1 where they are constant."""
    spread = y.std(correction=0)
    return torch.where(spread > 1e-12 * y.abs().max().clamp_min(1e-300), spread, torch.ones_like(spread))


def subset(size: int, wanted: int, x: Tensor) -> Tensor | slice:
    """About ``wanted`` of ``size`` samples: every k-th of a line, a fixed random choice of a surface."""
    if size <= wanted:
        return slice(None)
    if x.ndim == 1:
        stride = size // wanted
        return slice(stride // 2, None, stride)
    return torch.randperm(size, generator=torch.Generator().manual_seed(0))[: 4 * wanted].to(x.device)
