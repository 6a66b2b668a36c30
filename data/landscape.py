"""A function to descend on and a place to start: the smallest data there are, one point.

--data landscape --data.function "x^4 + y^2 - x*y" --data.start "[2, -1]"
"""

import difflib
import math
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import WholeSetLoader
from data.ranges import check_within
from data.run import run_device
from theory.expression import Expression
from theory.landscape import LANDSCAPES
from theory.named_functions import variables_of

MOST_ROUNDS = 10_000  # of an epoch; more epochs go on from there, and say how far they are


class Landscape(LightningDataModule):
    """A function of one or two variables and a place to start.

    Args:
        function: parabola (2x² − 12x + 20), saddle (2x² + 2y + 4xy), bowl (2x² + y² + 3), or a formula in x, or in x
            and y, such as "x^4 - 3*x^2 + y^2".
        start: One number for each variable; of a named function its own by default, else ones.
        rounds: Training steps an epoch, at most 10,000, each of as many steps of descent as the model takes at once.
    """

    FACTS = ("formula", "start")
    name = "landscape"

    def __init__(self, function: str = "bowl", start: list[float] | None = None, rounds: int = 1) -> None:
        super().__init__()
        check_within(locals(), {"rounds": (1, MOST_ROUNDS)})
        self.function, self.rounds = function, rounds
        self.formula, usual = LANDSCAPES.get(function, (function, ()))
        self.variables = variables_of(self.formula)
        try:
            Expression(self.formula, ("x", "y"))  # what is refused is told with all that is allowed
            expression = Expression(self.formula, self.variables)
        except ValueError as error:
            if function.isidentifier():
                match = difflib.get_close_matches(function, LANDSCAPES, n=1, cutoff=0.5)
                hint = f", did you mean {match[0]!r}?" if match else ","
                known = ", ".join(LANDSCAPES)
                raise ValueError(
                    f"--data.function: no function named {function!r}{hint} known: {known}; or a formula in x (and y)"
                ) from None
            raise ValueError(f"--data.function: {error}") from None
        given = list(usual or [1.0] * len(self.variables)) if start is None else start
        if len(given) != len(self.variables) or not all(map(math.isfinite, given)):
            raise ValueError(
                f"--data.start must be {len(self.variables)} finite numbers, for {' and '.join(self.variables)}, "
                f"got {given}"
            )
        self.start = torch.tensor(given, dtype=torch.float64)
        point = self.start.clone().requires_grad_()
        value = expression(*point.unbind())
        if not value.requires_grad:
            raise ValueError(f"--data.function {self.formula!r} is a constant: there is nothing to descend")
        (slope,) = torch.autograd.grad(value, point)
        if not bool(torch.isfinite(value)) or not bool(torch.isfinite(slope).all()):
            raise ValueError(
                f"--data.function {self.formula!r} or its gradient is not finite at the start {given}: choose another "
                "--data.start"
            )

    def facts(self) -> dict[str, Any]:
        """What a model must know: the formula and where to start."""
        return {"formula": self.formula, "start": self.start.tolist()}

    def summary(self) -> dict[str, Any]:
        """The function, in words, for the start of a run and its report."""
        places = ", ".join(
            f"{name} = {value:g}" for name, value in zip(self.variables, self.start.tolist(), strict=True)
        )
        return {
            "name": self.formula,
            "source": "computed",
            "shape": f"start {places}",
            "splits": {"train": 1, "val": 0, "test": 1},
        }

    def _loader(self, rounds: int) -> WholeSetLoader:
        device = run_device(self)
        batch: tuple[Tensor, ...] = (self.start.to(device)[None],)  # (1, n)
        return WholeSetLoader(batch, rounds)

    def train_dataloader(self) -> WholeSetLoader:
        """The start, once a training step."""
        return self._loader(self.rounds)

    def test_dataloader(self) -> WholeSetLoader:
        """The start, once."""
        return self._loader(1)
