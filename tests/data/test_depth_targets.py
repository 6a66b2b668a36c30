"""The sawtooth and x²: their values, and refusals."""

import pytest
import torch

from data.depth_targets import DepthTargets
from theory.regions.constructions import sawtooth_values


def hat(x: torch.Tensor) -> torch.Tensor:
    return 2 * x.relu() - 4 * (x - 0.5).relu()


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_the_sawtooth_is_the_hat_composed_with_itself(stages: int) -> None:
    x = torch.arange(1025, dtype=torch.float64) / 1024
    y = x
    for _ in range(stages):
        y = hat(y)
    assert torch.equal(sawtooth_values(x, stages), y)


def test_parts() -> None:
    data = DepthTargets("square", num_points=50, num_test=10)
    x, y = data.part("test")
    assert torch.allclose(x[:, 0], (torch.arange(10) + 0.5) / 10)
    assert torch.allclose(y, x[:, 0] ** 2)
    assert torch.equal(data.part("train")[0], DepthTargets("sawtooth", num_points=50).part("train")[0])
    assert data.facts() == {"class_names": [], "in_features": 1, "box": [0.0, 1.0], "target": "x²"}
    assert DepthTargets(stages=4).facts()["target"] == "sawtooth of 16 pieces"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": 0}, r"--data.stages must be in 1\.\.12, got 0"),
        ({"num_points": 1}, "--data.num_points must be at least 2"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DepthTargets(**options)
