"""Each recipe reaches the figure that its head states: minutes, so `make slow`; MNIST is looked for in DATA_ROOT."""

import json
import os
import statistics
from pathlib import Path

import pytest

import train

pytestmark = pytest.mark.slow


def accuracies(words: list[str], seeds: int, root: Path) -> list[float]:
    """Test accuracy of a recipe for each seed; the split, where there is a choice, changes with it."""
    found = []
    for seed in range(seeds):
        seeded = [word.format(seed=seed) for word in words]
        assert train.main([*seeded, "--seed", str(seed), "--root", str(root / str(seed)), "--report", "none"]) == 0
        (metrics,) = (root / str(seed)).glob("*/*/metrics.json")
        found.append(json.loads(metrics.read_text())["test/accuracy"])
    return found


@pytest.mark.parametrize(("data", "due"), [("digits", 0.989), ("faces", 0.95)])
def test_bundled_sets(tmp_path: Path, data: str, due: float) -> None:
    words = ["--model", "cnn", "--data", data, "--data.split_seed", "{seed}"]
    found = accuracies(words, 5, tmp_path)
    assert statistics.mean(found) >= due, found


@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="MNIST is looked for in DATA_ROOT, which is not set")
@pytest.mark.parametrize(
    ("recipe", "seeds", "due"),
    [("cnn-mnist-99.yaml", 5, 0.990), ("cnn-mnist-99.5.yaml", 5, 0.995)],
)
def test_mnist(tmp_path: Path, recipe: str, seeds: int, due: float) -> None:
    found = accuracies(["-c", str(train.RECIPES / recipe)], seeds, tmp_path)
    assert statistics.mean(found) >= due, found
