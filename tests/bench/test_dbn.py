"""The benchmark of deep belief networks asks train.py for what that takes."""

import argparse

import pytest

from bench import dbn
from bench.harness import Sample


@pytest.mark.parametrize(("count", "chosen"), [("100", True), (dbn.ALL, False)])
def test_a_seed_chooses_labels_only_where_some_are_chosen(
    count: str, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []

    def train(arguments: list[str], name: str) -> Sample:
        words.extend(arguments)
        return Sample(1.0, {})

    monkeypatch.setattr(dbn, "train", train)
    dbn.side(argparse.Namespace(recipe="r.yaml", passed=[], repeats=1), count).run(3)
    assert words[words.index("--seed") + 1] == "3"
    assert ("--model.labels_seed" in words) == ("--model.labels" in words) == chosen
