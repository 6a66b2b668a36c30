"""The folds that judge a head keep together what belongs together: copies, and the pictures of a group."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import models.finetune.start
import train
from models.finetune.folds import choosing, stratified_folds, whole_units
from models.finetune.head_start import HeadFit, fit_best_head, fit_head
from tests.models.small_folder import make_pictures, words


def patients(count: int, each: int, spread: float = 0.01) -> tuple[Tensor, Tensor, Tensor]:
    """Features of nearly equal pictures of patients, labels that say nothing, and the patient of each picture."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(count, 200, generator=generator).repeat_interleave(each, 0)
    numbers = torch.arange(count).repeat_interleave(each)
    return centres + spread * torch.randn(centres.shape, generator=generator), numbers % 2, numbers


def test_a_head_is_not_judged_by_patients_that_it_knows() -> None:
    features, labels, units = patients(60, 5)
    known = fit_head(features, labels, 2)
    assert known.accuracy > 0.99, "each picture has nearly equal ones in the other folds"
    unknown = fit_head(features, labels, 2, units=units)
    low, high = 0.3, 0.7  # 60 guesses: 0.5, deviation 0.065
    assert low < unknown.accuracy < high
    assert unknown.strength >= 0.1
    assert min(unknown.losses) == pytest.approx(torch.tensor(2).log().item(), abs=0.05)
    assert fit_best_head(features, [slice(0, 200)], labels, 2, False, units=units).losses == unknown.losses


@pytest.mark.parametrize("count", [2, 3, 7, 300, 1700])
def test_pictures_that_are_all_by_themselves_are_folded_as_without_units(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    labels = torch.randint(0, 3, (count,), generator=generator)
    labels[0] = 3  # a class of one picture
    units = torch.randperm(5 * count, generator=generator)[:count].sort().values
    assert torch.equal(stratified_folds(labels, 5, units), stratified_folds(labels, 5))
    assert torch.equal(choosing(labels, 4, units), choosing(labels, 4))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_folds_and_the_part_that_chooses_take_whole_units_in_proportion(num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(1, 12, (900,), generator=generator)
    units = torch.randperm(900, generator=generator).repeat_interleave(sizes)
    labels = units % num_classes
    shuffled = torch.randperm(len(units), generator=generator)
    units, labels = units[shuffled], labels[shuffled]
    folds, chosen = stratified_folds(labels, 5, units), choosing(labels, num_classes, units)
    for unit in range(900):
        assert len(folds[units == unit].unique()) == 1
        assert len(chosen[units == unit].unique()) == 1
    for label in range(num_classes):
        counts = torch.bincount(torch.stack([units, folds])[:, labels == label].unique(dim=1)[1])
        assert counts.max() - counts.min() <= 1, "units of a class in each fold"
        share = chosen[labels == label].double().mean() * len(labels)
        assert 800 < share < 1200, "of a thousand"


def test_a_class_of_one_unit_is_divided_and_the_others_are_not() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    units = torch.tensor([7, 7, 3, 3, 5, 5, 5, 5])
    first, index = whole_units(labels, units)
    assert first.tolist() == [0, 2, 4, 5, 6, 7]
    assert index.tolist() == [0, 0, 1, 1, 2, 3, 4, 5]
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    one = fit_head(features, labels, 2, units=torch.zeros(8, dtype=torch.int64))  # a single patient
    assert one.losses == fit_head(features, labels, 2).losses


def test_few_of_large_units_still_have_ten_of_each_class() -> None:
    features, labels, units = patients(50, 100)
    assert choosing(labels, 2).sum() == 1000
    chosen = choosing(labels, 2, units)
    assert [len(units[chosen & (labels == label)].unique()) for label in (0, 1)] == [10, 10]
    assert fit_head(features[:, :4], labels, 2, units=units).judged == 2000


@pytest.mark.parametrize("grouped", [False, True])
def test_a_run_keeps_copies_and_groups_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool) -> None:
    root = make_pictures(tmp_path / "pictures", {"train": (6, 5), "val": (2, 2)})
    shutil.copy(root / "train/blue/0.png", root / "train/blue/again.png")
    files = sorted(root.glob("*/*/*.png"))
    with open(tmp_path / "list.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "split", "patient"])
        for path in files:
            split, label = path.parts[-3:-1]
            rows.writerow([path, label, split, f"{split}{path.stem}" if path.stem in ("1", "2") else ""])
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(features: Tensor, parts: Any, labels: Tensor, *rest: Any, units: Tensor, **named: Any) -> HeadFit:
        seen.append((labels, units))
        return fit_best_head(features, parts, labels, *rest, units=units, **named)

    monkeypatch.setattr(models.finetune.start, "fit_best_head", watched)
    more = ["--data.group_column", "patient"] if grouped else []
    asked = words(tmp_path / "list.csv", tmp_path, "--model.tune", "head", *more)
    assert train.main(asked) == 0
    ((labels, units),) = seen
    names = [path.parts[-2:] for path in files if path.parts[-3] == "train"]
    together: dict[int, set[str]] = {}
    for (label, file), unit in zip(names, units.tolist(), strict=True):
        together.setdefault(unit, set()).add(f"{label}/{file}")
    assert labels.tolist() == [int(label == "red") for label, _ in names]
    due = [{"blue/0.png", "blue/again.png"}]
    due += [{f"{label}/{number}.png" for label in ("blue", "red")} for number in (1, 2)] if grouped else []
    assert sorted(map(sorted, (files for files in together.values() if len(files) > 1))) == sorted(map(sorted, due))
