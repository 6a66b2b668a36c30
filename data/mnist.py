"""MNIST and two sets in its format: FashionMNIST (clothes) and KMNIST (cursive Japanese).

Each is 60,000 + 10,000 grey pictures of 28×28 pixels in 10 classes, four IDX files in ``ROOT/<Name>/raw``, plain or
``.gz``. Files that are missing are downloaded by torchvision, which is imported for nothing else.

Source: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition; Xiao, Rasul,
Vollgraf (2017), Fashion-MNIST; Clanuwat et al. (2018), Deep learning for classical Japanese literature.
"""

from http.client import HTTPException
from pathlib import Path
from typing import Any

from data.idx import find_idx, read_labelled
from data.images import Images, Pictures

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def missing_files(folder: Path) -> list[str]:
    """Names of the IDX files that lie in ``folder`` neither plain nor as ``.gz``."""
    return [name for pair in FILES.values() for name in pair if find_idx(folder, name) is None]


def download(name: str, root: Path) -> None:
    """Download a set of the MNIST family into ``root/name/raw`` by torchvision.

    Args:
        name: torchvision's name of the set, e.g. "MNIST".
        root: Folder of the data sets.

    Raises:
        FileNotFoundError: If that fails, in one line that says which files to put where.
    """
    try:
        import torchvision.datasets

        getattr(torchvision.datasets, name)(str(root), train=True, download=True)
    # torchvision wraps only some faults of a connection in RuntimeError; URLError and time-outs are OSError.
    except (RuntimeError, OSError, HTTPException, ImportError) as error:
        folder = root / name / "raw"
        reason = str(error).strip().splitlines()[-1].strip("<> ")[:120] or type(error).__name__
        raise FileNotFoundError(
            f"{name} is not in {folder} and could not be downloaded ({reason}): "
            f"put {', '.join(missing_files(folder))} there, plain or with .gz, or give another --data.root"
        ) from None


class MNIST(Images):
    """Handwritten digits, 28×28 pixels: 60,000 to train and validate on, 10,000 for the test.

    Args:
        root: Folder of the data sets, which holds MNIST/raw; without it $DATA_ROOT, else
            ~/.cache/deep-learning-mathematics. Missing files are downloaded to it.
        batch_size: Pictures a step, over all processes together.
        val_fraction: Share of the 60,000 to validate on, in [0, 1), usually 5,000 of them; 0 for no validation set.
        max_shift: Largest shift of the augmentation, in pixels.
        strength: Standard deviation of the elastic displacement, in pixels.
    """

    name = "mnist"
    source = "MNIST, LeCun, Cortes and Burges"
    class_names = tuple("0123456789")
    reference: tuple[float, str] | None = (0.9983, "Byerly, Kalganova, Dear 2020, one network")
    folder = "MNIST"

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 128,
        val_fraction: float = 5000 / 60000,
        max_shift: float = 2,
        strength: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(
            root=root,
            batch_size=batch_size,
            val_fraction=val_fraction,
            max_shift=max_shift,
            strength=strength,
            **options,
        )

    @property
    def raw(self) -> Path:
        """The folder of the IDX files."""
        return self.root / self.folder / "raw"

    def prepare_data(self) -> None:
        """Download the set when a file of it is missing.

        Raises:
            FileNotFoundError: If a file is missing and cannot be downloaded.
        """
        if missing_files(self.raw):
            download(self.folder, self.root)

    def read(self) -> dict[str, Pictures]:
        """The training and the test pictures of the published set.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is corrupt.
        """
        if missing := missing_files(self.raw):
            raise FileNotFoundError(f"{self.folder} needs {', '.join(missing)} in {self.raw}, plain or with .gz")
        parts = {}
        for part, names in FILES.items():
            images, labels = (find_idx(self.raw, name) for name in names)
            assert images is not None
            assert labels is not None
            parts[part] = Pictures(*read_labelled(images, labels, len(self.class_names)))
        return parts


class FashionMNIST(MNIST):
    """Clothes and shoes, 28×28 pixels: 60,000 to train and validate on, 10,000 for the test.

    Its options are those of MNIST; the files lie in ROOT/FashionMNIST/raw.
    """

    name = "fashion-mnist"
    source = "Fashion-MNIST, Zalando Research"
    reference = None
    class_names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    folder = "FashionMNIST"


class KMNIST(MNIST):
    """Cursive Japanese characters, 28×28 pixels: 60,000 to train and validate on, 10,000 for the test.

    Its options are those of MNIST; the files lie in ROOT/KMNIST/raw.
    """

    name = "kmnist"
    source = "KMNIST, ROIS-DS Center for Open Data in the Humanities"
    reference = None
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    folder = "KMNIST"
