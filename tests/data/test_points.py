"""Points in classes: truth tables, geometry, independence of the parts, and refusals."""

import itertools
import re

import pytest
import torch

from data.points import Points, draw
from theory.gates import GATES, truth_table

TABLES = {
    "and": [0, 0, 0, 1],
    "or": [0, 1, 1, 1],
    "nand": [1, 1, 1, 0],
    "nor": [1, 0, 0, 0],
    "xor": [0, 1, 1, 0],
    "xnor": [1, 0, 0, 1],
}


@pytest.mark.parametrize("name", sorted(GATES))
def test_a_gate_without_noise_is_its_truth_table(name: str) -> None:
    points, labels = draw(name, 4, 0.0, seed=0)
    assert points.tolist() == [list(map(float, row)) for row in itertools.product((0, 1), repeat=2)]
    assert labels.tolist() == TABLES[name]
    assert [truth_table(name, 2) >> row & 1 for row in range(4)] == TABLES[name]


def test_parity_of_three_inputs() -> None:
    points, labels = draw("xor", 8, 0.0, seed=0, num_inputs=3)
    assert labels.tolist() == (points.sum(1) % 2).long().tolist()
    assert len(points.unique(dim=0)) == 8


def test_noise_has_the_deviation_asked_for() -> None:
    clean, noisy = draw("xor", 20_000, 0.0, seed=1), draw("xor", 20_000, 0.3, seed=1)
    assert float((noisy.points - clean.points).std()) == pytest.approx(0.3, abs=0.005)
    assert torch.equal(clean.labels, noisy.labels)


def test_rings_change_class_at_their_radii() -> None:
    points, labels = draw("rings", 5000, 0.0, seed=2, num_rings=3)
    radius = points.norm(dim=1)
    assert torch.equal(labels == 1, (radius >= 1 / 3) & (radius < 2 / 3))
    assert float(points.abs().max()) <= 1


def test_spirals_lie_on_their_curves_and_moons_on_their_circles() -> None:
    points, labels = draw("spirals", 1000, 0.0, seed=3, turns=2)
    radius = points.norm(dim=1)
    angle = 2 * torch.pi * 2 * radius + torch.pi * labels
    assert torch.allclose(points, torch.stack([radius * angle.cos(), radius * angle.sin()], 1), atol=1e-5)
    points, labels = draw("moons", 1000, 0.0, seed=3)
    assert float(points.abs().max()) <= 1
    centre = torch.tensor([-1.0, -0.5]) / 3 * torch.where(labels[:, None] == 0, 1, -1)
    assert torch.allclose((points - centre).norm(dim=1), torch.full((1000,), 2 / 3), atol=1e-6)


def test_parts_are_independent_and_repeatable() -> None:
    one, same, other = Points("rings"), Points("rings"), Points("rings", split_seed=1)
    assert torch.equal(one.part("train").points, same.part("train").points)
    assert not torch.equal(one.part("train").points, other.part("train").points)
    rows = torch.cat([one.part(part).points for part in ("train", "val", "test")])
    assert len(rows.unique(dim=0)) == len(rows) == sum(one.summary()["splits"].values())


def test_facts() -> None:
    assert Points("xor", num_inputs=3).facts() == {
        "class_names": ["0", "1"],
        "in_features": 3,
        "box": [-0.5, 1.5],
        "target": "xor",
        "circles": [],
    }
    data = Points("rings", num_rings=4, noise=0.0)
    radii, (points, labels) = data.facts()["circles"], data.part("test")
    assert radii == [0.25, 0.5, 0.75]
    passed = sum((points.norm(dim=1) >= radius).long() for radius in radii)
    assert torch.equal(labels, torch.as_tensor(passed % 2)), "the class changes at each of them"
    assert Points("moons").facts()["box"] == [-1.0, 1.0]


def test_without_validation_points_there_is_no_loader() -> None:
    assert Points(num_val=0).val_dataloader() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 1}, "--data.num_points must be between 2 and 10,000,000, got 1"),
        ({"noise": -0.1}, "--data.noise must be between 0 and 1,000,000, got -0.1"),
        ({"noise": float("nan")}, "--data.noise must be between 0 and 1,000,000, got nan"),
        ({"points": "spirals", "turns": -1}, "--data.turns must be between 0 and 100, got -1"),
        ({"points": "spirals", "turns": 1e30}, "--data.turns must be between 0 and 100, got 1e+30"),
        ({"points": "rings", "turns": 2.0}, "--data.turns is only for --data.points spirals, got 2.0"),
        ({"points": "xor", "turns": 2.0}, "--data.turns is only for --data.points spirals, got 2.0"),
        ({"points": "spirals", "num_rings": 10}, "--data.num_rings is only for --data.points rings, got 10"),
        ({"points": "rings", "num_rings": 1}, "--data.num_rings must be between 2 and 400, got 1"),
        ({"points": "rings", "num_rings": 10**12}, "--data.num_rings must be between 2 and 400, got 1000000000000"),
        ({"num_test": 10**12}, "--data.num_test must be between 1 and 10,000,000, got 1000000000000"),
        ({"seed": -1}, "--data.seed must be at least 0, got -1"),
        ({"noise": 1e30}, "--data.noise must be between 0 and 1,000,000, got 1e+30"),
        ({"num_inputs": 11}, "--data.num_inputs must be between 1 and 10, got 11"),
        ({"points": "moons", "num_inputs": 3}, "--data.num_inputs is only for gates"),
        ({"num_points": 3}, "at least 4, the rows of the table, got 3"),
        ({"batch_size": 0}, "--data.batch_size must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Points(**options)
