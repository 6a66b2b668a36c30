"""The benchmark of region counts: its grid never finds more, and its report says whether the counts agree."""

import argparse

import pytest

from bench import regions
from bench.harness import BenchError
from theory.regions.network import random_network


def test_the_grid_finds_some_of_the_regions_and_more_when_it_is_finer() -> None:
    layers = random_network([8, 8])
    coarse, fine = (regions.grid_side(layers, side)["regions"] for side in (30, 300))
    assert 1 < coarse < fine <= regions.count_side(layers)["regions"]


def test_the_report_compares_counts_areas_and_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "NETWORKS", {"100×3": [6, 6]})
    monkeypatch.setattr(regions, "PEER_NETWORK", ("one layer of 5", [5]))
    find = lambda weights, biases, seed: argparse.Namespace(patterns=range(1 + 5 + 10))
    monkeypatch.setattr(regions, "load_peer", lambda: find)
    options = argparse.Namespace(repeats=2, warmup=0, grid=10, million=False, clock="cpu")
    report = regions.run(options)
    text = report.text()
    assert "both counts are equal and the polygons fill the square" in text
    assert "one layer of 5: equal counts, parx takes" in text
    assert len(report.samples["100×3, count"]) == 2


def test_a_grid_of_one_point_is_refused() -> None:
    with pytest.raises(BenchError, match="--grid must be at least 2, got 1"):
        regions.check(argparse.Namespace(grid=1))
