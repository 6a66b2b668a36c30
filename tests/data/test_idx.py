"""The IDX reader against torchvision's, and the faults of files."""

import gzip
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data.idx import find_idx, read_idx, read_labelled


def idx_bytes(tensor: Tensor, kind: int = 8) -> bytes:
    """An IDX file written independently of the reader, from the format's description."""
    header = bytes([0, 0, kind, tensor.ndim]) + b"".join(size.to_bytes(4, "big") for size in tensor.shape)
    return header + bytes(tensor.flatten().tolist())


def write(path: Path, tensor: Tensor) -> Path:
    data = idx_bytes(tensor)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def some_bytes(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (2, 1, 1, 2), (0, 4, 5), ()])
def test_reads_what_was_written(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    tensor = some_bytes(*shape)
    assert torch.equal(read_idx(write(tmp_path / name, tensor)), tensor)


def test_equals_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images = write(tmp_path / "train-images-idx3-ubyte", some_bytes(6, 28, 28))
    labels = write(tmp_path / "train-labels-idx1-ubyte", some_bytes(6) % 10)
    pictures, classes = read_labelled(images, labels, 10)
    assert torch.equal(pictures[:, 0], read_image_file(str(images)))
    assert torch.equal(classes, read_label_file(str(labels)))
    assert pictures.shape == (6, 1, 28, 28)
    assert classes.dtype == torch.int64


def test_plain_file_is_preferred_to_gz(tmp_path: Path) -> None:
    assert find_idx(tmp_path, "a") is None
    packed = write(tmp_path / "a.gz", some_bytes(2))
    assert find_idx(tmp_path, "a") == packed
    plain = write(tmp_path / "a", some_bytes(2))
    assert find_idx(tmp_path, "a") == plain


@pytest.mark.parametrize("cut", [0, 3, 4, 15, 16, 17, 75])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_any_truncation_is_an_error_that_names_the_file(tmp_path: Path, cut: int, suffix: str) -> None:
    data = idx_bytes(some_bytes(3, 4, 5))  # 16 + 60 bytes
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(data)[:cut] if suffix else data[:cut])
    with pytest.raises(ValueError, match=f"{path} .*(truncated|no IDX file)"):
        read_idx(path)


def test_too_long_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(some_bytes(3, 4, 5)) + b"x")
    with pytest.raises(ValueError, match=f"{path} is corrupt: its header promises 3×4×5 values, it holds 61"):
        read_idx(path)


def test_bad_magic(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match=f"{path} is no IDX file"):
        read_idx(path)


def test_other_types_are_refused_not_misread(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(some_bytes(4), kind=0x0D))
    with pytest.raises(ValueError, match=f"{path} holds values of type 0x0d"):
        read_idx(path)


def test_not_gzip(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(idx_bytes(some_bytes(4)))
    with pytest.raises(ValueError, match=f"{path} is a corrupt or truncated gzip"):
        read_idx(path)


@given(st.binary(max_size=60))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever the bytes, the answer is a tensor of exactly the promised size, or a ValueError with the name."""
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for content in (data, b"\0\0\x08" + data, b"\0\0\x08\x01" + struct.pack(">I", len(data)) + data):
        path.write_bytes(content)
        try:
            tensor = read_idx(path)
        except ValueError as error:
            message = str(error)
        else:
            message = f"{path} read"
            assert 4 + 4 * tensor.ndim + tensor.numel() == len(content)
        assert str(path) in message


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (some_bytes(5, 4, 4), torch.zeros(4, dtype=torch.uint8), "images holds 5 pictures but .*labels has .*4"),
        (some_bytes(5), torch.zeros(5, dtype=torch.uint8), "images must hold pictures"),
        (some_bytes(5, 4, 4), torch.full((5,), 10, dtype=torch.uint8), r"labels must hold classes 0\.\.9; found 10"),
        (some_bytes(0, 4, 4), torch.zeros(0, dtype=torch.uint8), "images must hold pictures"),
    ],
)
def test_pairs_that_do_not_belong_together(tmp_path: Path, images: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labelled(write(tmp_path / "images", images), write(tmp_path / "labels", labels), 10)
