"""Functions to be approximated, by name, with what is known of them exactly.

The constants are (∫|f''|^{2/5})^{5/2} on the unit interval; they decide the least error of broken lines, see
``theory.broken_lines``. With a = 2/5,  ∫_0^1 |sin 2πmx|^a = Γ((a+1)/2) / (√π Γ(a/2+1)).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_SINE = math.gamma(0.7) / (math.sqrt(math.pi) * math.gamma(1.2))
WEIERSTRASS = " + ".join(f"{0.5**k}*cos({3**k}*pi*x)" for k in range(4))


@dataclass(frozen=True)
class Target:
    """A function to be approximated.

    Attributes:
        formula: As ``theory.expression`` reads it, in x, or in x and y.
        about: What it is there for.
        low: Left end of the interval (of both, for a surface).
        high: Right end.
        constant: (∫|f''|^{2/5})^{5/2} where a closed form is known.
        jump: Place, value to the left and value to the right of the one jump, if there is one.
    """

    formula: str
    about: str
    low: float = 0.0
    high: float = 1.0
    constant: float | None = None
    jump: tuple[float, float, float] | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """x, or x and y."""
        return variables_of(self.formula)


def variables_of(formula: str) -> tuple[str, ...]:
    """x, or x and y where the formula has a y."""
    return ("x", "y") if re.search(r"\by\b", formula) else ("x",)


TARGETS = {
    "square": Target("x^2", "f'' is constant: equal cells are best", constant=2.0),
    "exponential": Target("exp(5*(x - 1))", "a boundary layer", constant=25 * ((1 - math.exp(-2)) / 2) ** 2.5),
    "root": Target("x^0.6", "infinite slope at 0", constant=0.24 / 0.44**2.5),
    "sine": Target("sin(2*pi*x)", "one period", constant=(2 * math.pi) ** 2 * _SINE**2.5),
    "sine4": Target("sin(8*pi*x)", "four periods", constant=(8 * math.pi) ** 2 * _SINE**2.5),
    "tanh": Target("tanh(50*(x - 0.5))", "a steep front"),
    "runge": Target("1/(1 + 25*(2*x - 1)^2)", "where equidistant interpolation by polynomials diverges"),
    "step-sine": Target("sin(4*pi*x) + tanh(200*(x - 0.37))/2", "a wave with a front a two-hundredth wide"),
    "step": Target("step(x - 0.5)", "a jump of height 1", jump=(0.5, 0.0, 1.0)),
    "abs": Target("abs(x - 0.5)", "a kink: two pieces are exact"),
    "weierstrass": Target(WEIERSTRASS, "first four terms of a continuous function without derivative"),
    "ripple": Target("cos(3*pi*sqrt(x^2 + y^2))", "a surface: rings around the origin", -1.0, 1.0),
    "saddle": Target("x*y", "a surface: products from sums", -1.0, 1.0),
}
