"""The fine-tuning benchmark: what it reads, what it compares, what it refuses."""

import argparse
from pathlib import Path

import pytest

from bench import finetune
from bench.harness import BenchError, Sample


def test_a_peer_is_read_by_its_last_line() -> None:
    said = (
        'epoch 1: loss 0.5\n{"val_accuracy_last": 0.93, "val_accuracy_best": 0.95, "seconds_per_epoch": 9, "seed": 0}\n'
    )
    assert finetune.read_peer(said, "timm") == {
        "val_accuracy_last": 0.93,
        "val_accuracy_best": 0.95,
        "seconds_per_epoch": 9.0,
    }
    for broken in ("", "epoch 1: loss 0.5\n", '{"val_accuracy_last": 0.93}\n'):
        with pytest.raises(BenchError, match="timm told of no result"):
            finetune.read_peer(broken, "timm")


@pytest.mark.parametrize(("accuracy", "seconds", "said"), [(0.97, 20.0, "met"), (0.94, 90.0, "missed")])
def test_lead_and_share_of_time(accuracy: float, seconds: float, said: str) -> None:
    ours = [Sample(seconds, {"val/accuracy": accuracy})]
    peer = [Sample(200.0, {"val_accuracy_last": last, "val_accuracy_best": 0.98}) for last in (0.93, 0.95)]
    found = finetune.report("r.yaml", {"tutorial": 25, "timm": 10}, {"ours": ours, "tutorial": [], "timm": peer})
    [(_, rows)] = found.tables
    assert [row[0] for row in rows] == ["ours, whole process", "timm, whole process, 10 epochs"]
    _, figures, lead, share, prepared = found.notes
    assert "sizes and crops may differ" in prepared
    assert figures.startswith("timm      94.00 ± 1.41 % at its last epoch, 98.00 ± 0.00 % at its best one")
    assert f"lead {100 * accuracy - 94:+.2f} points over the last epoch" in lead  # not over the best, 98 %
    assert f"time {seconds / 200:.3f} of its time" in share
    assert lead.endswith(said)
    assert share.endswith(said)


@pytest.mark.parametrize(
    ("passed", "backbone"),
    [
        ([], "efficientnet_lite0"),
        (["--model.backbone", "resnet18", "--epochs", "1"], "resnet18"),
        (["--epochs", "1", "--model.backbone=timm/resnet10t"], "timm/resnet10t"),
    ],
)
def test_the_peers_take_our_backbone(
    passed: list[str], backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    line = '{"val_accuracy_last": 0.9, "val_accuracy_best": 0.9, "seconds_per_epoch": 9}'
    monkeypatch.setattr(finetune, "run_child", lambda words, name: asked.append(words) or (9.0, line))
    monkeypatch.setattr(finetune, "train", lambda words, name: Sample(1.0, {"val/accuracy": 0.9}))
    options = argparse.Namespace(
        recipe=finetune.RECIPE, pictures=str(tmp_path), passed=passed, repeats=1, warmup=0, peer_repeats=1,
        peer_epochs=25, timm_repeats=1, timm_epochs=10,
    )  # fmt: skip
    finetune.run(options)
    assert [words[words.index("--backbone") + 1] for words in asked] == [backbone] * 2


def test_a_network_without_weights_has_no_peers() -> None:
    with pytest.raises(BenchError, match=r"--model\.backbone cnn of models/cnn\.yaml: the peers fine-tune"):
        finetune.backbone_of("models/cnn.yaml", [])


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    options = argparse.Namespace(
        recipe=finetune.RECIPE, pictures=str(tmp_path), peer_repeats=1, peer_epochs=25, timm_repeats=1, timm_epochs=10
    )
    with pytest.raises(BenchError, match="has no val folder"):
        finetune.check(options)
    options.peer_repeats = -1
    with pytest.raises(BenchError, match="--peer_repeats must be 0 or more"):
        finetune.check(options)
    options.peer_repeats, options.timm_epochs = 1, 0
    with pytest.raises(BenchError, match="--timm_epochs at least 1"):
        finetune.check(options)
