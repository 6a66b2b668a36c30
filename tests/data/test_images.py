"""The contract of every data set in ``DATA``, and the options that the sets in memory share."""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from data import DATA
from data.batches.draws import Draws
from data.digits import Digits
from data.faces import Faces
from data.images import Images, channel_statistics
from data.root import DEFAULT_ROOT, resolve_root
from tests.data.test_mnist import write_set
from tests.data.test_olivetti import write_people
from theory.epochs import last_epoch

OFFLINE = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


def kind_of(name: str) -> type[Images]:
    module, _, kind = DATA[name].rpartition(".")
    return getattr(import_module(module), kind)


# The others have tests of their own.
IN_MEMORY = [name for name in DATA if issubclass(kind_of(name), Images)]


@pytest.fixture(params=IN_MEMORY)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(name: str, tmp_path: Path) -> str:
    """A folder in which the set lies, small, in its own layout."""
    if name in OFFLINE:
        write_set(tmp_path, OFFLINE[name])
    if name == "olivetti":
        write_people(tmp_path / "att_faces", people=5, pictures=8)
    return str(tmp_path)


def make(name: str, root: str, **options: object) -> Images:
    data = kind_of(name)(root=root, **{"val_fraction": 0.25, **options})  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.usefixtures("no_network")
def test_facts_and_summary(name: str, root: str) -> None:
    data = make(name, root)
    facts, summary = data.facts(), data.summary()
    assert tuple(facts) == data.FACTS
    assert data.FACTS[-3:] == ("reference", "binarised", "scheme")
    assert json.loads(json.dumps(facts)) == facts  # primitives only: a checkpoint keeps them
    assert json.loads(json.dumps(summary)) == summary
    assert {"name", "source", "splits", "classes", "shape"} <= set(summary)
    assert summary["name"] == name
    images = data.part("train").images
    assert summary["shape"] == f"{facts['in_channels']}×{facts['image_size'][0]}×{facts['image_size'][1]}"
    assert list(images.shape[1:]) == [facts["in_channels"], *facts["image_size"]]
    pixels = images.double().numpy() / 255
    np.testing.assert_allclose(facts["mean"], pixels.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(facts["std"], pixels.std(axis=(0, 2, 3)), rtol=1e-9)
    assert summary["classes"] == len(facts["class_names"]) == len(set(facts["class_names"]))


@pytest.mark.usefixtures("no_network")
def test_batches(name: str, root: str) -> None:
    data = make(name, root, batch_size=7)
    num_classes = len(data.facts()["class_names"])
    loaders = {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
    for part, loader in loaders.items():
        labels = torch.cat([batch[1] for batch in loader])
        assert len(labels) == data.summary()["splits"][part] > 0
        for images, classes in loader:
            assert images.dtype == torch.uint8
            assert images.ndim == 4
            assert classes.dtype == torch.int64
            assert 0 <= int(classes.min()) <= int(classes.max()) < num_classes
        assert set(labels.tolist()) == set(range(num_classes))
        if part != "train":
            assert torch.equal(labels, data.part(part).labels)  # in order
    assert loaders["train"].shuffle


@pytest.mark.usefixtures("no_network")
def test_same_seed_same_split_and_no_overlap(name: str, root: str) -> None:
    first, second = make(name, root, split_seed=3), make(name, root, split_seed=3, seed=8)
    other = make(name, root, split_seed=4)
    parts = ("train", "val", "test")
    for part in parts:
        assert torch.equal(first.part(part).images, second.part(part).images)
        assert torch.equal(first.part(part).labels, second.part(part).labels)
    assert any(not torch.equal(first.part(part).images, other.part(part).images) for part in parts)
    # By content: every picture of the set appears in the parts as often as with no validation set, no more.
    whole = make(name, root, split_seed=3, val_fraction=0)

    def contents(data: Images) -> list[bytes]:
        return sorted(image.numpy().tobytes() for part in parts for image in data.part(part).images)

    assert contents(first) == contents(whole)
    unique = [image.numpy().tobytes() for image in first.part("test").images]
    trained = {image.numpy().tobytes() for image in first.part("train").images}
    assert not trained & set(unique)


@pytest.mark.usefixtures("no_network")
def test_no_validation_set(name: str, root: str) -> None:
    data = make(name, root, val_fraction=0)
    assert data.val_dataloader() == []
    assert data.summary()["splits"]["val"] == 0


@pytest.mark.parametrize("aug", ["shift", "affine", "elastic"])
@pytest.mark.usefixtures("no_network")
def test_augmentation_is_for_training_alone(name: str, root: str, aug: str) -> None:
    data = make(name, root, aug=aug)
    assert data.train_dataloader().augment is not None
    assert data.val_dataloader().augment is None
    assert data.test_dataloader().augment is None
    (images, labels), again = next(iter(data.train_dataloader())), next(iter(data.train_dataloader()))
    plain, plain_labels = next(iter(make(name, root).train_dataloader()))
    assert torch.equal(images, again[0])
    assert torch.equal(labels, plain_labels)  # the order does not depend on the augmentation
    scaled = images / 255 if images.dtype == torch.uint8 else images
    assert not torch.equal(scaled, plain / 255)


def test_options_are_on_the_command_line_with_help(name: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind_of(name), "data")
    options = ["root", "batch_size", "val_fraction", "split_seed", "seed", "aug", "max_shift", "degrees", "scale"]
    options += ["shear", "stretch", "thickness", "strength", "smoothness", "flip", "erase", "calm_epochs"]
    text = parser.format_help()
    for option in options:
        assert f"--data.{option} " in text
    undocumented = [action.dest for action in parser._actions if action.dest.startswith("data.") and not action.help]
    assert not undocumented
    parsed = parser.parse_args(["--data.aug", "affine", "--data.degrees", "3"])
    data = kind_of(name)(**vars(parsed.data))
    assert data.augmentation.kind == "affine"
    assert data.augmentation.degrees == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"val_fraction": 1.0}, r"val_fraction must be in \[0, 1\), got 1.0"),
        ({"val_fraction": -0.1}, r"val_fraction must be in \[0, 1\), got -0.1"),
        ({"val_fraction": float("nan")}, r"val_fraction must be in \[0, 1\), got nan"),
        ({"val_fraction": 0.001}, r"val_fraction 0.001 does not fit digits: cannot hold out 1 of 1437"),
        ({"val_fraction": 0.999}, r"val_fraction 0.999 does not fit digits: cannot hold out 1436 of 1437"),
        ({"split_seed": -1}, "split_seed must be 0 or more, got -1"),
        ({"calm_epochs": -1}, "calm_epochs must be 0 or more, got -1"),
        ({"aug": "twist"}, "aug must be .* got 'twist'"),
        ({"max_shift": -1}, "max_shift must be 0 or more, got -1"),
    ],
)
def test_refuses(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Digits(**options).setup()


def test_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DATA_ROOT", raising=False)
    assert resolve_root(None) == tmp_path / ".cache" / "deep-learning-mathematics"
    assert DEFAULT_ROOT.startswith("~")
    monkeypatch.setenv("DATA_ROOT", "/data/sets")
    assert resolve_root(None) == Path("/data/sets")
    assert resolve_root("~/mine") == tmp_path / "mine"


def test_a_user_without_a_home_folder_has_a_root_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own; only what the user writes with ~ needs a home."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("DATA_ROOT", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987654321)
    assert resolve_root(None) == Path("/.cache/deep-learning-mathematics")
    with pytest.raises(RuntimeError, match="home directory"):
        resolve_root("~/mine")


def test_statistics_of_channels() -> None:
    images = torch.randint(0, 256, (5, 3, 7, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[:, 2] = 51
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, images.double().mean(dim=(0, 2, 3)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, images.double().std(dim=(0, 2, 3), correction=0) / 255, rtol=1e-12, atol=1e-15)
    assert mean[2] == pytest.approx(0.2)
    assert std[2] == pytest.approx(0, abs=1e-12)


class Counter(LightningModule):
    """Counts what a Trainer hands it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[list[int]]] = {"train": [], "val": [], "test": []}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.seen["train"].append(batch[1].tolist())
        return self.weight * 1.0

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.seen["val"].append(batch[1].tolist())

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.seen["test"].append(batch[1].tolist())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(data: Images, **options: object) -> dict[str, list[list[int]]]:
    counter = Counter()
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, num_sanity_val_steps=0, **{"max_epochs": 2, **options},
    )  # fmt: skip
    trainer.fit(counter, datamodule=data)
    trainer.test(counter, datamodule=data, verbose=False)
    return counter.seen


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore:Total length of .* across ranks is zero")
@pytest.mark.parametrize("val_fraction", [0.2, 0.0])
def test_trainer_runs_with_and_without_a_validation_set(val_fraction: float) -> None:
    data = Faces(val_fraction=val_fraction, batch_size=50, seed=1)
    seen = run(data)
    assert [sum(map(len, seen[part])) for part in ("train", "val", "test")] == [
        2 * (150 - round(150 * val_fraction)),
        2 * round(150 * val_fraction),
        50,
    ]
    half = len(seen["train"]) // 2
    assert seen["train"][:half] != seen["train"][half:]  # a new order each epoch


@pytest.mark.filterwarnings("ignore:.*(LeafSpec|overfit).*")
def test_overfitting_batches_are_the_same_in_every_epoch() -> None:
    seen = run(Faces(batch_size=20), overfit_batches=2)
    assert seen["train"][:2] == seen["train"][2:]


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore:Total length of .* across ranks is zero")
@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": 20, "max_steps": 8}])
@pytest.mark.parametrize(("calm_epochs", "moved"), [(0, [True] * 3), (2, [True, False, False]), (9, [False] * 3)])
def test_the_last_epochs_are_calm(
    monkeypatch: pytest.MonkeyPatch, calm_epochs: int, moved: list[bool], length: dict[str, int]
) -> None:
    """A picture that is only shifted keeps its bytes; one that is turned and sampled is made of new numbers.

    The third epoch is the last, also where steps run out in its second batch of three.
    """
    data = Faces(batch_size=50, val_fraction=0, aug="elastic", calm_epochs=calm_epochs)
    seen: dict[int, list[bool]] = {0: [], 1: [], 2: []}
    augment = data.augment

    def watched(images: Tensor, draws: Draws) -> Tensor:
        result = augment(images, draws)
        seen[draws.epoch].append(result.is_floating_point())
        return result

    monkeypatch.setattr(data, "augment", watched)
    run(data, **length)
    batches = [3, 3, 2 if "max_steps" in length else 3]
    assert list(seen.values()) == [[whether] * count for whether, count in zip(moved, batches, strict=True)]


@pytest.mark.parametrize(
    ("epochs", "steps", "batches", "together", "by_hand", "last"),
    [
        (5, -1, 10, 1, False, 4), (5, 20, 10, 1, False, 1), (5, 21, 10, 1, False, 2), (2, 21, 10, 1, False, 1),
        (5, 6, 10, 4, False, 1), (-1, 20, 10, 1, False, 1), (-1, -1, 10, 1, False, None),
        (5, 20, float("inf"), 1, False, 4), (5, 20, 10, 1, True, 4),
    ],
)  # fmt: skip
def test_the_last_epoch_is_where_epochs_or_steps_end(
    epochs: int, steps: int, batches: float, together: int, by_hand: bool, last: int | None
) -> None:
    trainer = SimpleNamespace(
        max_epochs=epochs, max_steps=steps, num_training_batches=batches, accumulate_grad_batches=together,
        lightning_module=SimpleNamespace(automatic_optimization=not by_hand),
    )  # fmt: skip
    assert last_epoch(trainer) == last


def test_calm_epochs_need_a_last_one() -> None:
    with pytest.raises(ValueError, match="calm_epochs 2: the last epoch is not known, give --epochs"):
        run(Faces(aug="elastic", calm_epochs=2), max_epochs=-1, max_steps=3)


def test_order_follows_the_runs_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    data = Faces()
    assert data.train_dataloader().seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "12")  # seed_everything(12) sets it
    assert data.train_dataloader().seed == 12
    assert Faces(seed=5).train_dataloader().seed == 5
