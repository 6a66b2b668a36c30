"""What a network that learns with the statistics of its batches is validated and kept with."""

import csv
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import predict
import train
from data.folder import Folder
from models.cnn import CNNTask
from models.finetune.statistics import MOST_BATCHES, learning_statistics, take_statistics
from tests.models.small_folder import SIDE, last, metrics, stop_after, words
from tests.runs import only_run
from tests.trainer.exact import assert_equal

BATCH = ["--model.norm", "batch"]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=0.01), nn.ReLU(), nn.Conv2d(3, 4, 1),
              nn.BatchNorm2d(4, momentum=0.0003), nn.Dropout(0.5)]  # fmt: skip
    return nn.Sequential(*layers).double()


def test_statistics_are_the_mean_over_the_batches_layer_by_layer() -> None:
    network = small().eval()
    batches = list(torch.randn(3, 5, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3 + 2)
    first, second = network[1], network[4]
    take_statistics([first, second], network, batches)
    due: list[tuple[Tensor, Tensor]] = []
    for batch in batches:
        y = network[0](batch)
        mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3), correction=0)
        inner = (y - mean[:, None, None]) / (variance[:, None, None] + first.eps).sqrt()
        inner = network[3]((inner * first.weight[:, None, None] + first.bias[:, None, None]).relu())
        due.append((y, inner))
    for layer, seen in zip((first, second), zip(*due, strict=True), strict=True):
        torch.testing.assert_close(layer.running_mean, torch.stack([y.mean((0, 2, 3)) for y in seen]).mean(0))
        torch.testing.assert_close(layer.running_var, torch.stack([y.var((0, 2, 3)) for y in seen]).mean(0))
    assert [first.momentum, second.momentum] == [0.01, 0.0003]
    assert not any(module.training for module in network.modules())


def test_layers_that_do_not_learn_keep_their_statistics() -> None:
    network = small().train()
    network[1].eval()
    assert learning_statistics(network) == [network[4]]
    before = network[1].running_mean.clone()
    take_statistics(learning_statistics(network), network, [torch.ones(4, 2, 6, 6, dtype=torch.float64)])
    assert torch.equal(network[1].running_mean, before)
    assert not torch.equal(network[4].running_mean, torch.zeros(4))


def test_modes_and_momenta_come_back_when_a_batch_fails() -> None:
    network = small().eval()
    with pytest.raises(RuntimeError):
        take_statistics([network[1]], network, [torch.ones(4, 5, 6, 6, dtype=torch.float64)])
    assert network[1].momentum == 0.01
    assert not network[1].training


@pytest.mark.parametrize(
    "options",
    [[], ["--model.ema_decay", "0"], ["--data.val_fraction", "0"]],
    ids=["averaged", "plain", "without validation"],
)
def test_what_is_kept_has_the_statistics_of_its_own_weights(tmp_path: Path, pictures: Path, options: list[str]) -> None:
    """Taken again from the weights of the file, they come out the same."""
    folder = pictures / "train" if "--data.val_fraction" in options else pictures
    exact = ["--trainer.precision", "32-true"]
    assert train.main(words(folder, tmp_path, *BATCH, *exact, *options, epochs=2)) == 0
    checkpoint = last(tmp_path)
    task = CNNTask(**checkpoint["hyper_parameters"])
    task.load_state_dict(checkpoint["state_dict"])
    kept = {name: value.clone() for name, value in task.network.state_dict().items() if "running" in name}
    part = {"val_fraction": 0.0} if "--data.val_fraction" in options else {}
    data = Folder(
        str(folder), image_size=SIDE, batch_size=8, aug="light", cache_dir=str(pictures.parent / "cache"), **part
    )
    data.setup()
    views = islice(data.train_dataloader().views(1, shuffle=True), MOST_BATCHES)
    layers = learning_statistics(task.network.train())
    task.network.eval()
    with torch.no_grad():
        take_statistics(layers, task.network, [task.normalise(images) for images, _ in views])
    for name, value in task.network.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(kept[name], value, rtol=1e-4, atol=1e-5)


def test_each_epoch_is_validated_with_them(tmp_path: Path, pictures: Path) -> None:
    """The last epoch's loss is that of the kept weights, validated again after the run."""
    assert train.main(words(pictures, tmp_path, *BATCH, "--trainer.precision", "32-true", epochs=2)) == 0
    with (only_run(tmp_path) / "metrics.csv").open(newline="") as lines:
        losses = [float(row["val/loss"]) for row in csv.DictReader(lines) if row["val/loss"]]
    assert losses[-1] == pytest.approx(metrics(tmp_path)["val/loss"], rel=1e-4)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_run_that_is_stopped_takes_the_same_ones(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    options = [*BATCH, "--model.ema_decay", "0"]
    assert train.main(words(pictures, tmp_path / "whole", *options, epochs=2)) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 1, batch)
        assert train.main(words(pictures, tmp_path / "cut", *options, epochs=2)) == 143
    assert train.main(["--resume", str(only_run(tmp_path / "cut"))]) == 0
    assert_equal(last(tmp_path / "cut")["state_dict"], last(tmp_path / "whole")["state_dict"])


def test_a_network_that_asks_for_the_version_of_its_state_is_kept_averaged(tmp_path: Path, pictures: Path) -> None:
    """torchvision's MNASNet reads it from the dictionary's metadata, which a copy of the entries would not have."""
    given = words(pictures, tmp_path, *BATCH, epochs=1)
    given[given.index("--model.backbone") + 1] = "mnasnet0_5"
    assert train.main(given) == 0
    assert "averaging" in last(tmp_path)
    assert predict.main([str(only_run(tmp_path)), str(pictures / "val"), "--out", str(tmp_path / "found.csv")]) == 0
