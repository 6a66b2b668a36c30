"""The fine-tuning benchmark: what it reads, what it compares, what it refuses."""

import argparse
import json
from pathlib import Path

import pytest

from bench import finetune
from bench.harness import BenchError, Sample


def test_a_peer_is_read_by_its_last_line() -> None:
    figures = dict.fromkeys(finetune.PEER_FIGURES, 0.5)
    said = f"epoch 1: loss 0.5\n{json.dumps({**figures, 'seed': 0})}\n"
    assert finetune.read_peer(said, "timm") == figures
    for broken in ("", "epoch 1: loss 0.5\n", '{"val_accuracy_last": 0.93}\n'):
        with pytest.raises(BenchError, match="timm told of no result"):
            finetune.read_peer(broken, "timm")


def ours(seconds: float, accuracy: float) -> list[Sample]:
    return [Sample(seconds, {"val/accuracy": accuracy, "time/imports_s": 5.0})]


PEER = [  # 20 epochs of 9 s after 20 s of imports; the best is the fifth
    Sample(200.0, {"val_accuracy_last": last, "val_accuracy_best": 0.98, "epochs_to_best": 5.0,
                   "seconds_per_epoch": 9.0, "seconds": 180.0})
    for last in (0.93, 0.95)
]  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "seconds", "said"),
    [(0.97, 6.0, ["met"] * 4), (0.93, 18.0, ["missed"] * 4), (0.94, 9.0, ["met", "met", "met", "missed"])],
)
def test_the_head_is_judged_alone_and_by_the_time_to_the_best_epoch_of_a_peer(
    accuracy: float, seconds: float, said: list[str]
) -> None:
    samples = {"head": ours(seconds, accuracy), "policy": [], "tutorial": [], "timm": PEER}
    found = finetune.report("r.yaml", {"tutorial": 25, "timm": 20}, samples)
    [(_, rows)] = found.tables
    assert [row[0] for row in rows] == [
        "ours, head on frozen features, whole process", "timm, whole process, 20 epochs"
    ]  # fmt: skip
    _, right, after, figures, lead, imported, share, prepared = found.notes
    assert "sizes and crops may differ" in prepared
    assert figures.startswith("timm      94.00 ± 1.41 % at its last epoch, 98.00 ± 0.00 % at its best one")
    assert f"accuracy {100 * accuracy:.2f} %" in right
    assert f"{seconds - 5:.1f} s of the process after its imports" in after
    assert f"lead {100 * accuracy - 94:+.2f} points over the last epoch" in lead  # not over the best, 98 %
    assert f"time {(seconds - 5) / (5 * 9):.3f} of its time to its best epoch, both after their imports" in imported
    assert f"time {seconds / (20 + 5 * 9):.3f} of its time to its best epoch, whole processes" in share
    assert [line.split()[-1] for line in (right, after, imported, share)] == said


@pytest.mark.parametrize(("accuracy", "seconds", "said"), [(0.97, 20.0, "met"), (0.94, 90.0, "missed")])
def test_the_policy_is_judged_by_its_lead_and_its_share_of_time(accuracy: float, seconds: float, said: str) -> None:
    samples = {"head": ours(9.0, 0.9), "policy": ours(seconds, accuracy), "tutorial": PEER, "timm": []}
    found = finetune.report("r.yaml", {"tutorial": 25, "timm": 10}, samples)
    lead, share = found.notes[-3:-1]
    assert f"lead {100 * accuracy - 94:+.2f} points over the last epoch" in lead
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
    ran: list[list[str]] = []
    line = json.dumps(PEER[0].figures)
    monkeypatch.setattr(finetune, "run_child", lambda words, name: asked.append(words) or (9.0, line))
    monkeypatch.setattr(finetune, "train", lambda words, name: ran.append(words) or ours(9.0, 0.9)[0])
    options = argparse.Namespace(
        recipe=finetune.RECIPE, pictures=str(tmp_path), passed=passed, repeats=1, warmup=0, policy_repeats=1,
        peer_repeats=1, peer_epochs=25, timm_repeats=1, timm_epochs=10,
    )  # fmt: skip
    finetune.run(options)
    assert [words[-2:] for words in ran] == [["--seed", "0"], ["--model.tune", "all"]]
    assert [words[words.index("--backbone") + 1] for words in asked] == [backbone] * 2


def test_a_network_without_weights_has_no_peers() -> None:
    with pytest.raises(BenchError, match=r"--model\.backbone cnn of models/cnn\.yaml: the peers fine-tune"):
        finetune.backbone_of("models/cnn.yaml", [])


def test_a_folder_without_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    options = argparse.Namespace(
        recipe=finetune.RECIPE, pictures=str(tmp_path), policy_repeats=1, peer_repeats=1, peer_epochs=25,
        timm_repeats=1, timm_epochs=10,
    )  # fmt: skip
    with pytest.raises(BenchError, match="has no val folder"):
        finetune.check(options)
    options.peer_repeats = -1
    with pytest.raises(BenchError, match="--peer_repeats must be 0 or more"):
        finetune.check(options)
    options.peer_repeats, options.timm_epochs = 1, 0
    with pytest.raises(BenchError, match="--timm_epochs at least 1"):
        finetune.check(options)
