"""Calibration against torchmetrics, scikit-learn and scipy's minimiser."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from theory.calibration import (
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
)


def drawn(num: int, temperature: float, seed: int = 0, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels drawn from softmax(logits / temperature): that temperature is the right one."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator).squeeze(1)
    return logits, labels


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_equals_torchmetrics(bins: int) -> None:
    from torchmetrics.classification import MulticlassCalibrationError

    logits, labels = drawn(1000, 2.0)
    probabilities = logits.softmax(1)
    peer = MulticlassCalibrationError(num_classes=5, n_bins=bins, norm="l1")(probabilities, labels)
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(float(peer), abs=1e-6)


def test_reliability_by_hand() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [0.05, 0.95], [1.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([1, 0, 0, 0, 0])
    curve = reliability_curve(probabilities, labels, bins=2)
    # A confidence on an edge belongs to the bin below it: 0.5 to (0, 0.5], 1 to (0.5, 1].
    assert curve.share.tolist() == [0.2, 0.8]
    assert curve.accuracy.tolist() == [0.0, 0.75]
    assert curve.confidence.tolist() == pytest.approx([0.5, (0.6 + 0.9 + 0.95 + 1) / 4])
    due = 0.2 * 0.5 + 0.8 * (3.45 / 4 - 0.75)
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(due, abs=1e-15)
    assert reliability_curve(probabilities, labels, bins=4).accuracy[0].isnan()  # nobody is that unsure


def test_calibration_error_of_the_truth_is_the_bias_alone() -> None:
    # One bin, known p: accuracy - p is nearly normal, so E|accuracy - p| = √(2 p (1 - p) / (π N)).
    num, p = 400, 0.8
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.tensor([[p, 1 - p]]).expand(num, 2).double()
    errors = []
    for _ in range(500):
        labels = (torch.rand(num, generator=generator) > p).long()
        errors.append(expected_calibration_error(probabilities, labels, bins=10))
    mean = torch.tensor(errors)
    due = math.sqrt(2 * p * (1 - p) / (math.pi * num))
    assert abs(mean.mean().item() - due) < 4 * mean.std().item() / math.sqrt(500)


def corrected(logits: Tensor, labels: Tensor, beta: Tensor) -> Tensor:
    """Cross-entropy and Firth's term, its second derivative taken from the log-sum-exp itself."""
    loss = F.cross_entropy(beta * logits, labels, reduction="sum")
    (slope,) = torch.autograd.grad((beta * logits).logsumexp(1).sum(), beta, create_graph=True)
    (information,) = torch.autograd.grad(slope, beta, create_graph=True)
    return loss - information.log() / 2


@pytest.mark.parametrize("num", [12, 2000])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 20.0])
def test_temperature_equals_scipys_minimum(temperature: float, num: int) -> None:
    logits, labels = drawn(num, temperature)
    logits = logits.double()
    ours = fit_temperature(logits, labels)

    def objective(t: float) -> float:
        beta = torch.tensor(math.exp(-t), dtype=torch.float64, requires_grad=True)
        return corrected(logits, labels, beta).item()

    # A minimiser sees the minimum only to √ε; the slope there is the sharper test.
    found = minimize_scalar(objective, bounds=(-4, 4), method="bounded")
    assert ours == pytest.approx(math.exp(found.x), rel=1e-4)
    beta = torch.tensor(1 / ours, dtype=torch.float64, requires_grad=True)
    corrected(logits, labels, beta).backward()
    assert abs(beta.grad.item()) * beta.item() < 1e-9 * num


@pytest.mark.parametrize(("wrong", "num"), [(0, 5), (0, 100), (1, 5), (7, 100)])
def test_where_all_margins_are_alike_the_probability_is_that_of_jeffreys_prior(wrong: int, num: int) -> None:
    logits = torch.tensor([[3.0, 0.0]]).repeat(num, 1)
    temperature = fit_temperature(logits, (torch.arange(num) < wrong).long())
    to_be_wrong = (logits / temperature).softmax(1)[0, 1]
    assert float(to_be_wrong) == pytest.approx((wrong + 0.5) / (num + 1), rel=1e-6)


@pytest.mark.parametrize("margins", [[2.58, 33.18], [23.58, 0.33, 24.82, 51.07], [1.41, 7.2, 0.82, 2.14]])
def test_of_several_minima_the_lowest_is_taken(margins: list[float]) -> None:
    logits = torch.stack([torch.tensor(margins).double(), torch.zeros(len(margins))], 1)
    labels = torch.zeros(len(margins)).long()

    def objective(beta: float) -> float:
        return corrected(logits, labels, torch.tensor(beta, dtype=torch.float64, requires_grad=True)).item()

    least = min(objective(float(beta)) for beta in torch.logspace(-2, 2, 2001).double())
    assert objective(1 / fit_temperature(logits, labels)) <= least + 1e-9


def test_a_mistake_that_was_nearly_right_makes_nothing_certain() -> None:
    margins = torch.tensor([2.0] * 10 + [-0.01])
    logits = torch.stack([margins, torch.zeros(11)], 1)
    alone = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / math.exp(t), torch.zeros(11).long())), bounds=(-7, 3), method="bounded"
    )
    assert math.exp(alone.x) < 0.4 * fit_temperature(logits, torch.zeros(11).long())
    assert 0.5 < fit_temperature(logits, torch.zeros(11).long()) < 1


def test_temperature_finds_the_truth_and_mends_the_calibration() -> None:
    logits, labels = drawn(40_000, 2.5)
    temperature = fit_temperature(logits, labels)
    # One standard error is 1 / √(N L''(β)) for β; measured against four of them.
    beta = torch.tensor(1 / 2.5, dtype=torch.float64)
    weight = (beta * logits).softmax(1)
    curvature = ((weight * logits.square()).sum(1) - (weight * logits).sum(1).square()).mean()
    assert abs(1 / temperature - 1 / 2.5) < 4 / math.sqrt(40_000 * curvature.item())
    before = expected_calibration_error(logits.softmax(1), labels)
    after = expected_calibration_error((logits / temperature).softmax(1), labels)
    assert after < 0.02 < 0.1 < before
    assert F.cross_entropy(logits / temperature, labels) < F.cross_entropy(logits, labels)


def test_temperature_scales_with_the_logits_even_when_they_are_huge() -> None:
    logits, labels = drawn(500, 1.0)
    once = fit_temperature(logits, labels)
    assert fit_temperature(logits * 37, labels) == pytest.approx(37 * once, rel=1e-9)
    # A common part of a row changes nothing.
    assert fit_temperature(logits + 1e6 * torch.arange(500).unsqueeze(1), labels) == pytest.approx(once, rel=1e-6)


@pytest.mark.parametrize("scale", [1e100, 1e155, 1e200, 1e300])
def test_logits_of_which_no_cube_is_a_number_keep_the_whole_range(scale: float) -> None:
    logits = torch.tensor([[1.0, 0], [0, 1], [2, 0]], dtype=torch.float64)
    assert fit_temperature(logits * scale, torch.tensor([0, 1, 1])) == 100
    due = fit_temperature(logits, torch.tensor([0, 1, 1]), lowest=0.001, highest=1000)
    found = fit_temperature(logits * scale, torch.tensor([0, 1, 1]), lowest=0.001 * scale, highest=1000 * scale)
    assert found == pytest.approx(due * scale, rel=1e-10)


def test_temperature_stays_in_its_range_when_there_is_no_minimum() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits / 1e4, torch.tensor([0, 1])) == 0.01  # all right, by less than the range allows for
    assert fit_temperature(logits * 0, torch.tensor([0, 1])) == 100.0  # logits that do not differ
    assert fit_temperature(logits, torch.tensor([1, 0]), highest=50.0) == 50.0  # all wrong: never unsure enough


def test_wrong_inputs_are_refused() -> None:
    logits, labels = drawn(10, 1.0)
    with pytest.raises(ValueError, match="are these logits"):
        expected_calibration_error(logits, labels)
    with pytest.raises(ValueError, match="are these logits"):
        reliability_curve(logits.softmax(1) * math.nan, labels)
    assert math.isnan(expected_calibration_error(logits.softmax(1) * math.nan, labels))
    with pytest.raises(ValueError, match="bins"):
        reliability_curve(logits.softmax(1), labels, bins=0)
    with pytest.raises(ValueError, match="N >= 1"):
        fit_temperature(logits[:0], labels[:0])
    with pytest.raises(ValueError, match="N >= 1"):
        fit_temperature(logits, labels[:5])
    with pytest.raises(ValueError, match=r"0\.\.4"):
        fit_temperature(logits, labels + 5)
    with pytest.raises(ValueError, match="not finite"):
        fit_temperature(logits / 0, labels)
    with pytest.raises(ValueError, match="lowest"):
        fit_temperature(logits, labels, lowest=2.0, highest=1.0)
