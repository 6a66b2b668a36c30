"""A user's formula: against Python's own arithmetic, autograd against calculus, and everything that must be refused."""

import math
import pickle
from collections.abc import Callable

import pytest
import torch

from theory.expression import Expression


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("x^2 + 1", lambda x: x**2 + 1),
        ("-x**2", lambda x: -(x**2)),
        ("2**-x", lambda x: 2**-x),
        ("x**0.6", lambda x: x**0.6),
        ("x**x", lambda x: x**x),
        ("exp(5*(x - 1))", lambda x: math.exp(5 * (x - 1))),
        ("sin(2*pi*x) / (1 + e*x)", lambda x: math.sin(2 * math.pi * x) / (1 + math.e * x)),
        ("max(x, 0.5) - min(x, 0.2)", lambda x: max(x, 0.5) - min(x, 0.2)),
        ("step(x - 0.5)", lambda x: float(x >= 0.5)),
        ("abs(x - 1/2) % 0.25", lambda x: abs(x - 0.5) % 0.25),
        ("3", lambda x: 3.0),
        ("  +x ", lambda x: x),
    ],
)
def test_values_are_those_of_python(text: str, due: Callable[[float], float]) -> None:
    places = torch.tensor([0.1, 0.25, 0.5, 0.9], dtype=torch.float64)
    found = Expression(text)(places)
    assert found.dtype == torch.float64
    assert found.shape == places.shape
    torch.testing.assert_close(found, torch.tensor([due(float(x)) for x in places], dtype=torch.float64))


def test_derivatives_come_by_autograd() -> None:
    x, y = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (0.3, -1.2))
    value = Expression("2*x^2 + 2*y + 4*x*y", ("x", "y"))(x, y).sum()
    gradient = torch.autograd.grad(value, (x, y), create_graph=True)
    torch.testing.assert_close(torch.cat(gradient), torch.cat([4 * x + 4 * y, 2 + 4 * x]))
    torch.testing.assert_close(torch.autograd.grad(gradient[0].sum(), y)[0], torch.tensor([4.0], dtype=torch.float64))


def test_shapes_broadcast_and_the_type_is_kept() -> None:
    x, y = torch.rand(3, 1), torch.rand(1, 4)
    assert Expression("x*y", ("x", "y"))(x, y).shape == (3, 4)
    assert Expression("pi", ("x", "y"))(x, y).shape == (3, 4)
    assert Expression("x + 1")(x).dtype == torch.float32


def test_undefined_places_give_nan_or_infinity_and_no_exception() -> None:
    assert torch.isnan(Expression("log(x - 2)")(torch.ones(1))).all()
    assert torch.isinf(Expression("9**9**9**9")(torch.ones(1))).all()
    assert torch.isinf(Expression("1/x")(torch.zeros(1))).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("2x", "is no formula"),
        ("sin(", "is no formula"),
        ("x\0", "is no formula"),
        ("x = 3", "is no formula"),
        ("x+z", "'z' .* not known"),
        ("sni(x)", "did you mean 'sin'"),
        ("sin", "needs its argument in parentheses"),
        ("2(x)", r"products with \*"),
        ("x(2)", r"products with \*"),
        ("max(x)", "takes 2 arguments, got 1"),
        ("sin(x, x)", "takes 1 argument, got 2"),
        ("x.real", "not allowed"),
        ("__import__('os')", "no function"),
        ("(lambda: 1)()", "not allowed"),
        ("x if x else 1", "not allowed"),
        ("'a'", "not allowed"),
        ("True", "no real number"),
        ("1j", "no real number"),
        ("1" + "0" * 350, "too large"),
        ("x" * 401, "401 characters"),
        ("sin(*x)", "not allowed"),
        ("x < 1", "not allowed"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Expression(text)


def test_the_deepest_text_is_evaluated() -> None:
    assert Expression("-" * 399 + "x")(torch.ones(1)) == -1
    assert Expression("+".join(["x"] * 200))(torch.ones(1)) == 200


def test_it_travels() -> None:
    expression = Expression("x*y", ("x", "y"))
    assert pickle.loads(pickle.dumps(expression)) == expression
