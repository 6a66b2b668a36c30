"""What TensorBoard's own pages show of a classifier."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.classification.board import MOST_POINTS, show_features
from models.classification.evaluation import Outcome
from models.classification.explanation import classifier_figures
from tests.models.small_folder import words
from tests.runs import only_run


class Writer:
    def add_embedding(self, features: Any, **given: Any) -> None:
        self.features, self.given = features, given


def outcome(count: int, class_names: list[str]) -> Outcome:
    labels = torch.arange(count) % len(class_names)
    logits = torch.eye(len(class_names))[labels.roll(1)]
    return Outcome(torch.zeros(count, 1, 4, 4), labels, torch.zeros(count, 3), logits, class_names)


def test_a_point_of_the_projector_names_class_guess_and_file() -> None:
    writer = Writer()
    show_features(writer, 3, outcome(2, ["cat", "a\tb"]), ["/photos/x/1.png", "/photos/y/caf\udce9 \n.png"])
    assert writer.given["metadata_header"] == ["class", "guess", "file"]
    assert writer.given["metadata"] == [["cat", "a b", "1.png"], ["a b", "cat", "caf\\udce9 .png"]]
    show_features(writer, 3, outcome(2, ["cat", "dog"]))
    assert writer.given["metadata_header"] == ["class", "guess"]


def test_files_stay_beside_their_points_where_not_all_are_shown() -> None:
    count, writer = MOST_POINTS + 10, Writer()
    files = [f"{place}.png" for place in range(count + 5)]  # more than a limited test has judged
    show_features(writer, 0, outcome(count, ["even", "odd"]), files)
    assert len(writer.features) == len(writer.given["metadata"]) <= MOST_POINTS
    assert writer.given["metadata"][7] == ["even", "odd", "14.png"]


def test_a_mistake_is_shown_with_its_own_file() -> None:
    judged = outcome(4, ["cat", "dog"])
    judged.logits[0] = torch.tensor([5.0, 0.0])  # the first is right
    files = [f"/photos/{place}.png" for place in range(4)]
    figures = dict(itertools.islice(classifier_figures(object(), judged, None, [], files), 3))
    (axes,) = figures["mistakes"].axes
    assert [text.get_text().splitlines()[-1] for text in axes.texts] == ["1.png", "2.png", "3.png"]


def test_a_run_on_a_folder_names_the_files(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[list[str]] = []

    def figures(task: Any, test: Outcome, *others: Any) -> Any:
        named.append(others[-1])
        return classifier_figures(task, test, *others)

    monkeypatch.setattr("models.classification.explanation.classifier_figures", figures)
    given = words(pictures, tmp_path, "--model.tune", "head")
    given[given.index("--report") + 1] = "full"
    assert train.main(given) == 0
    (table,) = only_run(tmp_path).glob("**/metadata.tsv")
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    assert rows[0] == ["class", "guess", "file"]
    assert sorted((row[0], row[2]) for row in rows[1:]) == sorted(
        (c, f"{i}.png") for c in ("blue", "red") for i in range(6)
    )
    assert [re.sub(".*/(.*/.*)", r"\1", file) for file in named[0]] == [f"{row[0]}/{row[2]}" for row in rows[1:]]
