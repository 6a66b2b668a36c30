"""Descending on a function: where it ends, how fast, and when it runs away, beside what the curvature says.

python train.py --model gradient-descent                                         2x² + y² + 3
python train.py --model gradient-descent --data.function parabola --lr 0.25      there in one step
python train.py --model gradient-descent --data.function saddle                  no minimum: says why, exit status 1
python train.py --model gradient-descent --data.function "x^4 + y^2 - x*y" --model.rule nesterov
python train.py --model gradient-descent --lr 0.6 --model.expect divergence      beyond the edge 2/L

On a quadratic every rule but Adam is linear along each eigenvector of the Hessian. The whole path is then known before
the first step, and each step shrinks the distance along curvature λ by |1 − αλ| (plain descent).

Source:
    Cauchy (1847); Polyak (1964); Nesterov (1983); Kingma and Ba (2015), Adam.
"""
# n variables, K steps

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from dashboard.descent import factor_figure, path_figure, shrinking_figure
from dashboard.style import counted
from models.descending import EDGES, Course
from models.descent_drawn import distances, heading, land
from models.limits import POSITIVE, SHARE, check_within
from models.running_away import runs_away
from theory.descent import gradient, hessian
from theory.landscape import Account, account_of, as_function

MOST_STEPS = 100_000  # a few minutes, each point of the path kept; more epochs go on from there
CONVERGED = 1e-8  # gradient at the end, relative to the one at the start


class GradientDescentTask(LightningModule):
    """Descends on a function from one place.

    Args:
        formula: The function.
        start: Where to start, one number for each variable.
        rule: sgd (plain descent), momentum, nesterov, adam or newton.
        lr: Learning rate α, above 0; by default 0.1, and 1 for newton.
        momentum: β of momentum and nesterov, in [0, 1).
        steps: Steps of descent in each training step, at most 100,000.
        expect: What the run sets out to show: a minimum, or divergence. The other one is a failure, exit status 1, and
            so is the end at a saddle, and the way down on a function of degree two that has no minimum.
    """

    CONDITIONS = (
        (
            ("model.momentum",),
            lambda options: options["model.rule"] in ("momentum", "nesterov"),
            "only for --model.rule momentum and nesterov",
        ),
    )
    monitor, mode = "train/loss", "min"

    def __init__(
        self,
        formula: str,
        start: list[float],
        rule: Literal["sgd", "momentum", "nesterov", "adam", "newton"] = "sgd",
        lr: float | None = None,
        momentum: float = 0.9,
        steps: int = 20,
        expect: Literal["minimum", "divergence"] = "minimum",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_within(self.hparams, {"lr": POSITIVE, "momentum": SHARE, "steps": (1, MOST_STEPS)})
        self.automatic_optimization = False
        self.lr = lr if lr is not None else 1.0 if rule == "newton" else 0.1
        self.function = as_function(formula)
        self.point = nn.Parameter(torch.tensor(start, dtype=torch.float64))
        self.path: list[list[float]] = [list(start)]
        self.stopped = ""  # why no further step is taken, when the path runs away
        self.known: Course | None = None  # the path so far beside theory

    @cached_property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        with torch.inference_mode(False), torch.enable_grad():
            account = account_of(self.function, torch.tensor(self.path[0], dtype=torch.float64))
        known = account.quadratic and account.has_minimum  # of any other function it is known where the path has ended
        return {"loss": {"theory/value": account.value}} if known else {}

    def forward(self, points: Tensor) -> Tensor:
        """The function, shape (N,). Args: points (N, n)."""
        return self.function(points)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """So many steps of descent, unless it has run away or stands still."""
        optimizer: Any = self.optimizers()
        for _ in range(self.hparams["steps"]):
            if self.stopped or not self.step(optimizer):
                break
        if self.stopped:
            self.trainer.should_stop = True  # nothing moves from here on
        value = self.function(self.point.detach())
        self.log_dict({"train/loss": value, "train/steps": float(len(self.path) - 1)})
        return value

    def step(self, optimizer: Any) -> bool:
        """One step; False where the gradient has vanished or the path has run away, which takes the step back."""
        before = self.point.detach().clone()
        optimizer.zero_grad()
        self.manual_backward(self.function(self.point))
        assert self.point.grad is not None
        if not self.point.grad.any():
            return False
        if self.hparams["rule"] == "newton":
            curvature = hessian(self.function, before)
            # The gradient becomes Newton's step; least squares where a direction is flat, which only a CPU solves.
            step = torch.linalg.lstsq(curvature.cpu(), self.point.grad[:, None].cpu()).solution[:, 0]
            self.point.grad.copy_(step)
        optimizer.step()
        place = self.point.detach()
        self.stopped = runs_away(self.function, place, torch.tensor(self.path[0], dtype=torch.float64))
        if not torch.isfinite(torch.cat([gradient(self.function, place), self.function(place)[None]])).all():
            with torch.no_grad():
                self.point.copy_(before)
            return False
        self.path.append(place.tolist())
        return not self.stopped

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Where the path has ended."""
        with torch.inference_mode(False):  # the account of a function takes its derivatives
            values = {"test/value": self.course().value, "test/gradient": self.course().slope}
        self.log_dict(values, batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Torch's own; Newton's method is plain descent along Newton's step."""
        rule = self.hparams["rule"]
        if rule == "adam":
            return torch.optim.Adam([self.point], lr=self.lr)
        momentum = self.hparams["momentum"] if rule in ("momentum", "nesterov") else 0.0
        return torch.optim.SGD([self.point], lr=self.lr, momentum=momentum, nesterov=rule == "nesterov")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the path, so that a resumed run reports the same."""
        checkpoint["path"], checkpoint["stopped"] = self.path, self.stopped

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what `on_save_checkpoint` kept."""
        self.path, self.stopped = checkpoint["path"], checkpoint["stopped"]

    def account(self) -> Account:
        """The stationary point that the path ends at, or one near its start where it has run away."""
        points = torch.tensor(self.path, dtype=torch.float64)
        first = account_of(self.function, points[0])
        if first.quadratic or self.stopped:
            return first
        last = account_of(self.function, points[-1])
        return first if last.point is None else last

    def course(self) -> Course:
        """The path beside what theory says about it, worked out once for each end of the path."""
        options = self.hparams
        if self.known is None or self.known.steps < len(self.path) - 1:
            self.known = Course(
                formula=options["formula"], function=self.function, path=torch.tensor(self.path, dtype=torch.float64),
                account=self.account(), rule=options["rule"], lr=self.lr, momentum=options["momentum"],
                stopped=self.stopped, tolerance=CONVERGED,
            )  # fmt: skip
        return self.known

    @property
    def failure(self) -> str:
        """One line where the run did not show what it set out to show; else empty."""
        course = self.course()
        if self.stopped and self.hparams["expect"] == "minimum":
            return f"diverged at step {course.steps}: {course.reason()} (--model.expect divergence if this is wanted)"
        if not self.stopped and self.hparams["expect"] == "divergence":
            return f"no divergence in {counted(course.steps, 'step')}, although it was expected: {course.outcome()}"
        return "" if self.stopped else course.lack()

    def describe(self) -> str:
        """Rule and learning rate, for the first lines of a run."""
        rule = self.hparams["rule"]
        beta = f", β = {self.hparams['momentum']:g}" if rule in ("momentum", "nesterov") else ""
        return f"{rule} on {counted(len(self.point), 'variable')}, α = {self.lr:g}{beta}"

    def findings(self) -> list[tuple[str, str]]:
        """Where it ended, what the function is, how fast, and the edge."""
        course, edge = self.course(), self.course().edge
        lines = [("outcome", course.outcome()), ("function", course.describe())]
        lines += course.speed()
        if edge is not None:
            found, due = (f"{one:.4f}" if one >= 0.01 else f"{one:.4g}" for one in edge)
            lines.append(("edge", f"descent diverges from α = {found} on, due {EDGES[course.rule]} = {due}"))
        return lines

    def final_metrics(self) -> dict[str, float]:
        """Numbers of the findings."""
        metrics, edge = self.course().metrics(), self.course().edge
        if edge is not None:
            metrics |= {"test/edge": edge[0], "theory/edge": edge[1], "gap/edge": edge[0] / edge[1]}
        return metrics

    def figures(self) -> Iterator[tuple[str, Any]]:
        """The path on the function, the shrinking of the distance, and the factor over the learning rate."""
        course = self.course()
        drawn = land(course)
        yield "path", path_figure(*drawn, title=heading(course, drawn[0]))
        if course.account.point is not None:
            yield "distance", shrinking_figure(*distances(course))
            pairs = zip(course.factors(), course.account.curvature.tolist(), strict=False)
            curved = [(factor, curvature) for factor, curvature in pairs if curvature]
            if curved:
                factors, curvatures = zip(*curved, strict=True)
                yield "factor", factor_figure(self.lr, factors, curvatures, course.due, course.unmeasured())

    def show(self, writer: Any, step: int) -> list[str]:
        """The function along the path."""
        for place, point in enumerate(self.path):
            writer.add_scalar("path/value", float(self.function(torch.tensor(point, dtype=torch.float64))), place)
        return []
