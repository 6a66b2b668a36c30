"""Under- and overfitting, four regularisers, and double descent, each beside what is exactly due.

python train.py --model generalisation                                      polynomials of degree 0 to 15
python train.py --model generalisation --model.weight_decay 0.01            ridge
python train.py --model generalisation --model.dropout 0.2                  a ridge-like penalty
python train.py --model generalisation --model.augmentation 0.2             noise on the features: Tikhonov
python train.py --model generalisation --early_stopping.patience 3          the same, without epochs behind the best
python train.py --model generalisation --model.learner network --data.replicas 20

All sizes are trained at once, on many replicas of the data that differ in their noise, so that means have error bars.
The best epoch is the one with the smallest validation error of the largest model.
"""
# K sizes, R replicas, n points

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from models.capacity.evidence import Evidence
from models.capacity.learners import Networks, Polynomials
from models.capacity.results import Risks, Sweep, no_free_lunch
from models.limits import SHARE, check_within
from models.resuming import resumes, training_loader

MOST_STEPS = 1_000_000  # in an epoch, a quarter of an hour; more epochs go on from there
MOST_DRAWS = 100_000  # data sets solved together: of 30 samples they take 2 GB
Batch = tuple[Tensor, Tensor]  # points (n,), responses (n, R)


class GeneralisationTask(LightningModule):
    """Trains models of growing capacity on noisy points and says how they do on new ones.

    Args:
        function: Curve that was sampled.
        noise: Standard deviation of its noise.
        num_samples: Points to learn from.
        replicas: Data sets that differ in their noise.
        learner: ``polynomial`` or ``network`` (one hidden tanh layer, Adam).
        max_size: Largest degree, or largest number of hidden units up to 64.
        lr: Step of gradient descent as a share of 1 / lambda_max, below 2, or Adam's; auto is 1, or 0.02 for networks.
        weight_decay: lambda of the penalty lambda ||w||^2 / 2 beside half the mean squared error; 0 for none.
        dropout: Probability with which a feature (or hidden unit) of a sample is dropped in a step, 0 to below 1.
        augmentation: Deviation of the noise that each step adds to the features (of a network: to x); 0 for none.
        steps: Steps an epoch, at most 1,000,000.
        draws: Data sets drawn for each point of the double-descent curve, 0 to leave it out, else 100 to 100,000.
        draw_samples: Samples n of each of them, 5 to 200.
    """

    CONDITIONS = (
        (("model.draw_samples",), lambda options: options["model.draws"] > 0, "only with --model.draws above 0"),
    )
    monitor, mode = "val/loss", "min"

    def __init__(
        self,
        function: Literal["cubic", "sine", "step"],
        noise: float,
        num_samples: int,
        replicas: int,
        learner: Literal["polynomial", "network"] = "polynomial",
        max_size: int = 15,
        lr: float | Literal["auto"] = "auto",
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        augmentation: float = 0.0,
        steps: int = 100,
        draws: int = 2000,
        draw_samples: int = 30,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        polynomial = learner == "polynomial"
        usual, edge, most = (1.0, 2.0, min(num_samples - 1, 60)) if polynomial else (0.02, 1.0, 64)
        rate = usual if lr == "auto" else float(lr)
        if not 1 <= max_size <= most:
            raise ValueError(f"--model.max_size must be between 1 and {most} for {num_samples} points, got {max_size}")
        if not 0 < rate < edge:
            raise ValueError(f"--model.lr of a {learner} must be above 0 and below {edge:g}, got {lr}")
        check_within(self.hparams, {
            "weight_decay": (0, 1e6), "augmentation": (0, 1e6), "dropout": SHARE, "steps": (1, MOST_STEPS),
            "draw_samples": (5, 200),
        })  # fmt: skip
        if draws and not 100 <= draws <= MOST_DRAWS:
            raise ValueError(f"--model.draws must be 0, or between 100 and {MOST_DRAWS:,}, got {draws}")
        self.rate = rate
        self.learner: Polynomials | Networks
        if polynomial:
            self.learner = Polynomials(max_size, replicas, rate, weight_decay, dropout, augmentation)
        else:
            self.learner = Networks(max_size, replicas, weight_decay, dropout, augmentation)
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # steps so far
        self.taken: Tensor
        self.sample: Batch | None = None
        self.filters: list[tuple[int, list[float]]] = []  # steps, and the share reached of each eigenvector
        self.sweep: Sweep | None = None
        self.risks: Risks | None = None
        self.evidence: Evidence | None = None

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        return {"loss": {"theory/noise_floor": self.hparams["noise"] ** 2}}

    def forward(self, x: Tensor) -> Tensor:
        """Predictions of all sizes and replicas, shape (K, R, n). Args: points (n,)."""
        predicted: Tensor = self.learner(x)
        return predicted

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """So many full-batch steps of all models."""
        x, y = self.sample = batch
        optimizer: Any = self.optimizers()
        for _ in range(self.hparams["steps"]):
            optimizer.zero_grad()
            self.manual_backward(self.learner.objective(x, y))
            optimizer.step()
        self.taken += self.hparams["steps"]
        if isinstance(self.learner, Polynomials):
            self.filters.append((int(self.taken), Sweep.filter_of(self.learner, x, y).tolist()))
        loss = self.errors(batch)[-1].mean()
        self.log("train/loss", loss)
        return loss

    @torch.no_grad()
    def errors(self, batch: Batch) -> Tensor:
        """Mean squared error of each model, without any regulariser; shape (K, R)."""
        was = self.learner.training
        self.learner.eval()
        errors: Tensor = (self.learner(batch[0]) - batch[1].T).double().square().mean(2)
        self.learner.train(was)
        return errors

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Error of the largest model: what stopping early is about."""
        self.log("val/loss", self.errors(batch)[-1].mean(), batch_size=1)

    def on_test_start(self) -> None:
        """Takes the training sample again where a resumed run had nothing left to train."""
        if self.sample is None:
            self.sample = self.transfer_batch_to_device(next(iter(training_loader(self))), self.device, 0)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """All sizes on new points, and the experiments that need no training."""
        assert self.sample is not None
        options = self.hparams
        errors = (self.errors(self.sample), self.errors(batch))
        self.sweep = Sweep(
            learner=self.learner,
            sample=self.sample,
            test=batch,
            errors=errors,
            function=options["function"],
            noise=options["noise"],
            steps=int(self.taken),
        )
        self.evidence = Evidence.of(self.sample, options["function"], options["noise"], options["max_size"])
        if options["draws"]:
            generator = torch.Generator(self.device).manual_seed(int(torch.randint(2**62, ())))
            self.risks = Risks.draw(options["draw_samples"], options["draws"], generator)
        self.log_dict({k: v for k, v in self.final_metrics().items() if k.startswith("test/")}, batch_size=1)

    def configure_optimizers(self) -> Optimizer:
        """Gradient descent, whose step is in the objective, or Adam."""
        if isinstance(self.learner, Polynomials):
            return torch.optim.SGD(self.learner.parameters(), lr=1.0)
        return torch.optim.Adam(self.learner.parameters(), lr=self.rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the filters so far, so that a resumed run draws the same."""
        checkpoint["filters"] = self.filters

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        if resumes(self):
            self.filters = [(steps, list(shares)) for steps, shares in checkpoint["filters"]]

    def describe(self) -> str:
        """Sizes and switches, for the first lines of a run."""
        switches = [f"{name} {self.hparams[name]:g}" for name in ("weight_decay", "dropout", "augmentation")
                    if self.hparams[name]]  # fmt: skip
        sizes = self.learner.sizes
        # The weights are those of the epoch of least validation error, with or without --early_stopping.
        span = f"{self.learner.unit} {sizes[0]} to {sizes[-1]}, {self.hparams['replicas']} replicas each"
        return f"{self.hparams['learner']}s, {span}, {', '.join(switches) or 'no penalty'}, stopped early"

    def findings(self) -> list[tuple[str, str]]:
        """The result, and what is due."""
        assert self.sweep is not None
        assert self.evidence is not None
        lines = [*self.sweep.findings(), *self.evidence.findings()]
        lines += [] if self.risks is None else self.risks.findings()
        return [*lines, ("no free lunch", no_free_lunch())]

    def final_metrics(self) -> dict[str, float]:
        """Figures, what is due, and gaps."""
        assert self.sweep is not None
        assert self.evidence is not None
        found = {**self.sweep.metrics(), **self.evidence.metrics()}
        return found if self.risks is None else {**found, **self.risks.metrics()}

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Error against capacity, the double-descent curve, the spectral filter."""
        assert self.sweep is not None
        yield from self.sweep.figures(self.filters)
        if self.risks is not None:
            yield "double_descent", self.risks.figure()

    def show(self, writer: Any, step: int) -> list[str]:
        """Errors against capacity as curves over the size."""
        assert self.sweep is not None
        for size, error in zip(self.learner.sizes, self.sweep.test.mean(1).tolist(), strict=True):
            writer.add_scalar("test/error_by_size", error, size)
        return []
