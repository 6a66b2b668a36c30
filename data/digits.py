"""The 1,797 handwritten digits of scikit-learn, 8×8 pixels: bundled, so that the first run needs no download.

The file is read where scikit-learn is installed, without importing scikit-learn, which takes a second.

Source: Alpaydin, Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository (its test
set): 32×32 bitmaps from 43 writers, the pixels set counted in 4×4 blocks, hence values 0..16.
"""

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.bundled import package_file
from data.images import Images, Pictures
from data.split import stratified_split

# 0..16 times 15 is 0..240: the largest whole factor that fits a byte, so the scale stays exactly linear and can be
# undone (255 / 16 = 15.9375 cannot). On the scale 0..1 a count v becomes v / 17.
SCALE = 15
NUM_TEST = 360  # a fifth


def read_digits(path: Path) -> tuple[Tensor, Tensor]:
    """Read scikit-learn's ``digits.csv.gz``: 64 counts in 0..16 and the digit in each line.

    Args:
        path: The file.

    Returns:
        Pictures as uint8, count × 15, shape (N, 1, 8, 8), and digits as int64, shape (N,).

    Raises:
        ValueError: If the file is corrupt.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines() or [""]
        table = np.array([line.split(",") for line in lines], dtype=np.float64)  # (N, 65)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"{path} is corrupt: {error}") from None
    highest = np.array([16] * 64 + [9])
    if table.shape[1] != 65 or not ((table >= 0) & (table <= highest) & (table == np.rint(table))).all():
        raise ValueError(f"{path} is corrupt: expected lines of 64 counts in 0..16 and a digit")
    whole = torch.from_numpy(table.astype(np.int64))
    return (whole[:, :64].reshape(-1, 1, 8, 8) * SCALE).to(torch.uint8), whole[:, 64].clone()


class Digits(Images):
    """Handwritten digits, 8×8 pixels, bundled with scikit-learn: 1,797 pictures, 360 of them for the test.

    Pixels are scikit-learn's counts 0..16 times 15. The test pictures are chosen by split_seed, the same share of
    each digit.

    Args:
        root: Not needed; the digits are bundled.
        batch_size: Pictures a step, over all processes together.
        val_fraction: Share of the 1,437 pictures not in the test to validate on, in [0, 1); 0 for no validation set.
        max_shift: Largest shift of the augmentation, in pixels; digits fill their 8×8 frame.
        strength: Standard deviation of the elastic displacement, in pixels.
        smoothness: Distance over which elastic displacements stay similar, in pixels.
    """

    name = "digits"
    source = "UCI optical recognition of handwritten digits, bundled with scikit-learn"
    class_names = tuple("0123456789")

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        max_shift: float = 1,
        strength: float = 0.3,
        smoothness: float = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(
            root=root,
            batch_size=batch_size,
            val_fraction=val_fraction,
            max_shift=max_shift,
            strength=strength,
            smoothness=smoothness,
            **options,
        )

    def read(self) -> dict[str, Pictures]:
        """All digits, split into training and test pictures."""
        pictures = Pictures(*read_digits(package_file("sklearn", "datasets/data/digits.csv.gz", "scikit-learn")))
        train, test = stratified_split(pictures.labels, NUM_TEST, self.split_seed)
        return {"train": pictures.at(train), "test": pictures.at(test)}
