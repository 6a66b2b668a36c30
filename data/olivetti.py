"""The Olivetti faces: 40 people, 10 grey pictures each, for two different questions.

    identification   which of these known people is it?   5 pictures of everyone to train on, 5 for the test
    verification     are these two the same person?       trained on some people, tested on people never seen

The set has two forms: scikit-learn's cache file (64×64, cropped) and the laboratory's folder of PGM files (92×112).

Source: Samaria, Harter (1994), Parameterisation of a stochastic model for human face identification, 2nd IEEE
Workshop on Applications of Computer Vision; AT&T Laboratories Cambridge.
"""

import re
import warnings
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from data.batches.warp import Padding
from data.files.decode import read_picture
from data.files.modes import PictureError
from data.images import Images, Pictures
from data.split import identification_split, verification_split

OF_PROTOCOL = tuple(
    (
        names,
        lambda options, protocol=protocol: options["data.protocol"] == protocol,
        f"only for --data.protocol {protocol}",
    )
    for protocol, names in {
        "identification": ("data.per_person_train",),
        "verification": ("data.train_people", "data.val_people", "data.test_people"),
    }.items()
)
_SUFFIXES = {".pgm", ".png", ".jpg", ".jpeg", ".bmp"}
_CACHE = Path("scikit_learn_data", "olivetti_py3.pkz")

Faces = tuple[Tensor, Tensor, list[str]]  # pictures (N, 1, H, W), person of each (N,), names of the people


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorting key that puts s2 before s10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def people_folders(folder: Path) -> list[Path]:
    """Sub-folders that hold pictures, one a person, s2 before s10; hidden ones are left out."""
    if not folder.is_dir():
        return []
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted((path for path in folders if _pictures_in(path)), key=_natural)


def _pictures_in(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))
    return sorted(files, key=_natural)


def read_cache(path: Path) -> Faces:
    """Read scikit-learn's cache of the set, ``olivetti_py3.pkz``: the original bytes, 64×64.

    ``fetch_olivetti_faces`` stretches the same bytes to floats in 0..1; the bytes are kept here.

    Args:
        path: The file, a joblib pickle: read it from a source you trust.

    Returns:
        Pictures, uint8, shape (400, 1, 64, 64); person of each, int64, shape (400,); 40 names.

    Raises:
        ValueError: If the file is corrupt.
    """
    import joblib  # type: ignore[import-untyped]

    try:
        faces = joblib.load(path)
    # A damaged pickle can raise nearly anything: EOFError, zlib.error, UnpicklingError, KeyError, ValueError, ...
    except Exception as error:
        raise ValueError(f"{path} is corrupt: {type(error).__name__} {error}") from None
    if getattr(faces, "shape", None) != (400, 4096) or faces.min() < 0 or faces.max() > 255 or (faces % 1).any():
        raise ValueError(f"{path} is corrupt: expected an array of 400×4096 grey values in 0..255")
    images = torch.from_numpy(faces.astype(np.uint8)).view(400, 1, 64, 64).transpose(2, 3).contiguous()
    return images, torch.arange(400) // 10, [f"person {person}" for person in range(40)]


def read_people(folder: Path) -> Faces:
    """Read a folder of people, each a folder of grey pictures of the same size, upright as ``predict.py`` sees them.

    Args:
        folder: Holds s1, s2, ... with 1.pgm, 2.pgm, ... in each (or png, jpg, bmp); colours become grey.

    Returns:
        Pictures, uint8, shape (N, 1, H, W); person of each, int64, shape (N,); names of the people's folders.

    Raises:
        FileNotFoundError: If there are no such folders.
        ValueError: If a file is no picture or has another size than the first.
    """
    folders = people_folders(folder)
    if not folders:
        raise FileNotFoundError(
            f"{folder} holds no people: expected folders s1, s2, ... with pictures 1.pgm, 2.pgm, ..."
        )
    images: list[np.ndarray] = []
    people: list[int] = []
    for person, path in enumerate(folders):
        for file in _pictures_in(path):
            try:
                picture = read_picture(file, channels=1)  # upright, as predict.py sees it
            except PictureError as error:
                raise ValueError(f"{file} is no readable picture: {error.cause}") from None
            if picture.mode[0] in "IF":  # their lower bits would be lost
                raise ValueError(f"{file} is no readable picture: more than 8 bits a pixel")
            grey = picture.pixels[..., 0]  # (H, W)
            if images and grey.shape != images[0].shape:
                raise ValueError(f"{file} has {grey.shape} pixels (H, W), the first picture {images[0].shape}")
            images.append(grey)
            people.append(person)
    return torch.from_numpy(np.stack(images))[:, None], torch.tensor(people), [path.name for path in folders]


def download(root: Path) -> None:
    """Download the set by scikit-learn into ``root/scikit_learn_data``.

    Args:
        root: Folder of the data sets.

    Raises:
        FileNotFoundError: If that fails, in one line that says what to put where.
    """
    try:
        from sklearn.datasets import fetch_olivetti_faces

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Retry downloading": the error below says it in one line
            fetch_olivetti_faces(data_home=str(root / _CACHE.parent), n_retries=1, delay=0.1)
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSError
        reason = " ".join(str(error).split())[:120]
        raise FileNotFoundError(
            f"the Olivetti faces are not in {root} and could not be downloaded ({reason}): put {_CACHE.name} into "
            f"{root / _CACHE.parent} or the folders s1, ..., s40 into {root / 'att_faces'}, or give another --data.root"
        ) from None


class Olivetti(Images):
    """The Olivetti (AT&T, ORL) faces: 40 people, 10 pictures each.

    Identification trains on some pictures of everyone and tests on the others; verification trains on some people and
    tests on others, with the person's number as the label. Both are chosen by split_seed.

    Args:
        root: Folder of the data sets, which holds scikit_learn_data/olivetti_py3.pkz or att_faces/s1, s2, ...; or such
            a folder of people itself. Without it $DATA_ROOT, else ~/.cache/deep-learning-mathematics.
        batch_size: Pictures a step, over all processes together.
        val_fraction: Share of the training pictures of identification to validate on, in [0, 1), the same of every
            person; 0 for no validation set. Verification has val_people instead.
        form: Which form to read: sklearn (64×64), att (the original files, 92×112), or auto, the first that is found.
        protocol: identification (known people, new pictures) or verification (new people).
        per_person_train: Training pictures a person of identification, the others are for the test; 1 to 9.
        train_people: People to train on in verification.
        val_people: People to validate on in verification, 0 or more.
        test_people: People to test on in verification.
        max_shift: Largest shift of the augmentation, in pixels.
        degrees: Largest rotation of affine and elastic augmentation, in degrees.
        strength: Standard deviation of the elastic displacement, in pixels.
        smoothness: Distance over which elastic displacements stay similar, in pixels.
    """

    CONDITIONS = (*OF_PROTOCOL, *Images.CONDITIONS)
    name = "olivetti"
    source = "Olivetti faces, AT&T Laboratories Cambridge"
    padding: Padding = "border"

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 40,
        val_fraction: float = 0.0,
        form: Literal["auto", "sklearn", "att"] = "auto",
        protocol: Literal["identification", "verification"] = "identification",
        per_person_train: int = 5,
        train_people: int = 20,
        val_people: int = 10,
        test_people: int = 10,
        max_shift: float = 2,
        degrees: float = 5.0,
        strength: float = 1.5,
        smoothness: float = 8.0,
        **options: Any,
    ) -> None:
        super().__init__(
            root=root,
            batch_size=batch_size,
            val_fraction=val_fraction,
            max_shift=max_shift,
            degrees=degrees,
            strength=strength,
            smoothness=smoothness,
            **options,
        )
        if form not in ("auto", "sklearn", "att"):
            raise ValueError(f"form must be 'auto', 'sklearn' or 'att', got {form!r}")
        if protocol not in ("identification", "verification"):
            raise ValueError(f"protocol must be 'identification' or 'verification', got {protocol!r}")
        if protocol == "verification" and val_fraction > 0:
            raise ValueError(f"val_fraction must be 0 for verification, which has val_people; got {val_fraction}")
        self.form, self.protocol, self.per_person_train = form, protocol, per_person_train
        self.people_counts = (train_people, val_people, test_people)
        self._faces: Faces | None = None

    def locate(self) -> Path | None:
        """The cache file or the folder of people that ``form`` and ``root`` lead to; None when there is none."""
        places = [self.root, self.root / "att_faces"]
        folder = None if self.form == "sklearn" else next((place for place in places if people_folders(place)), None)
        cache = None if self.form == "att" or not (self.root / _CACHE).is_file() else self.root / _CACHE
        return folder if folder == self.root or cache is None else cache

    def prepare_data(self) -> None:
        """Download the set by scikit-learn when it is missing; the original files must be given.

        Raises:
            FileNotFoundError: If the set is missing and cannot be downloaded.
        """
        if self.locate() is not None:
            return
        if self.form == "att":
            places = f"{self.root / 'att_faces'} or {self.root}"
            raise FileNotFoundError(f"put the folders s1, ..., s40 of the Olivetti faces into {places}: none are there")
        download(self.root)

    def pictures(self) -> Faces:
        """All pictures, whatever the protocol, in the order of the people.

        Returns:
            Pictures, uint8, shape (400, 1, H, W); person of each, int64, shape (400,); names of the people.
        """
        if self._faces is None:
            place = self.locate()
            if place is None:
                raise FileNotFoundError(f"the Olivetti faces are not in {self.root}, neither {_CACHE} nor att_faces/s1")
            self._faces = read_people(place) if place.is_dir() else read_cache(place)
        return self._faces

    def split_indices(self) -> dict[str, Tensor]:
        """Which of ``pictures()`` are for training, validation and test; sorted int64 indices."""
        _, people, _ = self.pictures()
        if self.protocol == "verification":
            parts = verification_split(people, *self.people_counts, seed=self.split_seed)
            return dict(zip(("train", "val", "test"), parts, strict=True))
        train, test = identification_split(people, self.per_person_train, self.split_seed)
        val = train[:0]
        if self.val_fraction > 0:
            kept, held_out = self.carve(people[train])
            train, val = train[kept], train[held_out]
        return {"train": train, "val": val, "test": test}

    def read(self) -> dict[str, Pictures]:
        """The pictures of each part of the protocol."""
        images, people, names = self.pictures()
        self.class_names = tuple(names)
        return {part: Pictures(images, people).at(indices) for part, indices in self.split_indices().items()}

    def summary(self) -> dict[str, Any]:
        """What the set is, with the protocol and the form that was read."""
        place = self.locate()
        form = "att" if place is not None and place.is_dir() else "sklearn"
        people = {part: len(self.part(part).labels.unique()) for part in ("train", "val", "test")}
        return {**super().summary(), "protocol": self.protocol, "form": form, "people": people}
