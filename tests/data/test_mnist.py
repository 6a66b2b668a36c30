"""MNIST's family from small IDX files; missing files without a network; the real set when DATA_ROOT has it."""

import gzip
import os
from pathlib import Path

import pytest
import torch

from data.mnist import FILES, KMNIST, MNIST, FashionMNIST, missing_files
from tests.data.test_idx import idx_bytes, some_bytes

SETS = [MNIST, FashionMNIST, KMNIST]


def write_set(root: Path, name: str, packed: bool = False) -> Path:
    """A set of the family with 40 training and 20 test pictures of 6×5 pixels, 10 classes."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    pictures = some_bytes(60, 6, 5).split([40, 20])
    for (images, labels), part in zip(FILES.values(), pictures, strict=True):
        tensors = {images: part, labels: (torch.arange(len(part)) % 10).to(torch.uint8)}
        for file, tensor in tensors.items():
            data = idx_bytes(tensor)
            (folder / (f"{file}.gz" if packed else file)).write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.usefixtures("no_network")
def test_reads_plain_and_packed_files(tmp_path: Path, kind: type[MNIST], packed: bool) -> None:
    write_set(tmp_path, kind.folder, packed)
    data = kind(str(tmp_path), val_fraction=0.25)
    data.prepare_data()
    data.setup()
    assert data.summary()["splits"] == {"train": 30, "val": 10, "test": 20}
    assert torch.equal(data.part("test").images[:, 0], some_bytes(60, 6, 5)[40:])
    assert torch.bincount(data.part("val").labels).tolist() == [1] * 10


@pytest.mark.parametrize("kind", SETS)
def test_class_names_are_torchvisions(kind: type[MNIST]) -> None:
    import torchvision.datasets

    names = getattr(torchvision.datasets, kind.folder).classes
    expected = [name[0] for name in names] if kind is MNIST else names
    assert list(kind.class_names) == expected


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.usefixtures("no_network")
def test_missing_without_network_is_one_line_with_the_files(tmp_path: Path, kind: type[MNIST]) -> None:
    folder = write_set(tmp_path, kind.folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    data = kind(str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        data.prepare_data()
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    assert "put t10k-labels-idx1-ubyte there" in message
    assert missing_files(folder) == ["t10k-labels-idx1-ubyte"]
    with pytest.raises(FileNotFoundError, match="needs t10k-labels-idx1-ubyte in"):
        data.setup()


@pytest.mark.usefixtures("no_network")
def test_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"root must be the folder that holds the data sets, got the file"):
        MNIST(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded .*Not a directory"):
        MNIST(str(tmp_path / "file" / "below")).prepare_data()


def test_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path, "MNIST")
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=f"{path} is truncated"):
        MNIST(str(tmp_path)).setup()


@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="DATA_ROOT is not set: real MNIST not tested")
def test_real_mnist() -> None:
    data = MNIST()
    if missing_files(data.raw):
        pytest.skip(f"no MNIST in {data.raw}")
    data.setup()
    assert data.summary()["splits"] == {"train": 55000, "val": 5000, "test": 10000}
    facts = MNIST(val_fraction=0).facts()
    # The values that everybody normalises MNIST by.
    assert facts["mean"] == [pytest.approx(0.1307, abs=5e-5)]
    assert facts["std"] == [pytest.approx(0.3081, abs=5e-5)]
