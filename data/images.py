"""Picture sets that fit into memory: the LightningDataModule shared by the digits, faces, MNIST and Olivetti sets.

A set says in ``read`` what its pictures are; this module carves the validation set from the training pictures
(stratified, seeded), moves each part to the device once and hands out loaders that resume exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.augment import Augmentation
from data.batches.binarise import Scheme, binarise, draw, in_words
from data.batches.draws import Draws
from data.batches.loader import TensorLoader
from data.batches.warp import Padding
from data.root import resolve_root
from data.run import order_seed, run_device
from data.split import stratified_split
from theory.epochs import last_epoch
from theory.seeds import mix_seed

_NOT_DONE = "not used by --data.aug {0[data.aug]}; --data.aug elastic uses all of them"


def _may_calm(options: Mapping[str, Any]) -> bool:
    """Whether there is anything that calm epochs leave out."""
    most = options["data.max_shift"] if options["data.aug"] == "shift" else 0
    return options["data.aug"] in ("affine", "elastic") or most > 1 or options["data.erase"] > 0


class Pictures(NamedTuple):
    """Pictures (uint8, shape (N, C, H, W)) and the class of each (int64, shape (N,))."""

    images: Tensor
    labels: Tensor

    def at(self, indices: Tensor) -> "Pictures":
        """The pictures at ``indices``, int64, shape (M,)."""
        return Pictures(self.images.index_select(0, indices), self.labels.index_select(0, indices))


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels, on the scale 0..1, from exact counts of the values.

    Args:
        images: uint8, shape (N, C, H, W).

    Returns:
        Mean and standard deviation, one number a channel each.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.reshape(-1), minlength=256).double() / channel.numel()  # (256,)
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(share @ (values - mean).square()) ** 0.5)
    return means, deviations


class Images(LightningDataModule, ABC):
    """Pictures in memory, split into training, validation and test sets.

    Args:
        root: Folder of the data sets; without it $DATA_ROOT, else ~/.cache/deep-learning-mathematics.
        batch_size: Pictures a step, over all processes together.
        val_fraction: Share of the training pictures to validate on, in [0, 1), the same of every class; 0 means no
            validation set.
        split_seed: Seed of the split into training, validation and test pictures.
        seed: Seed of the order and the augmentation; without it the run's seed.
        aug: Augmentation of the training pictures: none, whole-pixel shifts, small affine maps, or affine and elastic.
        max_shift: Largest shift of the augmentation, in pixels.
        degrees: Largest rotation of affine and elastic augmentation, in degrees.
        scale: Largest relative change of size of affine and elastic augmentation, 0.1 is ±10 %.
        shear: Largest shear of affine and elastic augmentation, in degrees.
        stretch: Largest share by which affine and elastic augmentation widens a picture and makes it as much lower, or
            the other way round.
        thickness: Largest share of a pixel by which affine and elastic augmentation lets bright strokes grow or shrink.
        strength: Standard deviation of the elastic displacement, in pixels.
        smoothness: Distance over which elastic displacements stay similar, in pixels.
        flip: Probability of mirroring a training picture left to right.
        erase: Side of a square erased from each training picture, at most the picture's, in pixels; 0 for none.
        calm_epochs: Last epochs of the run that only shift pictures, by a pixel at most: what is learned last looks
            like what is tested; 0 for none.
        binarise: Pictures of black and white pixels: drawn once by their grey values (sample), those of training anew
            in each batch (redraw), cut at one half (threshold), or left grey (none).
        binarise_seed: Seed of that draw; the same for all runs that are to be compared.
    """

    FACTS = ("class_names", "in_channels", "image_size", "mean", "std", "reference", "binarised", "scheme")
    CONDITIONS: tuple[Any, ...] = (
        (("data.max_shift",), lambda options: options["data.aug"] != "none", _NOT_DONE),
        (
            ("data.degrees", "data.scale", "data.shear", "data.stretch", "data.thickness"),
            lambda o: o["data.aug"] in ("affine", "elastic"),
            _NOT_DONE,
        ),
        (("data.strength", "data.smoothness"), lambda options: options["data.aug"] == "elastic", _NOT_DONE),
        (("data.calm_epochs",), _may_calm, "--data.aug {0[data.aug]} is as calm as that, here"),
        (
            ("data.calm_epochs",),
            lambda o: (o["trainer.max_epochs"] or 0) > 0,
            "the last epoch is not known, give --epochs",
        ),
    )
    name: str = ""
    source: str = ""
    class_names: tuple[str, ...] = ()
    # Best published test accuracy of one network without external data, and where: what a result is set beside.
    reference: tuple[float, str] | None = None
    padding: Padding = "zeros"

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 64,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int | None = None,
        aug: Literal["none", "shift", "affine", "elastic"] = "none",
        max_shift: float = 1,
        degrees: float = 10.0,
        scale: float = 0.1,
        shear: float = 5.0,
        stretch: float = 0.0,
        thickness: float = 0.0,
        strength: float = 1.0,
        smoothness: float = 4.0,
        flip: float = 0.0,
        erase: int = 0,
        calm_epochs: int = 0,
        binarise: Scheme = "none",
        binarise_seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= val_fraction < 1:
            raise ValueError(f"val_fraction must be in [0, 1), got {val_fraction}")
        if split_seed < 0:
            raise ValueError(f"split_seed must be 0 or more, got {split_seed}")
        if binarise_seed < 0:
            raise ValueError(f"binarise_seed must be 0 or more, got {binarise_seed}")
        if binarise_seed and binarise not in ("sample", "redraw"):
            raise ValueError(f"binarise_seed is only for --data.binarise sample or redraw, got {binarise_seed}")
        if seed is not None and seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.root = resolve_root(root)
        self.batch_size, self.val_fraction, self.split_seed, self.seed = batch_size, val_fraction, split_seed, seed
        if calm_epochs < 0:
            raise ValueError(f"calm_epochs must be 0 or more, got {calm_epochs}")
        self.scheme, self.binarise_seed, self.calm_epochs = binarise, binarise_seed, calm_epochs
        self.augmentation = Augmentation(
            kind=aug, max_shift=max_shift, degrees=degrees, scale=scale, shear=shear, stretch=stretch,
            thickness=thickness, strength=strength, smoothness=smoothness, flip=flip, erase=erase, padding=self.padding,
        )  # fmt: skip
        self._parts: dict[str, Pictures] = {}
        self._resident: dict[str, Pictures] = {}
        self._facts: dict[str, Any] = {}

    @property
    def mirrors(self) -> bool:
        """Whether training sees mirror images too."""
        return self.augmentation.flip > 0

    @abstractmethod
    def read(self) -> dict[str, Pictures]:
        """The pictures by part: "train", "test" and, where the set has its own, "val"."""

    def setup(self, stage: str | None = None) -> None:
        """Read the set and split it; a second call does nothing.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is corrupt or an option does not fit the set.
        """
        if self._parts:
            return
        grey = self.read()
        self.augmentation.check_size(*grey["train"].images.shape[2:])
        parts = {
            name: part._replace(images=binarise(part.images, self.scheme, mix_seed(self.binarise_seed, number)))
            for number, (name, part) in enumerate(sorted(grey.items()))
        }
        train = grey["train"] if self.scheme == "redraw" else parts["train"]
        if "val" not in parts and self.val_fraction > 0:
            kept, held_out = self.carve(train.labels)
            train, parts["val"] = train.at(kept), parts["train"].at(held_out)
        self._parts = {**parts, "train": train}

    def carve(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the training pictures to train on and to validate on.

        Raises:
            ValueError: If ``val_fraction`` leaves a class without a picture on one side.
        """
        try:
            return stratified_split(labels, round(self.val_fraction * len(labels)), self.split_seed)
        except ValueError as error:
            raise ValueError(f"val_fraction {self.val_fraction} does not fit {self.name}: {error}") from None

    def part(self, name: str) -> Pictures:
        """The pictures of "train", "val" or "test", on the CPU; an empty "val" has no pictures."""
        self.setup()
        empty = torch.zeros(0, dtype=torch.int64)
        return self._parts[name] if name in self._parts else self._parts["train"].at(empty)

    def facts(self) -> dict[str, Any]:
        """What a model must know: class_names, in_channels, image_size [H, W], mean and std of the training pictures.

        mean and std are one number a channel, on the scale 0..1; binarised says how pixels became
        black and white, scheme by which option.
        """
        if not self._facts:
            images = self.part("train").images
            mean, std = channel_statistics(images)
            self._facts = {
                "class_names": list(self.class_names),
                "in_channels": images.shape[1],
                "image_size": list(images.shape[2:]),
                "mean": mean,
                "std": std,
                "reference": list(self.reference) if self.reference else None,
                "binarised": in_words(self.scheme, self.binarise_seed),
                "scheme": self.scheme,
            }
        return dict(self._facts)

    def preprocessing(self) -> dict[str, Any]:
        """How a foreign picture becomes one of this set, as primitives for the checkpoint."""
        from data.files.preprocess import preprocessing_of

        images = self.part("train").images
        return preprocessing_of(self.name, list(images.shape[2:]), images.shape[1])

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts, for the start of a run and its report."""
        return {
            "name": self.name,
            "source": self.source,
            "splits": {part: len(self.part(part).labels) for part in ("train", "val", "test")},
            "classes": len(self.class_names),
            "shape": "×".join(str(size) for size in self.part("train").images.shape[1:]),
            "split_seed": self.split_seed,
            "augmentation": self.augmentation.kind,
            **({"pixels": in_words(self.scheme, self.binarise_seed)} if self.scheme != "none" else {}),
        }

    @torch.inference_mode(False)  # a test asks first for its pictures, and the figures take gradients at some of them
    def _loader(self, part: str, training: bool = False) -> TensorLoader:
        device = run_device(self)
        if part not in self._resident or self._resident[part].labels.device != device:
            self._resident[part] = Pictures(*(tensor.to(device) for tensor in self.part(part)))
        seed = order_seed(self.seed)
        # Trainer(overfit_batches=...) wants the same batches in every epoch.
        shuffle = training and not getattr(self.trainer, "overfit_batches", 0)
        augment = self.augment if training and (self.scheme == "redraw" or not self.augmentation.is_identity) else None
        return TensorLoader(*self._resident[part], self.batch_size, shuffle=shuffle, seed=seed, augment=augment)

    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        """A training batch, shape (N, C, H, W), moved and drawn as the options say."""
        generator = draws.generator()
        augmentation = self.augmentation.calmed() if self.is_calm(draws.epoch) else self.augmentation
        if not augmentation.is_identity:
            images = augmentation(images, generator)
        return draw(images, generator) if self.scheme == "redraw" else images

    def is_calm(self, epoch: int) -> bool:
        """Whether ``epoch`` is one of the last ``calm_epochs`` of the run."""
        last = last_epoch(self.trainer) if self.calm_epochs and self.trainer is not None else None
        return last is not None and epoch > last - self.calm_epochs

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch on the device; resident tensors are there already, and Lightning's walk through them costs time."""
        if batch[0].device == device == batch[1].device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def train_dataloader(self) -> TensorLoader:
        """Shuffled, augmented batches of the training pictures.

        Raises:
            ValueError: If no epoch is known to be the last, and the last ones are to be calm.
        """
        if self.calm_epochs and getattr(self.trainer, "max_epochs", 1) in (None, -1):
            raise ValueError(f"calm_epochs {self.calm_epochs}: the last epoch is not known, give --epochs")
        return self._loader("train", training=True)

    def val_dataloader(self) -> TensorLoader | list[TensorLoader]:
        """Batches of the validation pictures in order; an empty list, which Lightning skips, when there are none."""
        if len(self.part("val").labels) == 0:
            return []
        return self._loader("val")

    def test_dataloader(self) -> TensorLoader:
        """Batches of the test pictures in order."""
        return self._loader("test")
