"""The task behind ``--model mlp``: one hidden layer approximates any continuous function, with a certificate.

    python train.py --model mlp                                            widths 8 to 64 on a wave with a front
    python train.py --model mlp --data.function "exp(-x)*sin(9*x)" --model.hidden 32
    python train.py --model mlp --model.activation tanh --data.function runge

A ReLU network of one hidden layer is a broken line. The best broken line of N pieces has an error that can be bounded
from below exactly (``theory.segmentation``); the run says how far from that bound its networks end. It trains them by
variable projection on their knots (``models.approximation.knots``) and, beside it, as people do: all weights by Adam
and by L-BFGS. Other activations are trained by variable projection too, without a floor, or with one if polynomial.
"""

# W widths, S seeds, M samples, T places of the test

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from models.approximation.family import BROKEN_LINES, Activation, count_numbers
from models.approximation.measure import Drawing, measure
from models.approximation.pictures import pictures
from models.approximation.reference import Floors, find_floors, one_network
from models.approximation.results import Result
from models.approximation.search import Line
from models.approximation.searches import Searches
from models.limits import MOST_STEPS, check_within

MOST_WIDTH = 512
MOST_NUMBERS = 4096


class Rounds(torch.optim.Optimizer):
    """Lightning counts an optimiser's steps; here a step is one round of all searches, given as the closure."""

    def step(self, closure: Any = None) -> Any:
        """One round."""
        return closure() if closure is not None else None


class MLPTask(LightningModule):
    """Approximates a function by networks of one hidden layer, or of several.

    Args:
        function: Name or formula of the function.
        low: Left end of its interval.
        high: Right end.
        num_inputs: 1 or 2 variables.
        noisy: The values to learn from carry noise.
        widths: Units N of each hidden layer of the networks, trained together, 1 to 512 each.
        hidden: One width instead of ``widths``.
        seeds: Networks of each width from different random starts, 1 to 50.
        depth: Hidden layers of N units each, 1 to 8; broken lines, and so their floor, are those of one.
        activation: relu, leaky_relu (slope 0.2), sigmoid, tanh, sin, gaussian, gelu, or polynomial.
        degree: Degree of the activation polynomial, 1 to 20.
        method: varpro (linear weights solved for, the others by Levenberg and Marquardt), adam or lbfgs (all weights).
        compare: With varpro, also train by Adam and L-BFGS on all weights.
        lr: Learning rate of Adam at the start; it falls to 0.
        rounds: Rounds in which Adam's rate falls to 0; by default all of the run, epochs times ``--data.steps``.
    """

    CONDITIONS = (
        (
            ("model.widths",),
            lambda o: o["model.hidden"] is None,
            "--model.hidden {0[model.hidden]} replaces them",
        ),
        (("model.degree",), lambda o: o["model.activation"] == "polynomial", "only for --model.activation polynomial"),
        (
            ("model.compare",),
            lambda o: o["model.method"] == "varpro" or not o["model.compare"],
            "only with --model.method varpro; {0[model.method]} runs alone",
        ),
        (
            ("model.lr", "model.rounds"),
            lambda o: o["model.method"] == "adam" or (o["model.method"] == "varpro" and o["model.compare"]),
            "Adam's, which does not run here: --model.method adam, or varpro with --model.compare true",
        ),
    )
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
        rounds: int | None = None,
        depth: int = 1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.widths = check_widths(widths, hidden)
        check_within(self.hparams, {
            "seeds": (1, 50), "degree": (1, 20), "rounds": (1, MOST_STEPS), "lr": (1e-9, 100), "depth": (1, 8),
        })  # fmt: skip
        numbers = count_numbers(self.widths[-1], num_inputs, depth)
        if method == "varpro" and numbers > MOST_NUMBERS:
            raise ValueError(
                f"--model.depth {depth} with {self.widths[-1]} units a layer is a network of {numbers:,} numbers; "
                f"--model.method varpro solves for at most {MOST_NUMBERS:,}: fewer units or layers, or adam or lbfgs"
            )
        self.searches = Searches(
            self.widths,
            seeds=seeds,
            activation=activation,
            degree=degree,
            num_inputs=num_inputs,
            noisy=noisy,
            method=method,
            compare=compare,
            lr=lr,
            rounds=math.inf if rounds is None else rounds,
            seed=torch.initial_seed(),
            depth=depth,
        )
        # What Lightning is told of; a step of the optimiser is a round of the searches.
        self.anchor = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.floors: Floors | None = None
        self.result: Result | None = None
        self.drawing: Drawing | None = None

    def bounds(self, batch: Any) -> Floors:
        """Floors of every width on the noiseless samples; found once, on the clock of the broken lines."""
        if self.floors is None:
            with self.searches.clock("spline"):
                options = self.hparams
                function = options["function"] if (options["low"], options["high"]) == (0, 1) else ""
                self.floors = find_floors(
                    batch, self.widths, options["activation"], options["degree"], options["depth"], function
                )
        return self.floors

    def on_train_start(self) -> None:
        """Lets Adam's rate fall over the whole run, however many epochs it has, unless ``rounds`` says otherwise."""
        if self.hparams["rounds"] is None:
            self.searches.plan(self.trainer.estimated_stepping_batches)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One round of every search; gives the mean over the widths of squared error over variance."""
        # With noise the floors belong to values that training must not see.
        floors = None if self.hparams["noisy"] else self.bounds(batch).values
        x, y = batch[0], batch[1]
        optimizer: Any = self.optimizers()
        errors: Tensor = optimizer.step(lambda: self.searches.step(x, y, floors or [0.0] * len(self.widths)))
        self.log("train/loss", errors.mean())
        self.latest = (errors, y)
        return errors.mean()

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        known = not self.hparams["noisy"]  # its floors belong to values that training must not see
        charts: dict[str, dict[str, float | None]] = {}
        for width in self.widths:
            floor = {f"theory/floor_{width}": None} if known else {}
            charts[f"error with {width} unit{'s' * (width > 1)}"] = {f"train/rms_{width}": None, **floor}
        return charts

    def on_train_epoch_end(self) -> None:
        """Logs where the main method stands, beside its floor."""
        errors, y = self.latest
        rms = (errors.sqrt() * y.std(correction=0)).tolist()
        floors = self.floors.values if self.floors is not None else None
        for place, (width, error) in enumerate(zip(self.widths, rms, strict=True)):
            self.log(f"train/rms_{width}", error)
            if floors is not None:
                self.log(f"theory/floor_{width}", floors[place])

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Errors beside floors, on the samples and between them."""
        self.result, self.drawing = measure(self.searches, batch, self.bounds(batch), self.hparams)
        self.result.notes += self.searches.notes()
        metrics = {tag: value for tag, value in self.result.metrics().items() if tag.startswith("test/")}
        self.log_dict(metrics, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Counts the rounds."""
        return Rounds([self.anchor], {"lr": self.hparams["lr"]})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was spent."""
        checkpoint["spent"] = {"seconds": self.searches.seconds, "rounds": self.searches.rounds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        self.searches.seconds = dict(checkpoint["spent"]["seconds"])
        self.searches.rounds = checkpoint["spent"]["rounds"]

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        options = self.hparams
        count = len(list(self.searches.children()))
        layers = "one hidden layer" if options["depth"] == 1 else f"{options['depth']} hidden layers"
        return (
            f"{layers} of {', '.join(map(str, self.widths))} {options['activation']} unit{'s' * (self.widths != [1])}, "
            f"{options['seeds']} seed{'s' * (options['seeds'] > 1)}, {count} method{'s side by side' * (count > 1)}"
        )

    def saved_networks(self) -> dict[str, nn.Sequential]:
        """The networks that a checkpoint holds, by name, of the function's own variable.

        Raises:
            ValueError: If they are no broken lines.
        """
        options, spline = self.hparams, self.searches.spline
        if spline is None:
            given = ", ".join(f"{name} {options[name]}" for name in ("num_inputs", "activation", "method", "depth"))
            raise ValueError(
                f"{given}; of --model mlp those of one input, relu or leaky_relu, varpro, depth 1 are read"
            )
        slope = BROKEN_LINES[options["activation"]]
        lines = [
            Line(knots[: width + 1], values[: width + 1], 0.0)
            for width, knots, values in zip(self.widths, spline.best_knots, spline.best_values, strict=True)
        ]
        low, high = options["low"], options["high"]
        return {f"N = {len(line.knots) - 1}": one_network(line, slope, low, high) for line in lines}

    def findings(self) -> list[tuple[str, str]]:
        """The result and its certificate."""
        assert self.result is not None
        return self.result.findings()

    def final_metrics(self) -> dict[str, float]:
        """Errors, floors and gaps."""
        assert self.result is not None
        return self.result.metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Errors over N; fit with knots and error; knots on their way; the units one by one."""
        assert self.result is not None
        assert self.drawing is not None
        yield from pictures(self.result, self.drawing, self.searches.spline, self.hparams["low"], self.hparams["high"])

    def show(self, writer: Any, step: int) -> list[str]:
        """The knots, as histograms."""
        lines = self.drawing.lines if self.drawing is not None else []
        for width, line in zip(self.widths, lines, strict=False):
            writer.add_histogram(f"weights/knots_{width}", line.knots, step)
        return []


def check_widths(widths: list[int], hidden: int | None) -> list[int]:
    """The widths to train, ascending.

    Raises:
        ValueError: If one is not 1 to 512, or there is none.
    """
    check_within({"hidden": hidden, "widths": widths}, {"hidden": (1, MOST_WIDTH), "widths": (1, MOST_WIDTH)})
    if hidden is None and not widths:
        raise ValueError(f"--model.widths needs at least one number of units, got {widths}")
    return [hidden] if hidden is not None else sorted(set(widths))
