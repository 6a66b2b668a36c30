"""Predicted paths against torch's optimisers step by step; accounts of functions whose answers are known."""

import math

import pytest
import torch

from theory.expression import Expression
from theory.landscape import LANDSCAPES, account_of, as_function, is_quadratic, measured_factors, predicted_path


def optimised(name: str, rule: str, lr: float, momentum: float, steps: int) -> torch.Tensor:
    """The path of torch's own optimiser."""
    formula, start = LANDSCAPES[name]
    f, point = as_function(formula), torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([point], lr=lr, momentum=momentum, nesterov=rule == "nesterov")
    path = [point.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        f(point).backward()
        optimizer.step()
        path.append(point.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("name", list(LANDSCAPES))
@pytest.mark.parametrize(("rule", "momentum"), [("sgd", 0.0), ("momentum", 0.7), ("nesterov", 0.7)])
def test_the_whole_path_is_known_before_the_first_step(name: str, rule: str, momentum: float) -> None:
    path = optimised(name, rule, 0.03, momentum, 40)
    account = account_of(as_function(LANDSCAPES[name][0]), path[0])
    due = predicted_path(account, path[0], 40, rule, 0.03, momentum)  # type: ignore[arg-type]
    torch.testing.assert_close(path, due, rtol=1e-11, atol=1e-12)
    measured = measured_factors(path, account, order=1 if rule == "sgd" else 2)
    expected = [
        float(torch.linalg.eigvals(matrix).abs().max())
        for curvature in account.curvature.tolist()
        for matrix in [
            {
                "sgd": torch.tensor([[1 - 0.03 * curvature]]),
                "momentum": torch.tensor([[1 - 0.03 * curvature, -0.03 * 0.7], [curvature, 0.7]]),
                "nesterov": torch.tensor([[1 - 0.03 * curvature * 1.7, -0.03 * 0.49], [curvature, 0.7]]),
            }[rule]
        ]
    ]
    assert measured == pytest.approx(expected, rel=1e-5)


def test_accounts_of_the_articles_functions() -> None:
    accounts = {name: account_of(as_function(formula), torch.tensor(start, dtype=torch.float64))
                for name, (formula, start) in LANDSCAPES.items()}  # fmt: skip
    assert all(account.quadratic for account in accounts.values())
    assert [account.kind for account in accounts.values()] == ["minimum", "saddle", "minimum"]
    assert [account.value for account in accounts.values()] == pytest.approx([2, 0.5, 3])
    assert accounts["saddle"].curvature.tolist() == pytest.approx([2 * (1 - math.sqrt(5)), 2 * (1 + math.sqrt(5))])


def test_other_functions() -> None:
    start = torch.tensor([0.3], dtype=torch.float64)
    assert account_of(as_function("x^3"), start).kind == "degenerate"
    cosine = account_of(as_function("cos(x)"), start)
    assert (cosine.kind, cosine.quadratic) == ("maximum", False)
    line = account_of(as_function("2*x"), start)
    assert line.point is None
    assert not line.has_minimum


@pytest.mark.parametrize(
    ("formula", "start", "kind", "curvature", "point"),
    [
        ("x^4", [1.0], "degenerate", [0], [0]),
        ("x^4", [1e-6], "degenerate", [0], [0]),
        ("x^3", [-0.5], "degenerate", [0], [0]),
        ("(x - 2)^6 + y^2", [1.0, 1.0], "degenerate", [0, 2], [2, 0]),
        ("x^4 - x^3", [-0.5], "degenerate", [0], [0]),
        ("x^4 + x^2", [100.0], "minimum", [2], [0]),
        ("1000000*x^2 + y^2 + x^4", [1.0, 1.0], "minimum", [2, 2e6], [0, 0]),
        ("x^4 - x^2 + y^4", [0.05, 1.0], "degenerate", [-2, 0], [0, 0]),
        ("(x - y)^2", [1.0, 3.0], "minimum", [0, 4], [2, 2]),
        ("-(x - y)^2", [1.0, 3.0], "maximum", [-4, 0], [2, 2]),
        ("1000000*x^2 + 0.000001*y^2", [1.0, 1.0], "minimum", [2e-6, 2e6], [0, 0]),
        ("1000000*x^2 - 0.000001*y^2", [1.0, 1.0], "saddle", [-2e-6, 2e6], [0, 0]),
    ],
)
def test_kinds_need_no_unit(
    formula: str, start: list[float], kind: str, curvature: list[float], point: list[float]
) -> None:
    account = account_of(as_function(formula), torch.tensor(start, dtype=torch.float64))
    assert account.kind == kind
    assert account.curvature.tolist() == pytest.approx(curvature, rel=1e-6, abs=0)
    assert account.point is not None
    assert account.point.tolist() == pytest.approx(point, abs=1e-9)


@pytest.mark.parametrize(
    ("formula", "start", "due"),
    [
        ("abs(x)", [1.0], False),
        ("abs(x - 500)", [1.0], False),
        ("abs(x) + abs(y)", [1.0, 1.0], False),
        ("relu(x - 1) + relu(-x - 1)", [0.0], False),
        ("x^2 + relu(x - 20)", [1.0], False),
        ("relu(x)^2", [3.0], False),
        ("x^3", [1.0], False),
        ("2*x", [1.0], True),
        ("(x - 1000)^2", [-3.0], True),
        ("1e-7*x^2 - 300*x + 1e5", [40.0], True),
        ("3*x^2 - 5*x*y + 1e4*y", [100.0, -0.01], True),
    ],
)
def test_a_broken_line_is_no_quadratic(formula: str, start: list[float], due: bool) -> None:
    expression = Expression(formula, ("x", "y")[: len(start)])
    f = lambda point: expression(*point.unbind(-1))
    assert is_quadratic(f, torch.tensor(start, dtype=torch.float64)) == due


def test_a_coordinate_that_never_moved_has_no_factor() -> None:
    f = as_function("2*x^2 + y^2 + 3")
    path = torch.tensor([[0.0, 1.0], [0.0, 0.8], [0.0, 0.64]], dtype=torch.float64)
    factors = measured_factors(path, account_of(f, path[0]))  # λ = 2 along y, 4 along x
    assert factors[0] == pytest.approx(0.8)
    assert math.isnan(factors[1])


def test_a_path_that_swings_through_zero_has_its_factor() -> None:
    # β = 0.9, α = 0.1, λ = 4: c = 2, 1.2, 0, −1.08, …; the second step ends at 0 exactly
    path = optimised("bowl", "momentum", 0.1, 0.9, 100)
    account = account_of(as_function(LANDSCAPES["bowl"][0]), path[0])
    assert measured_factors(path, account, order=2) == pytest.approx([0.9**0.5, 0.9**0.5], rel=1e-6)
    assert all(map(math.isnan, measured_factors(path[:1], account, order=2))), "no step, no factor"
