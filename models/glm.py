"""Generalised linear models: one likelihood, three ways to its maximum.

python train.py --model glm                                     a Bernoulli sample with known truth
python train.py --model glm --data.family poisson               or gaussian, softmax
python train.py --model glm --data tables                       Simpson's paradox: kidney stones
python train.py --model glm --data tables --data.table berkeley
python train.py --model glm --data tables --data.table collider

Newton's method (IRLS), L-BFGS and gradient descent step side by side on the whole sample. All three start at 0 and must
meet, because the negative log-likelihood of a canonical link is convex. Newton's distance to the maximum is squared at
each step; gradient descent's shrinks by |1 - alpha lambda| at each, lambda the worst eigenvalue of the information.

Source:
    McCullagh, Nelder (1989), Generalized linear models, chapter 2; Nocedal, Wright (2006), sections 3.3 and 7.2.
"""
# N samples, D features with the constant, K natural parameters

from collections.abc import Iterator
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from models.limits import POSITIVE, check_within
from models.regression.adjustment import Adjustment, Collider
from models.regression.convergence import Convergence, too_far
from models.regression.likelihood import Likelihood
from models.resuming import resumes, training_loader
from theory.exponential_family import Family, mean, negative_log_likelihood
from theory.newton import Fit, damped_step, fit

# torch's L-BFGS learns nothing from a step whose curvature y.s is below 1e-10, an absolute number: without a scale it
# would stop learning six digits before the maximum.
SCALE = 1e10
MOST_STEPS = 100_000  # of each solver in an epoch, ten minutes; more epochs go on from there
Batch = tuple[Tensor, Tensor]  # features (N, D), responses (N, K), both float64


class GLM(nn.Module):
    """E[y] = grad A(x theta): a linear map and a canonical link.

    Args:
        family: One of ``theory.exponential_family.FAMILIES``.
        in_features: D, with the constant.
        num_outputs: K.
    """

    def __init__(self, family: Family, in_features: int, num_outputs: int) -> None:
        super().__init__()
        self.family: Family = family
        self.theta = nn.Parameter(torch.zeros(in_features, num_outputs, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Means of the responses, shape (N, K). Args: features (N, D)."""
        return mean(self.family, x @ self.theta)


class GLMTask(LightningModule):
    """Fits a generalised linear model by Newton's method, L-BFGS and gradient descent side by side.

    Args:
        family: Family of the responses.
        feature_names: Names of the D features, the constant first.
        num_outputs: Natural parameters of a response.
        dispersion: Variance of Gaussian responses; 1 for the other families.
        truth: Coefficients that made the data, D lists of K, or None when nobody knows.
        question: ``fit``, or the study whose effect is asked for: ``kidney-stones``, ``berkeley``, ``collider``.
        lr: Step of gradient descent as a share of 1 / lambda_max of the information, above 0; 2 is the edge.
        prior_deviation: Deviation tau of a Gaussian prior on each coefficient, which makes the fit the maximum a
            posteriori (ridge); None for maximum likelihood.
        history_size: Steps that L-BFGS remembers, at most 1,000.
        steps: Steps of each solver in an epoch, at most 100,000.
    """

    monitor, mode = "train/loss", "min"

    def __init__(
        self,
        family: Literal["gaussian", "bernoulli", "poisson", "softmax"],
        feature_names: list[str],
        num_outputs: int,
        dispersion: float,
        truth: list[list[float]] | None,
        question: Literal["fit", "kidney-stones", "berkeley", "collider"],
        lr: float = 1.0,
        prior_deviation: float | None = None,
        history_size: int = 10,
        steps: int = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if prior_deviation is not None and not prior_deviation > 0:
            raise ValueError(f"--model.prior_deviation must be above 0, or none, got {prior_deviation}")
        check_within(self.hparams, {"lr": POSITIVE, "history_size": (1, 1000), "steps": (1, MOST_STEPS)})
        self.automatic_optimization = False
        self.family: Family = family
        self.precision = 0.0 if prior_deviation is None else prior_deviation**-2
        self.newton, self.lbfgs, self.descent = (GLM(family, len(feature_names), num_outputs) for _ in range(3))
        self.maximum: Fit | None = None  # of the training sample, found before the first step
        self.curvatures: list[float] = []  # eigenvalues of the information there, summed over the samples, increasing
        self.sample: Batch | None = None
        self.history: list[list[float]] = []  # per step: excess objective of the three, then distances
        self.stopped: int | None = None  # step after which gradient descent had run away
        self.answer: Likelihood | Adjustment | Collider | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Means of the responses, shape (N, K). Args: features (N, D)."""
        means: Tensor = self.newton(x)
        return means

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        return {"loss": {"train/loss_descent": None, "theory/least_loss": None}}

    def objective(self, x: Tensor, y: Tensor, theta: Tensor) -> Tensor:
        """Negative log-posterior in nats a sample, up to the prior's constant."""
        nats = negative_log_likelihood(self.family, x @ theta, y, self.hparams["dispersion"])
        return (nats.sum() + self.precision / 2 * theta.square().sum()) / len(x)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """So many steps of each solver; the loss is Newton's."""
        x, y = batch
        self.know(batch)
        if not self.history:
            self.look(x, y)
        for _ in range(self.hparams["steps"]):
            self.step(x, y)
            self.look(x, y)
        losses = [self.objective(x, y, solver.theta).detach() for solver in (self.newton, self.descent)]
        self.log_dict({"train/loss": losses[0], "train/loss_descent": losses[1]})
        assert self.maximum is not None
        self.log("theory/least_loss", self.objective(x, y, self.maximum.theta))
        return losses[0]

    def know(self, batch: Batch) -> None:
        """Finds the maximum for the whole training sample, once.

        Raises:
            ValueError: If there is none, naming the options that help.
        """
        if self.maximum is None:
            self.sample = batch
            try:
                self.maximum = fit(self.family, *batch, self.hparams["dispersion"], self.precision)
            except ValueError as error:
                signal = ", --data.signal" if self.hparams["question"] == "fit" and "signal" in str(error) else ""
                raise ValueError(f"{error}: --data.num_samples{signal}, --model.prior_deviation") from error
            self.curvatures = torch.linalg.eigvalsh(self.maximum.information).tolist()

    def step(self, x: Tensor, y: Tensor) -> None:
        """One step of each solver."""
        lbfgs, descent = self.two_optimizers()

        def closure() -> Any:
            loss = SCALE * self.objective(x, y, self.lbfgs.theta)
            lbfgs.zero_grad()
            self.manual_backward(loss)
            return loss

        lbfgs.step(closure)
        if self.stopped is None:
            self.descend(x, y, descent)
        with torch.no_grad():
            theta = self.newton.theta
            theta.copy_(damped_step(self.family, x, y, theta, self.hparams["dispersion"], self.precision))

    def descend(self, x: Tensor, y: Tensor, descent: Optimizer) -> None:
        """One step of gradient descent, the last one where it runs away; one to where nothing is finite is undone."""
        assert self.maximum is not None
        theta, before = self.descent.theta, self.descent.theta.detach().clone()
        descent.zero_grad()
        self.manual_backward(self.objective(x, y, theta))
        # The step is relative to the curvature at the maximum, where the rate of convergence is decided.
        descent.param_groups[0]["lr"] = self.hparams["lr"] * len(x) / self.curvatures[-1]
        descent.step()
        with torch.no_grad():
            finite = bool(torch.isfinite(torch.cat([theta.flatten(), self.objective(x, y, theta)[None]])).all())
            if not finite:
                theta.copy_(before)
            if not finite or too_far(float((theta - self.maximum.theta).norm()), self.history[0][5]):
                self.stopped = len(self.history)

    def two_optimizers(self) -> tuple[Optimizer, Optimizer]:
        """L-BFGS and gradient descent as Lightning wraps them."""
        optimizers: Any = self.optimizers()
        return optimizers[0], optimizers[1]

    @torch.no_grad()
    def look(self, x: Tensor, y: Tensor) -> None:
        """Notes where the three solvers stand: excess of the objective, and distance to the maximum."""
        assert self.maximum is not None
        best = self.maximum.objective / len(x)
        points = [solver.theta for solver in (self.newton, self.lbfgs, self.descent)]
        excess = [float(self.objective(x, y, point)) - best for point in points]
        self.history.append([*excess, *(float((point - self.maximum.theta).norm()) for point in points)])

    def on_train_start(self) -> None:
        """Finds the maximum, or that there is none, before the first step."""
        self.take_sample()

    def on_test_start(self) -> None:
        """As before the first step, where a resumed run had nothing left to train."""
        self.take_sample()

    def take_sample(self) -> None:
        """Takes the training sample, and finds its maximum."""
        self.know(self.transfer_batch_to_device(next(iter(training_loader(self))), self.device, 0))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The question that the data ask, answered with Newton's coefficients."""
        assert self.maximum is not None
        assert self.sample is not None
        options = self.hparams
        likelihood = Likelihood(
            family=self.family,
            theta=self.newton.theta.detach().clone(),
            maximum=self.maximum,
            sample=self.sample,
            test=batch,
            dispersion=options["dispersion"],
            truth=options["truth"],
            precision=self.precision,
            feature_names=options["feature_names"],
            convergence=self.convergence(),
        )
        question = options["question"]
        if question == "fit":
            self.answer = likelihood
        else:
            self.answer = Collider(likelihood) if question == "collider" else Adjustment(likelihood, question)
        self.log_dict({k: v for k, v in self.answer.metrics().items() if k.startswith("test/")}, batch_size=1)

    def convergence(self) -> Convergence:
        """The way of the solvers so far."""
        return Convergence(self.history, self.curvatures, self.hparams["lr"], self.stopped)

    @property
    def failure(self) -> str:
        """When and why gradient descent ran away; else empty."""
        return self.convergence().failure()

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """One iteration of L-BFGS with a strong Wolfe search, and plain gradient descent; Newton needs none."""
        lbfgs = torch.optim.LBFGS(
            self.lbfgs.parameters(),
            max_iter=1,
            max_eval=30,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=self.hparams["history_size"],
            line_search_fn="strong_wolfe",
        )
        return [lbfgs, torch.optim.SGD(self.descent.parameters(), lr=self.hparams["lr"])], []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the path so far, so that a resumed run reports the same."""
        checkpoint["history"], checkpoint["stopped"] = self.history, self.stopped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        if resumes(self):
            self.history, self.stopped = checkpoint["history"], checkpoint.get("stopped")

    def describe(self) -> str:
        """Family and size, for the first lines of a run."""
        count = self.newton.theta.numel()
        prior = "" if not self.precision else f", prior deviation {self.hparams['prior_deviation']:g}"
        return f"{self.family} with its canonical link, {count} coefficients by 3 solvers{prior}"

    def findings(self) -> list[tuple[str, str]]:
        """The answer, and what stands beside it."""
        assert self.answer is not None
        return self.answer.findings()

    def final_metrics(self) -> dict[str, float]:
        """The answer as numbers, with theory and gaps."""
        assert self.answer is not None
        return self.answer.metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Figures of the answer."""
        assert self.answer is not None
        yield from self.answer.figures()

    def show(self, writer: Any, step: int) -> list[str]:
        """The path of the solvers as curves over the steps."""
        for place, row in enumerate(self.history):
            for name, distance in zip(("irls", "lbfgs", "descent"), row[3:], strict=True):
                writer.add_scalar(f"gap/distance_{name}", distance, place)
        return []
