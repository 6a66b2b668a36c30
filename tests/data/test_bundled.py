"""Digits and faces: equal to what scikit-learn and scikit-image load, with no network; damaged files are named."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from data.bundled import package_file
from data.digits import Digits, read_digits
from data.faces import Faces, read_faces

pytestmark = pytest.mark.usefixtures("no_network")


def test_digits_equal_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    images, labels = read_digits(package_file("sklearn", "datasets/data/digits.csv.gz", "scikit-learn"))
    reference = load_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.uint8
    np.testing.assert_array_equal(images[:, 0].numpy() / 15, reference.images)  # exact, nothing is rounded
    np.testing.assert_array_equal(labels.numpy(), reference.target)


def test_faces_equal_scikit_image() -> None:
    from skimage.data import lfw_subset

    images, labels = read_faces(package_file("skimage", "data/lfw_subset.npy", "scikit-image"))
    assert images.shape == (200, 1, 25, 25)
    assert np.abs(images[:, 0].numpy() / 255 - lfw_subset()).max() <= 1 / 510 + 1e-12
    assert labels.tolist() == [1] * 100 + [0] * 100  # "100 first images are faces", says scikit-image


@pytest.mark.parametrize(("kind", "train", "val", "test"), [(Digits, 1293, 144, 360), (Faces, 120, 30, 50)])
def test_sizes(kind: type[Digits] | type[Faces], train: int, val: int, test: int) -> None:
    data = kind()
    assert data.summary()["splits"] == {"train": train, "val": val, "test": test}
    for part in ("train", "val", "test"):
        counts = torch.bincount(data.part(part).labels).double()
        whole = torch.bincount(torch.cat([data.part(name).labels for name in ("train", "val", "test")])).double()
        # Two roundings, of the test and of the validation set: within 2 pictures of the class's share.
        assert (counts - whole * counts.sum() / whole.sum()).abs().max() < 2


def test_missing_package_and_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such-package is not installed.*pip install"):
        package_file("no_such_package", "a.csv", "no-such-package")
    with pytest.raises(FileNotFoundError, match=r"sklearn/nothing.csv is missing: install scikit-learn again"):
        package_file("sklearn", "nothing.csv", "scikit-learn")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        gzip.compress(b"1,2,3\n", mtime=0),
        gzip.compress(b"x" * 40, mtime=0),
        gzip.compress(b",".join([b"17.0"] * 65), mtime=0),
        gzip.compress(b",".join([b"1.0"] * 65), mtime=0)[:20],
    ],
)
def test_damaged_digits_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is corrupt"):
        read_digits(path)


def test_damaged_faces_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lfw_subset.npy"
    good = package_file("skimage", "data/lfw_subset.npy", "scikit-image").read_bytes()
    contents = [b"", b"\x93NUMPY", good[:1000], good[:-1], b"PK\3\4" + b"junk" * 9]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} is corrupt"):
            read_faces(path)
    pickled = np.array([{"a": 1}], dtype=object)
    for array in (np.zeros((200, 25, 24)), np.full((200, 25, 25), 2.0), np.full((200, 25, 25), np.nan), pickled):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(ValueError, match=f"{path} is corrupt"):
            read_faces(path)
    np.savez(tmp_path / "archive.npz", np.zeros((200, 25, 25)))
    with pytest.raises(ValueError, match="is corrupt"):
        read_faces(tmp_path / "archive.npz")
