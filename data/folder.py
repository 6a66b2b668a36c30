"""A user's own pictures: a folder or a CSV file to training, validation and test batches.

Files are listed (data/files/layout.py, data/files/table.py), read once and split (data/files/gather.py), and served
from memory as tensors: after the first pass nothing is decoded again. Validation and prediction share one preprocessing
(data/files/preprocess.py), so that the accuracy printed here is the accuracy of ``predict.py``.
"""

import os
import sys
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from data.batches.draws import SCHEME, Draws
from data.batches.loader import TensorLoader
from data.batches.views import Views, check_views
from data.files.decode import MAX_PIXELS
from data.files.gather import PARTS, digests_of, fingerprints, gather
from data.files.layout import Entry, Listing
from data.files.lineage import Heir
from data.files.modes import SEEN
from data.files.preprocess import FITS, preprocessing
from data.files.report import files_csv, found_lines, remarks
from data.files.scan import scan_file
from data.files.split_rule import SplitRule
from data.files.store import PixelStore, check_cache
from data.files.table import folder_or_list, listed, split_csv
from data.images import channel_statistics
from data.ranges import check_among, check_within
from data.root import usual_root
from data.run import order_seed, resident, run_device
from data.split import balanced

_NO_VIEWS = "none: a head is fitted on features of the plain pictures"
_SOURCE_SHARE = 1.25  # side of a stored training picture over the network's: room to crop from


class Folder(Heir, LightningDataModule):
    """Pictures of a folder with train/ and val/ (and test/), of a folder with one folder a class, or of a CSV file.

    Args:
        path: The folder; with csv, where its relative paths begin.
        csv: CSV file with the columns path,label[,split].
        image_size: Height and width that the network sees, in pixels; without it what the model's weights want, or 224.
        channels: 3 for colour, 1 for grey; another number, up to 32, of bands or frames that each file must have.
        val_fraction: Share of the pictures to validate on when there is no val/, in [0, 1), the same of every class.
        test_fraction: Share of the pictures to test on when there is no test/, in [0, 1).
        split_seed: Seed of the automatic split.
        num_folds: k of k-fold cross-validation, at least 2; 0 for one split by val_fraction.
        fold: Which of the folds is validated on, in 0..num_folds-1.
        group_column: Column of the CSV file; pictures with the same value stay in one split.
        batch_size: Pictures a step, over all processes together.
        aug: Augmentation of the training pictures: none, light (random crop and mirror image), or light followed by
            TrivialAugment or RandAugment.
        min_area: Smallest share of a picture's area that a random crop shows, in (0, 1].
        flip: Probability of a mirror image; 0 where left and right differ, as in writing.
        balance: sampler shows every class equally often in an epoch, by repeating pictures of the smaller ones; loss
            weighs the classes alike in the loss instead.
        on_bad: Leave files out that cannot be decoded (skip) or stop (error); both name them.
        background: Colour under transparent pixels, and beside padded pictures: a name or #rrggbb.
        max_pixels: Pictures with more pixels are not decoded.
        fit: How a picture becomes a square: crop cuts, stretch squeezes, pad shows it whole on the background.
        crop: Share of the largest centred window that validation and prediction show, in (0, 1]; without it what the
            model's weights want, or 0.875.
        interpolation: How pictures are resampled; without it as the model's weights want, or bicubic.
        num_workers: Threads that decode, 0 or 1 for one file after the other; without it one for each core.
        cache_dir: Where decoded pictures are kept between runs; without it ~/.cache/deep-learning-mathematics/pictures.
        seed: Seed of the order and the augmentation; without it the run's seed.
    """

    FACTS = ("class_names", "in_channels", "image_size", "mean", "std")
    CONDITIONS = (
        (("data.min_area",), lambda options: options["data.aug"] != "none", "not used by --data.aug none"),
        (("data.background",), lambda o: o["data.channels"] in SEEN, "not used by --data.channels {0[data.channels]}"),
        (("data.crop",), lambda o: o["data.fit"] == "crop", "not used by --data.fit {0[data.fit]}, which shows all"),
        (("data.flip",), lambda o: o["data.aug"] != "none" or not o["data.flip"], "not used by --data.aug none"),
        *SplitRule.CONDITIONS,
    )
    name = "folder"

    def __init__(
        self,
        path: str | None = None,
        csv: str | None = None,
        image_size: int | None = None,
        channels: int = 3,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        split_seed: int = 0,
        num_folds: int = 0,
        fold: int = 0,
        group_column: str | None = None,
        batch_size: int = 32,
        aug: Literal["none", "light", "trivial", "rand"] = "light",
        min_area: float = 0.35,
        flip: float = 0.5,
        balance: Literal["none", "sampler", "loss"] = "none",
        on_bad: Literal["skip", "error"] = "skip",
        background: str = "white",
        max_pixels: int = MAX_PIXELS,
        fit: Literal["crop", "stretch", "pad"] = "crop",
        crop: float | None = None,
        interpolation: Literal["bilinear", "bicubic", "lanczos"] | None = None,
        num_workers: int | None = None,
        cache_dir: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_within(locals(), {"batch_size": (1, inf), "num_workers": (0, inf), "seed": (0, inf), "flip": (0, 1)})
        check_among(locals(), {"on_bad": ("skip", "error"), "balance": ("none", "sampler", "loss"), "fit": tuple(FITS)})
        self.rule = SplitRule(val_fraction, test_fraction, split_seed, num_folds, fold)
        (self.path, self.csv), self.group_column = folder_or_list(path, csv, group_column), group_column
        self.batch_size, self.seed, self.num_workers = batch_size, seed, num_workers
        self.aug, self.min_area, self.flip, self.balance, self.on_bad = aug, min_area, flip, balance, on_bad
        self.cache = Path(cache_dir).expanduser() if cache_dir else usual_root() / "pictures"
        if cache_dir is not None:
            check_cache(self.cache)
        side = 224 if image_size is None else image_size
        how: dict[str, Any] = {"crop": 0.875 if crop is None else crop, "interpolation": interpolation or "bicubic"}
        how |= {"background": background, "max_pixels": max_pixels}
        self.settings = preprocessing(FITS[fit], (side, side), channels, **how)
        check_views(aug, min_area, channels)
        self.entries: list[Entry] = []  # usable files, each with its split
        self.class_names: list[str] = []
        self.warnings, self.notes, self.bad = list[str](), list[str](), list[tuple[str, str]]()
        self.draws_views = self.reads_labels = True  # told before the files are read, by who knows how the task learns
        self.idle: dict[str, str] = {}  # options that the pictures leave nothing to do for, and why
        self._positions: dict[str, list[int]] = {}  # of each part's files in the collection
        self._resident: dict[str, tuple[torch.device, Tensor]] = {}  # pictures of a part, and for which device
        self._facts: dict[str, Any] = {}

    @property
    def root(self) -> Path:
        """The folder of the pictures."""
        return Path(self.path if self.path is not None else Path(self.csv or "").parent).expanduser()

    @property
    def source(self) -> str:
        """The folder or CSV file as it was given."""
        return str(self.csv or self.path)

    @property
    def mirrors(self) -> bool:
        """Whether training sees mirror images too."""
        return self.flip > 0 and not self._plain

    @property
    def view_scheme(self) -> int:
        """How the views of training are drawn, as `data.batches.draws` numbers its ways; 0 where none are."""
        return 0 if self._plain else SCHEME

    @property
    def _plain(self) -> bool:
        """Whether training pictures are wanted as validation sees them, not as views of them."""
        return self.aug == "none" or not self.draws_views

    def prepare_data(self) -> None:
        """Read every file once, in the first process; the others find the result in the cache."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """List, read and split the files, and say what was found; a second call does nothing.

        Raises:
            FileNotFoundError: If there is no such folder or CSV file.
            ValueError: If the layout is not as expected, a class is not in train, or, with ``on_bad="error"``, a file
                cannot be decoded.
        """
        if self.entries:
            return
        store = PixelStore(self.cache, self.settings, round(self.settings["image_size"][0] * _SOURCE_SHARE))
        gathered = gather(
            self._listing, self.source, store, scan_file(self.cache, self.root, self.csv), rule=self.rule,
            on_bad=self.on_bad, training_form="plain" if self._plain else "source", num_workers=self.num_workers,
            least_classes=2 if self.reads_labels else 1,
        )  # fmt: skip
        self.entries, self.class_names, self.collection = gathered.entries, gathered.class_names, gathered.collection
        self._positions, self.idle, self._gathered = gathered.positions, gathered.idle, gathered
        found = [*gathered.warnings, *self.look_back(digests_of(gathered, ("val", "test")))]
        notes, warnings = remarks(self.collection.scanned, found, self.settings, self.about_weights)
        self.notes, self.warnings, self.bad = [*gathered.notes, *notes], [*found, *warnings], gathered.bad
        said = found_lines(self.source, self.class_names, gathered.table, self.notes, self.warnings, self.bad)
        if not getattr(rank_zero_only, "rank", 0):
            print("\n".join(said), file=sys.stderr)

    @cached_property
    def _listing(self) -> Listing:
        return listed(self.path, self.csv, self.group_column, flat=not self.reads_labels)

    def validates(self) -> bool:
        """Whether validation pictures are wanted or listed, before any of them is read."""
        return self.rule.carves_validation or any(entry.split == "val" for entry in self._listing.entries)

    def paths(self, part: str) -> list[str]:
        """The files of "train", "val" or "test", in the order of an unshuffled loader."""
        self.setup()
        return [self.collection.paths[position] for position in self._positions[part]]

    def labels(self, part: str) -> Tensor:
        """Class of each of them, int64, shape (N,)."""
        self.setup()
        index = {name: label for label, name in enumerate(self.class_names)}
        return torch.tensor([index[entry.label] for entry in self.entries if entry.split == part], dtype=torch.int64)

    def units(self, part: str) -> Tensor:
        """What each of them belongs to: a number that copies and the pictures of a group share, int64, shape (N,)."""
        self.setup()
        return self._gathered.units[[entry.split == part for entry in self.entries]]

    @torch.inference_mode(False)  # a test asks first, and what it makes must be usable outside of it
    def plain(self, part: str) -> Tensor:
        """Pictures of a part exactly as validation and prediction see them: uint8, shape (N, C, H, W)."""
        self.setup()
        pixels, rows = self.collection.pixels("plain", self._positions[part])
        whole = len(rows) == len(pixels) and torch.equal(rows, torch.arange(len(rows)))
        return pixels if whole else self.collection.store.select("plain", pixels, rows)

    def facts(self) -> dict[str, Any]:
        """What a model must know: class_names, in_channels, image_size [H, W], mean and std of training pictures."""
        self.setup()
        if not self._facts:
            if self._plain:
                pixels = self.plain("train")
            else:
                stored, rows = self.collection.pixels("source", self._positions["train"])
                pixels = stored.index_select(0, rows[:: max(1, len(rows) // 2000)]).permute(0, 3, 1, 2)
            known = list(self.class_names), self.settings["channels"], list(self.settings["image_size"])
            self._facts = dict(zip(self.FACTS, (*known, *channel_statistics(pixels)), strict=True))
        return dict(self._facts)

    def fingerprints(self) -> dict[str, str]:
        """A digest of the pictures of each part, and of their labels: a run goes on only with the same ones."""
        self.setup()
        return fingerprints(self._gathered)

    def preprocessing(self) -> dict[str, Any]:
        """How validation prepared its pictures, as primitives for the checkpoint and for prediction."""
        return dict(self.settings)

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts, for the start of a run and its report."""
        self.setup()
        return {
            "name": self.name,
            "source": self.source,
            "splits": {part: len(self._positions[part]) for part in PARTS},
            "classes": len(self.class_names),
            "shape": "×".join(map(str, (self.settings["channels"], *self.settings["image_size"]))),
            "split_seed": self.rule.seed,
            "augmentation": self.aug if self.draws_views else _NO_VIEWS,
            "bad": [f"{path}: {cause}" for path, cause in self.bad],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }

    def save_split(self, file: str | os.PathLike[str]) -> None:
        """Write the split as CSV (path,label,split); ``--data.path FOLDER --data.csv FILE`` repeats it."""
        self.setup()
        # Bytes of a name that are not UTF-8 are written as they are.
        Path(file).write_text(split_csv(self.entries, self.root), encoding="utf-8", errors="surrogateescape")

    def save_files(self, file: str | os.PathLike[str]) -> None:
        """Write what was found as CSV: each file, what it is, which split it went to, or why it was left out."""
        self.setup()
        splits = {position: part for part, positions in self._positions.items() for position in positions}
        text = files_csv(self._gathered.files, self.collection.scanned, splits, self.bad)
        Path(file).write_text(text, encoding="utf-8", errors="surrogateescape")

    @torch.inference_mode(False)
    def evaluation_loader(self, part: str) -> TensorLoader | list[TensorLoader]:
        """A part's pictures in order, without augmentation; an empty list when there are none."""
        self.setup()
        if not self._positions[part]:
            return []
        device = run_device(self)
        if part not in self._resident or self._resident[part][0] != device:
            self._resident[part] = device, resident(self.plain(part), device)
        images = self._resident[part][1]
        return TensorLoader(images, self.labels(part).to(images.device), self.batch_size)

    def train_dataloader(self) -> TensorLoader:
        """Shuffled, augmented batches of the training pictures."""
        self.setup()
        labels, device, seed = self.labels("train"), run_device(self), order_seed(self.seed)
        shuffle = not getattr(self.trainer, "overfit_batches", 0)  # which wants the same batches in every epoch
        if not self.draws_views:
            # Such a task asks for one batch, to show it: `plain` is what it learns from.
            return TensorLoader(
                torch.arange(len(labels)), labels, self.batch_size, shuffle=shuffle, seed=seed, augment=self._stored
            )
        chosen = balanced(labels) if self.balance == "sampler" else torch.arange(len(labels))
        if self.aug == "none":
            images = self.plain("train")
            images = resident(images.index_select(0, chosen) if self.balance == "sampler" else images, device)
            return TensorLoader(images, labels[chosen].to(images.device), self.batch_size, shuffle=shuffle, seed=seed)
        stored, rows = self.collection.pixels("source", self._positions["train"])
        by_row = self.collection.proportions("source", self._positions["train"])
        (height, width), stored = self.settings["image_size"], resident(stored, device)
        pin = stored.device.type == "cpu" and device.type == "cuda"
        views = Views(stored, by_row.to(stored.device), (height, width), self.aug, self.min_area, self.flip, pin)
        images, labels = rows[chosen].to(stored.device), labels[chosen].to(stored.device)
        return TensorLoader(images, labels, self.batch_size, shuffle=shuffle, seed=seed, augment=views)

    def _stored(self, numbers: Tensor, draws: Draws) -> Tensor:
        """Training pictures by number, without augmentation."""
        pixels, rows = self.collection.pixels("plain", self._positions["train"])
        return pixels.index_select(0, rows[numbers])

    def val_dataloader(self) -> TensorLoader | list[TensorLoader]:
        """Batches of the validation pictures in order; an empty list, which Lightning skips, when there are none."""
        return self.evaluation_loader("val")

    def test_dataloader(self) -> TensorLoader | list[TensorLoader]:
        """Batches of the test pictures in order; an empty list when there are none."""
        return self.evaluation_loader("test")
