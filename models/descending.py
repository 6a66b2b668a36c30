"""A path of descent beside theory: where it ended and why, its factor per step, and the path that was predicted."""
# n variables, K steps

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from models.running_away import leaves
from theory.descent import Function, Rule, contraction, edge_by_bisection, gradient, hessian, stability_edge
from theory.landscape import Account, measured_factors, predicted_path, surely_flat

EDGES = {"sgd": "2/L", "momentum": "2(1 + β)/L", "nesterov": "2(1 + β)/((1 + 2β)L)", "newton": "2"}

ALIKE = 0.1  # relative change of a curvature up to which a path counts as near the point that has it

PLURAL = {"minimum": "minima", "maximum": "maxima"}  # where the gradient of a quadratic vanishes along a line


@dataclass(frozen=True)
class Course:
    """A path and what is known about the function.

    Attributes:
        formula: The function as text.
        function: Of a tensor of shape (n,).
        path: Points, shape (K + 1, n).
        account: The stationary point and its curvatures.
        rule: How steps were taken.
        lr: α.
        momentum: β, where the rule has one.
        stopped: Why the path counts as diverged, or an empty text.
        tolerance: Gradient at the end, relative to that at the start, that counts as converged.
    """

    formula: str
    function: Function
    path: Tensor
    account: Account
    rule: Rule
    lr: float
    momentum: float
    stopped: str
    tolerance: float

    @property
    def steps(self) -> int:
        """K."""
        return len(self.path) - 1

    @cached_property
    def value(self) -> float:
        """The function at the end."""
        return float(self.function(self.path[-1]))

    @cached_property
    def slope(self) -> float:
        """‖∇f‖ at the end."""
        return float(gradient(self.function, self.path[-1]).norm())

    @property
    def converged(self) -> bool:
        """Whether the gradient has all but vanished, and with it the distance from the stationary point.

        Where curvatures differ by many orders, the gradient at the start is that of the steepest direction, beside
        which the others vanish from the beginning.
        """
        first = float(gradient(self.function, self.path[0]).norm())
        if self.stopped or self.slope > self.tolerance * max(first, 1e-300):
            return False
        if self.account.point is None:
            return True
        far, near = self.account.along(self.path[0]).norm(), self.account.along(self.path[-1]).norm()
        return float(near) <= 1e3 * self.tolerance * float(far) + 1e-9 * (1 + float(self.account.point.norm()))

    @property
    def on_edge(self) -> bool:
        """Whether α is the edge of stability itself, to rounding: the path on a quadratic then swings for ever."""
        if not self.account.has_minimum or not self.account.quadratic or self.rule == "adam":
            return False
        return abs(self.lr - self.edge_due) <= 1e-12 * self.edge_due

    @property
    def beyond(self) -> bool:
        """Whether the path, not at rest, cannot settle at the minimum found: each step there takes it further away."""
        if self.stopped or self.converged or not self.account.has_minimum or self.rule == "adam":
            return False
        return self.lr > self.edge_due * (1 + 1e-12)

    @property
    def edge_due(self) -> float:
        """The edge of stability at the stationary point, which is curved."""
        return stability_edge(self.rule, float(self.account.curvature[-1]), self.momentum)

    def unsettled(self) -> str:
        """Why a path that is `beyond` does not come to rest."""
        assert self.account.point is not None
        return (f"α = {self.lr:g} is beyond the edge {EDGES[self.rule]} = {self.edge_due:.6g} of the minimum "
                f"{self.account.value:.8g} at {self.place(self.account.point)}: it cannot settle")  # fmt: skip

    @cached_property
    def surely_flat(self) -> bool:
        """Whether a curvature at the stationary point is 0 and not only beside the other."""
        assert self.account.point is not None
        return surely_flat(hessian(self.function, self.account.point))

    def place(self, point: Tensor) -> str:
        """Such as (−0.5, 0.5)."""
        values = ", ".join(f"{round(value, 8) + 0.0:.8g}" for value in point.tolist())
        return f"({values})" if len(point) > 1 else f"x = {values}"

    def due(self, lr: float, curvature: float) -> float:
        """Factor per step at another learning rate."""
        return contraction(self.rule, lr, curvature, self.momentum)

    def grows_with(self, lr: float) -> bool:
        """Whether the rule with this learning rate leaves the minimum."""
        return leaves(self.function, self.account, self.rule, lr, self.momentum)

    @cached_property
    def edge(self) -> tuple[float, float] | None:
        """The learning rate from which descent runs away: by bisection on the function itself, and due; or None."""
        if not self.account.has_minimum or not self.account.quadratic or self.rule == "adam":
            return None
        due = self.edge_due
        return edge_by_bisection(self.grows_with, 0.5 * due, 1.5 * due, steps=12), due

    @cached_property
    def first(self) -> float:
        """The function at the start."""
        return float(self.function(self.path[0]))

    def reason(self) -> str:
        """Why the path ran away, from the curvature and from what f did on the way."""
        account, text = self.account, self.stopped
        if account.point is None:
            return f"{text}; no place where the gradient vanishes was found from the start"
        lowest, highest = float(account.curvature[0]), float(account.curvature[-1])
        if lowest < 0 and self.value < self.first:
            kind = (
                f"the stationary point {self.place(account.point)} is a {account.kind}, lowest curvature {lowest:.6g}"
            )
            if account.quadratic:
                return f"{text}; f has no minimum: {kind}, and f falls without end along that direction"
            return f"{text}; {kind}, and f fell from {self.first:.3g} to {self.value:.3g}"
        if account.kind == "degenerate" and self.value < self.first:
            text += f"; f fell from {self.first:.3g} to {self.value:.3g}"
            return f"{text}, and its stationary point {self.place(account.point)} is degenerate"
        edge = stability_edge(self.rule, highest, self.momentum) if highest > 0 else math.inf
        if self.lr > edge and (account.quadratic or account.kind == "minimum"):
            factor = contraction(self.rule, self.lr, highest, self.momentum)
            return (f"{text}; α = {self.lr:g} is beyond the edge {EDGES[self.rule]} = {edge:.6g}, each step multiplies "
                    f"the distance by {factor:.6g}")  # fmt: skip
        if self.value > self.first:
            return (f"{text}; f rose from {self.first:.3g} to {self.value:.3g}: a step of α = {self.lr:g} is too long "
                    "for the curvature along the path")  # fmt: skip
        return text

    def outcome(self) -> str:
        """Where the path ended, with the number due."""
        end, account = self.path[-1], self.account
        if self.stopped:
            return f"diverged at step {self.steps}: {self.reason()}"
        here = f"f = {self.value:.8g} at {self.place(end)} after {self.steps} step{'s' * (self.steps != 1)}"
        if not self.converged:
            if self.on_edge:
                steep, edge = float(account.curvature[-1]), EDGES[self.rule]
                when = "" if self.rule in ("sgd", "newton") else " in the end"
                return (f"swings for ever: {here}; α = {self.lr:g} is the edge {edge} itself, where each step{when} "
                        f"multiplies the distance along λ = {steep:.6g} by −1")  # fmt: skip
            if self.beyond:
                return f"not at rest: {here}, ‖∇f‖ = {self.slope:.3g}; {self.unsettled()}"
            goal = ""
            if account.has_minimum and account.point is not None:
                goal = f"; a minimum {account.value:.8g} lies at {self.place(account.point)}"
            return f"not yet at rest: {here}, ‖∇f‖ = {self.slope:.3g}{goal}"
        if account.point is None:
            return f"at rest: {here}"
        if account.kind == "degenerate":  # found by Newton's method to a few digits only: no distance is told
            place = self.place(account.point)
            return f"degenerate: {here}; the gradient vanishes at {place}, where the curvatures do not decide"
        distance = float((end - account.point).norm())
        due = f"due {account.value:.8g} at {self.place(account.point)}, distance {distance:.2g}"
        note = {"minimum": "", "maximum": ", which is no minimum but a maximum", "saddle": ", which is no minimum"}
        line = "" if account.isolated else f", one of a whole line of {PLURAL.get(account.kind)}"
        if line and not self.surely_flat:
            line = ", on a line along which f is flat to rounding"
        return f"{account.kind}: {here} ({due}){line or note[account.kind]}"

    def lack(self) -> str:
        """Why a path that has not run away leads to no minimum, as far as that is known; else an empty text."""
        account = self.account
        if (
            account.point is not None
            and account.kind in ("saddle", "maximum")
            and (self.converged or account.quadratic)
        ):
            return f"no minimum: the stationary point {self.place(account.point)} is a {account.kind}"
        if account.point is None and account.quadratic:
            fall = f", f fell from {self.first:.6g} to {self.value:.6g} and falls without end"
            return f"no minimum: the gradient of {self.formula} vanishes nowhere{fall * (self.value < self.first)}"
        return self.unsettled() if self.beyond else ""

    def describe(self) -> str:
        """The function: quadratic or not, its stationary point and curvatures."""
        values = ", ".join(f"{value + 0.0:.6g}" for value in self.account.curvature.tolist())
        quadratic = "a quadratic" if self.account.quadratic else "no quadratic"
        where = "the start"
        if self.account.point is not None:
            kind: str = "degenerate stationary point" if self.account.kind == "degenerate" else self.account.kind
            if self.account.quadratic and not self.account.isolated:
                kind = f"line of {PLURAL.get(kind)} through" if self.surely_flat else f"{kind}, flat to rounding, near"
            where = f"its {kind} {self.place(self.account.point)}"
        return f"{self.formula}: {quadratic}, curvatures {values} at {where}"

    def factors(self) -> list[float]:
        """Measured factor per step along each eigenvector, NaN where none is.

        Empty where no factor is due: without a stationary point; at a degenerate one, which is approached by other
        laws; and on a path that runs away from one into a region where f is no quadratic, or circles there. All NaN on
        a path that has not come near enough to the point yet.
        """
        if self.account.point is None or self.rule == "adam" or self.account.kind == "degenerate":
            return []
        if (self.stopped or self.beyond) and not self.account.quadratic:
            return []
        measured = measured_factors(self.path, self.account, order=2 if self.rule in ("momentum", "nesterov") else 1)
        if not self.account.quadratic:
            # The slowest direction feeds all others through the third derivatives: only its own factor is due.
            slowest = None if self.far else self.slowest
            measured = [one if place == slowest else math.nan for place, one in enumerate(measured)]
        # Along a flat direction of a quadratic nothing moves.
        return [a if curved else math.nan for a, curved in zip(measured, self.account.curvature.tolist(), strict=True)]

    @property
    def slowest(self) -> int:
        """The direction along which the distance shrinks least."""
        due = [self.due(self.lr, one) for one in self.account.curvature.tolist()]
        return due.index(max(due))

    @cached_property
    def far(self) -> str:
        """Why the last quarter of the path is no measure of the factor: f curves otherwise there; or an empty text.

        Only of the slowest direction of a function that is no quadratic.
        """
        account = self.account
        assert account.point is not None
        way, due = account.directions[:, self.slowest], float(account.curvature[self.slowest])
        for point in (self.path[3 * len(self.path) // 4], self.path[-1]):
            there = float(way @ hessian(self.function, point) @ way)
            if not abs(there - due) <= ALIKE * abs(due):
                away = float((point - account.point).norm())
                return f"at a distance of {away:.2g} f curves by {there:.4g} and not by λ = {due:.4g}"
        return ""

    def unmeasured(self) -> str:
        """Why no factor was measured, where one is due."""
        if not self.account.quadratic and self.far:
            return f"not near yet: {self.far}"
        if not self.steps:
            return "no step was taken, the gradient vanishes at the start"
        if self.converged:
            return f"at rest after {self.steps} step{'s' * (self.steps != 1)}, too soon to measure"
        return "too few steps to measure"

    def speed(self) -> list[tuple[str, str]]:
        """Factors per step beside theory, and the distance from the predicted path."""
        lines = []
        if self.factors() and not self.account.quadratic and self.far:
            lines.append(("factor", f"none yet: {self.far}"))
        for measured, curvature in zip(self.factors(), self.account.curvature.tolist(), strict=False):
            if math.isnan(measured):
                continue
            due = self.due(self.lr, curvature)
            formula = {"sgd": "|1 − αλ|", "newton": "|1 − α|"}.get(self.rule, "spectral radius")
            lines.append((f"factor, λ = {curvature:.4g}", f"{measured:.6f} a step, due {formula} = {due:.6f}"))
        gap = self.gap()
        if gap is not None:
            far = f"at most {gap:.2g} of its size from" if gap else "to the last digit"
            lines.append(("whole path", f"{far} the path predicted before the first step"))
        return lines

    def prediction(self) -> Tensor | None:
        """The path that theory gives, shape (K + 1, n), where the function is quadratic and the rule linear."""
        if self.account.point is None or not self.account.quadratic or self.rule == "adam":
            return None
        if self.rule == "newton" and float(self.account.curvature.abs().min()) == 0:
            return None
        return predicted_path(self.account, self.path[0], self.steps, self.rule, self.lr, self.momentum)

    def gap(self) -> float | None:
        """Largest distance between path and prediction over the size of the path up to there."""
        due = self.prediction()
        if due is None:
            return None
        size = (self.path.norm(dim=1) + 1e-300).cummax(0).values
        return float(((self.path - due).norm(dim=1) / size).max())

    def metrics(self) -> dict[str, float]:
        """Numbers for metrics.json; those that do not exist are left out."""
        metrics = {"test/steps": float(self.steps), "test/diverged": float(bool(self.stopped))}
        if self.account.point is not None:
            metrics["theory/value"] = self.account.value
            if not self.stopped:
                metrics["gap/distance"] = float((self.path[-1] - self.account.point).norm())
        for place, (measured, curvature) in enumerate(
            zip(self.factors(), self.account.curvature.tolist(), strict=False)
        ):
            metrics[f"theory/curvature_{place + 1}"] = curvature
            if not math.isnan(measured):
                due = self.due(self.lr, curvature)
                metrics |= {f"test/factor_{place + 1}": measured, f"theory/factor_{place + 1}": due}
        gap = self.gap()
        return metrics | ({} if gap is None else {"gap/path": gap})
