"""What a fine-tuning run leaves: its split, its worst pictures, a card; and that nothing is computed twice."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import predict
import train
from models.finetune.backbones import Backbone
from models.finetune.origin import weights_origin
from tests.models.small_folder import metrics, words
from tests.runs import only_run, table
from trainer.run.card import card_text
from trainer.safe_file import load_checkpoint


@pytest.fixture(scope="module")
def seen() -> list[int]:
    """Pictures that went through the body, batch by batch."""
    return []


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory, seen: list[int]) -> Path:
    """A head on frozen features, fitted and judged."""
    root = tmp_path_factory.mktemp("head")
    with pytest.MonkeyPatch.context() as patch:
        features = Backbone.features

        def counting(self: Backbone, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return features(self, x)

        patch.setattr(Backbone, "features", counting)
        assert train.main(words(pictures, root, "--model.tune", "head")) == 0
    return only_run(root)


def test_a_frozen_body_sees_each_validation_picture_once(run: Path, seen: list[int]) -> None:
    # The training pictures go through a folded copy of the body; one picture checks their size.
    assert sum(seen) - 1 == 12


def test_the_split_is_kept_and_can_be_read_back(run: Path, pictures: Path, tmp_path: Path) -> None:
    rows = table(run / "split.csv")
    assert len(rows) == 32
    assert {(row["label"], row["split"]) for row in rows} == {(a, b) for a in ("blue", "red") for b in ("train", "val")}
    again = words(pictures, tmp_path, "--model.tune", "head", "--data.csv", str(run / "split.csv"))
    assert train.main(again) == 0
    assert metrics(tmp_path)["val/loss"] == metrics(run.parent.parent)["val/loss"]


def test_top_losses_name_the_file_and_agree_with_prediction(run: Path, tmp_path: Path) -> None:
    rows = table(run / "top_losses.csv")
    assert len(rows) == 12
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert sum(losses) / 12 == pytest.approx(metrics(run.parent.parent)["val/loss"], abs=1e-5)
    for row in rows:
        assert Path(row["path"]).parent.name == row["label"]
        if row["label"] == row["predicted"]:
            assert float(row["probability"]) == pytest.approx(float(torch.tensor(-float(row["loss"])).exp()), abs=1e-5)
    out = tmp_path / "out.csv"
    assert predict.main([str(run), *(row["path"] for row in rows), "--out", str(out)]) == 0
    assert [row["label"] for row in table(out)] == [row["predicted"] for row in rows]


def test_the_confusion_matrix_is_a_table_and_its_worst_pair_is_said(run: Path) -> None:
    rows = {
        row.pop("truth"): {guess: int(count) for guess, count in row.items()} for row in table(run / "confusion.csv")
    }
    assert {truth: sum(row.values()) for truth, row in rows.items()} == {"blue": 6, "red": 6}
    right = rows["blue"]["blue"] + rows["red"]["red"]
    assert right / 12 == metrics(run.parent.parent)["val/accuracy"]
    report = (run / "report.md").read_text(encoding="utf-8")
    assert f"blue {rows['blue']['blue']}/6, red {rows['red']['red']}/6" in report
    pairs = sorted((-rows[truth][guess], truth, guess) for truth in rows for guess in rows if rows[truth][guess])
    wrong = [f"{truth} → {guess} ({-count} of 6)" for count, truth, guess in pairs if truth != guess]
    assert ("| most confused | " + ", ".join(wrong) + " |" in report) == bool(wrong)


def test_the_checkpoint_holds_the_figures_of_the_result(run: Path) -> None:
    kept, found = load_checkpoint(run / "checkpoints/last.ckpt")["house"]["metrics"], metrics(run.parent.parent)
    assert kept["val/accuracy"] == found["val/accuracy"]
    assert kept == {tag: found[tag] for tag in kept}
    assert not [tag for tag in kept if tag.startswith(("time/", "sys/"))]


def test_the_card_has_the_recall_of_each_of_many_classes(tmp_path: Path) -> None:
    names = [f"c{number:02}" for number in range(45)]
    labels = torch.arange(45).repeat(2)
    summary = {"name": "x", "source": "x", "splits": {"train": 90, "val": 90}}
    data: Any = SimpleNamespace(summary=lambda: summary, preprocessing=dict, labels=lambda split: labels)
    recalls = {name: (number % 3, 2) for number, name in enumerate(names)}
    task: Any = SimpleNamespace(hparams={"class_names": names}, recalls=lambda: recalls, describe=lambda: "a network")
    text = card_text(
        "x",
        task,
        data,
        findings=[("validation accuracy", "50 %")],
        metrics={},
        facts=[("seed", "0")],
        checkpoint=tmp_path / "best.ckpt",
    )
    assert "none to judge by" not in text
    assert "| c01 | 2 | 2 | 50.0 % (9 to 91 %) |" in text
    assert text.count("| 2 | 2 |") == 45


def test_the_card_says_what_the_figures_are_and_are_not(run: Path) -> None:
    text = (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    accuracy = metrics(run.parent.parent)["val/accuracy"]
    assert f"{100 * accuracy:.2f} %" in text
    assert "the validation pictures chose nothing" in text
    assert re.search(r"\| blue \| 12 \| 6 \| [\d.]+ % \(\d+ to \d+ %\) \|", text)
    assert "measured on 12 pictures: the 95 % interval is" in text
    assert "no foreign weights are in it" in text
    assert "| interpolation | bilinear |" in text
    assert "python train.py --model cnn --data" in text
    assert not re.search(r"\bnan\b|None|\[\]", text)


def test_without_test_pictures_validation_fits_the_temperature_and_is_not_judged_after_it(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    found = metrics(run.parent.parent)
    temperature = found["val/temperature"]
    assert not [name for name in found if "after_temperature" in name or name.startswith("test/")]
    assert load_checkpoint(run / "checkpoints/last.ckpt")["house"]["temperature"] == temperature
    text = (run / "report.md").read_text(encoding="utf-8")
    assert f"before temperature {temperature:.2f}, which was fitted on these pictures and flatters them" in text
    assert f"before the temperature {temperature:.2f} that prediction" in (run / "MODEL_CARD.md").read_text("utf-8")
    rows = table(run / "top_losses.csv")
    out = tmp_path / "out.csv"
    assert predict.main([str(run), *(row["path"] for row in rows), "--out", str(out)]) == 0
    for row, answer in zip(rows, table(out), strict=True):  # two classes: the logit is divided
        raw = torch.tensor(float(row["probability"])).double().logit()
        assert float(answer["probability"]) == pytest.approx(float((raw / temperature).sigmoid()), abs=2e-4)
    right = [row["label"] == row["predicted"] for row in rows]
    logits = torch.tensor([float(row["probability"]) for row in rows]).double().logit()
    signed = torch.where(torch.tensor(right), logits, -logits)

    def corrected(temperature: float) -> float:  # with Firth's term
        scaled = signed / temperature
        information = (signed.square() * scaled.sigmoid() * (-scaled).sigmoid()).sum()
        return float(torch.nn.functional.softplus(-scaled).sum() - information.log() / 2)

    assert all(corrected(temperature) <= corrected(temperature * factor) + 1e-5 for factor in (0.8, 0.95, 1.05, 1.25))


def test_weights_say_where_they_are_from() -> None:
    assert "Apache-2.0" in weights_origin("efficientnet_lite0", "default")
    assert "timm/resnet18.a1_in1k (apache-2.0)" in weights_origin("timm/resnet18", "default")
    assert "torchvision" in weights_origin("resnet18", "default")
    assert "mine.pth" in weights_origin("resnet18", "mine.pth")


def test_pictures_of_a_resident_loader_are_not_copied(pictures: Path) -> None:
    from types import SimpleNamespace

    from data.batches.loader import TensorLoader
    from models.classification.evaluation import Evaluation

    images = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10) % 2
    loader = TensorLoader(images, labels, 4)
    trainer: Any = SimpleNamespace(world_size=1, state=SimpleNamespace(fn="fit"), val_dataloaders=loader)
    evaluation = Evaluation(["a", "b"])
    for batch, targets in loader:
        evaluation.collect(trainer, batch, targets, torch.zeros(len(batch), 1), torch.zeros(len(batch), 2))
    outcome = evaluation.finish(trainer)
    assert outcome.images.data_ptr() == images.data_ptr()
    assert torch.equal(outcome.pictures(torch.tensor([7, 2])), images[[7, 2]])
    trainer.val_dataloaders = [loader]  # not a loader that holds its pictures
    for batch, targets in loader:
        evaluation.collect(trainer, batch, targets, torch.zeros(len(batch), 1), torch.zeros(len(batch), 2))
    assert torch.equal(evaluation.finish(trainer).images, images)
