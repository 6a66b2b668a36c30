"""100 faces and 100 patches without a face, 25×25 grey pixels, bundled with scikit-image.

The file is read where scikit-image is installed, without importing scikit-image.

Source: Huang, Mattar, Lee, Learned-Miller (2012), Learning to align from scratch (Labeled Faces in the Wild); the
patches without a face are cut from the backgrounds of the same photographs.
"""

import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from data.batches.warp import Padding
from data.bundled import package_file
from data.images import Images, Pictures
from data.split import stratified_split

NUM_TEST = 50  # a quarter


def read_faces(path: Path) -> tuple[Tensor, Tensor]:
    """Read scikit-image's ``lfw_subset.npy``: 100 faces, then 100 patches without a face, as floats in 0..1.

    The file holds means of resized photographs, between the 256 grey values; they are rounded to the nearest, which
    moves a pixel by at most 1/510.

    Args:
        path: The file.

    Returns:
        Pictures as uint8, shape (200, 1, 25, 25), and labels, 1 for a face, int64, shape (200,).

    Raises:
        ValueError: If the file is corrupt.
    """
    try:
        patches = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} is corrupt: {error}") from None
    if not isinstance(patches, np.ndarray) or patches.shape != (200, 25, 25) or patches.dtype.kind != "f":
        raise ValueError(f"{path} is corrupt: expected an array of 200×25×25 floats")
    if not (patches.min() >= 0 and patches.max() <= 1):
        raise ValueError(f"{path} is corrupt: expected values in 0..1")
    images = torch.from_numpy(np.rint(patches * 255).astype(np.uint8))[:, None]  # (200, 1, 25, 25)
    return images, (torch.arange(200) < 100).long()


class Faces(Images):
    """Face or not: 200 grey patches of 25×25 pixels, bundled with scikit-image, 50 of them for the test.

    The test patches are chosen by split_seed, the same share of both classes.

    Args:
        root: Not needed; the patches are bundled.
        batch_size: Pictures a step, over all processes together.
        val_fraction: Share of the 150 patches not in the test to validate on, in [0, 1); 0 for no validation set.
        max_shift: Largest shift of the augmentation, in pixels.
    """

    name = "faces"
    source = "Labeled Faces in the Wild, subset bundled with scikit-image"
    class_names = ("no face", "face")
    padding: Padding = "border"

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 32,
        val_fraction: float = 0.2,
        max_shift: float = 2,
        **options: Any,
    ) -> None:
        super().__init__(root=root, batch_size=batch_size, val_fraction=val_fraction, max_shift=max_shift, **options)

    def read(self) -> dict[str, Pictures]:
        """All patches, split into training and test pictures."""
        pictures = Pictures(*read_faces(package_file("skimage", "data/lfw_subset.npy", "scikit-image")))
        train, test = stratified_split(pictures.labels, NUM_TEST, self.split_seed)
        return {"train": pictures.at(train), "test": pictures.at(test)}
