"""Real data for the few claims that need it, in the layout of ``--data.root``, under ``DATA_ROOT``."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

# One file of each set, which is there when the set is.
FILES = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte",
    "att_faces": "att_faces/s1/1.pgm",
}


def missing(name: str) -> str:
    """Why the data set ``name`` cannot be read, or an empty text."""
    root = os.environ.get("DATA_ROOT", "")
    if not root:
        return f"needs {name}: say with --data_root or DATA_ROOT where it lies"
    path = Path(root) / FILES[name]
    return "" if path.is_file() else f"needs {name}: there is no {path}"


def read_mnist(train: bool) -> tuple[Tensor, Tensor]:
    """Pictures in [0, 1] as float64, shape (N, 28, 28), and digits, shape (N,), of MNIST's training or test set."""
    from torchvision.datasets import MNIST

    mnist = MNIST(os.environ["DATA_ROOT"], train=train, download=False)
    return mnist.data.double() / 255, mnist.targets


def read_att_faces() -> tuple[Tensor, Tensor]:
    """Pictures in 0..255 as uint8, shape (400, 1, 112, 92), and people, shape (400,), of the faces as taken."""
    import numpy as np
    from PIL import Image

    folder = Path(os.environ["DATA_ROOT"]) / "att_faces"
    files = [folder / f"s{person}/{number}.pgm" for person in range(1, 41) for number in range(1, 11)]
    images = torch.from_numpy(np.stack([np.array(Image.open(file).convert("L")) for file in files]))
    return images[:, None], torch.arange(400) // 10
