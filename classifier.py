"""A trained classifier as a function of pictures, for notebooks and programs of your own; ``predict.py`` uses it too.

    from classifier import load

    model = load("runs/cnn-digits/RUN")
    model.class_names                                      # ['0', '1', …]
    model.probabilities(["a.png", picture, array])         # (3, K): files, PIL pictures, NumPy arrays
    model.features(["a.png"])                              # (1, D): what the last layer sees
    model.task.network                                     # the torch module

A checkpoint knows its classes, its preprocessing and its temperature, so neither the data nor the run folder is needed.
"""

# N pictures, K classes, D features, C channels, H height, W width

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import MODELS
from trainer.contract import offered
from trainer.errors import UserError
from trainer.folder import CHECKPOINTS, RunFolder, find_checkpoint
from trainer.notice import notice

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

    Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray


@dataclass(frozen=True)
class Classifier:
    """A trained classifier and what its checkpoint says about using it.

    Attributes:
        task: The task in evaluation mode, on its device.
        preprocessing: How a picture is prepared; see `data.files.preprocess`.
        temperature: Divides the logits.
        precision: Lightning's name of the precision that it computes in.
        mirrors: Whether it was trained on mirror images, so that they are views of the same thing.
        pictures: Digest of the pictures of each part that it was trained with, where its data told; see
            `data.files.learnt`.
        lineage: What the file of weights that it began with had learnt from, as `data.files.lineage` records it, or {}
            where that is not known; None where it began without a file.
    """

    task: Any
    preprocessing: dict[str, Any]
    temperature: float
    precision: str
    mirrors: bool = False
    pictures: dict[str, str] = field(default_factory=dict)
    lineage: dict[str, Any] | None = None

    @property
    def class_names(self) -> list[str]:
        """K names, in the order of the probabilities."""
        return list(self.task.hparams["class_names"])

    def prepare(self, pictures: Sequence[Picture]) -> Tensor:
        """Pictures as the network was validated on them, uint8, shape (N, C, H, W).

        Args:
            pictures: Paths or bytes of files, PIL pictures, or uint8 arrays of shape (H, W), (H, W, 3), (H, W, 4), or
                (H, W, C) for a classifier of C channels. Each form gives the same pixels, but for large JPEGs given
                as files where the preprocessing says ``reduce_jpeg`` (checkpoints of earlier versions) or has the kind
                "ink": these are decoded smaller.

        Raises:
            PictureError: If one cannot be read.
            TypeError: If one is none of these.
        """
        import torch

        if isinstance(pictures, str | bytes | os.PathLike) or not isinstance(pictures, Sequence):
            raise TypeError(f"pictures are given as a list, got {type(pictures).__name__}")
        if not pictures:
            return torch.zeros((0, *self.shape), dtype=torch.uint8)
        return torch.stack([self._prepared(picture) for picture in pictures])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a prepared picture."""
        height, width = self.preprocessing["image_size"]
        return self.preprocessing["channels"], height, width

    def _prepared(self, picture: Picture) -> Tensor:
        import numpy as np

        from data.files.modes import SEEN
        from data.files.preprocess import prepare, preprocess

        channels = self.preprocessing["channels"]
        bands = isinstance(picture, np.ndarray) and channels not in SEEN and picture.shape[2:] == (channels,)
        if bands and picture.dtype == np.uint8:  # type: ignore[union-attr]
            return prepare(np.ascontiguousarray(picture), self.preprocessing)
        return preprocess(_as_file(picture), self.preprocessing)

    def probabilities(self, pictures: Sequence[Picture] | Tensor, tta: int | None = None) -> Tensor:
        """Probability of each class, as in validation, with the temperature fitted there: shape (N, K), on the CPU.

        Args:
            pictures: As `prepare` takes them, or what it gave.
            tta: Views averaged, from 1; None for those of validation.

        Raises:
            ValueError: If there are not so many views.
        """
        return self._scaled_logits(pictures, tta).softmax(2).mean(0).cpu()  # nearer than exp(log p)

    def log_probabilities(self, pictures: Sequence[Picture] | Tensor, tta: int | None = None) -> Tensor:
        """Logarithms of `probabilities`, of the same arguments; finite also where these round to 0."""
        from models.classification.views import log_mean_probability

        return log_mean_probability(self._scaled_logits(pictures, tta)).cpu()

    def _scaled_logits(self, pictures: Sequence[Picture] | Tensor, tta: int | None) -> Tensor:
        """Logits over the temperature for each of the V views asked for, shape (V, N, K), on its device."""
        import torch

        from models.classification.views import logits_of, picture_views
        from trainer.device import computing

        images = self._images(pictures)
        shown = [images] if tta is None else picture_views(images, tta, self.mirrors)
        own = self.task.hparams.get("views", "one") if tta is None else "one"
        with torch.inference_mode(), computing(self.precision):
            return torch.stack([logits_of(self.task, view, own) for view in shown]) / self.temperature

    def features(self, pictures: Sequence[Picture] | Tensor) -> Tensor:
        """What the last layer sees of each picture, float32, shape (N, D), on the CPU.

        Raises:
            TypeError: If the task says nothing of its features.
        """
        import torch

        from trainer.device import computing

        if offered(self.task, "outputs") is None:
            raise TypeError(f"{type(self.task).__name__} has no outputs(images) that give features and logits")
        with torch.inference_mode(), computing(self.precision):
            features: Tensor = self.task.outputs(self._images(pictures))[0]
        return features.float().cpu()

    def _images(self, pictures: Sequence[Picture] | Tensor) -> Tensor:
        import torch

        images = pictures if isinstance(pictures, torch.Tensor) else self.prepare(pictures)
        if images.dtype != torch.uint8 or images.shape[1:] != self.shape:
            raise TypeError(
                f"prepared pictures are uint8 of shape (N, {', '.join(map(str, self.shape))}), got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        return images.to(self.task.device)


def _as_file(picture: Picture) -> str | os.PathLike[str] | bytes:
    """A picture in memory as the bytes of a file without loss: it goes the way of all files.

    Raises:
        TypeError: If it is no picture.
    """
    import numpy as np
    from PIL import Image, ImageOps

    if isinstance(picture, str | os.PathLike | bytes):
        return picture
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,), (4,)):
            raise TypeError(
                "an array of a picture is uint8, (H, W), (H, W, 3) or (H, W, 4), for a classifier of C channels "
                f"(H, W, C); got {picture.dtype} {picture.shape}"
            )
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise TypeError(f"a picture is a path, bytes, a PIL picture or an array, got {type(picture).__name__}")
    file = io.BytesIO()
    try:
        upright = ImageOps.exif_transpose(picture)
        if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):  # which TIFF would drop
            upright.save(file, "PNG", compress_level=1)
        else:
            upright.save(file, "TIFF", compression="raw")
    except (OSError, ValueError) as error:
        raise TypeError(f"a picture of mode {picture.mode} cannot be read ({error}): convert it to RGB") from error
    return file.getvalue()


def uncalibrated(path: str, house: Mapping[str, Any]) -> str:
    """Says that the run of a checkpoint fitted no temperature to these weights; empty where it ended, or did fit one.

    Args:
        path: The checkpoint.
        house: What it says of itself.
    """
    from trainer.safe_file import load_checkpoint

    if house.get("temperature") is not None or "metrics" in house:
        return ""
    run, better = RunFolder(Path(path).parent.parent), ""
    for beside in (run.best, run.last):
        if beside.is_file() and Path(path).parent.name == CHECKPOINTS and not beside.samefile(path):
            with suppress(UserError):  # a damaged one is no better
                record = load_checkpoint(beside).get("house", {})
                better = f"; {beside} holds one" if record.get("temperature") is not None else better
    return (
        f"warning: {path} holds no temperature, which a run fits at its end to the weights that it keeps: "
        f"its probabilities are not calibrated{better}"
    )


def load(path: str | os.PathLike[str], device: str = "cpu", precision: str | None = None) -> Classifier:
    """The classifier in a checkpoint.

    Args:
        path: The checkpoint, or its run folder.
        device: ``cpu``, ``cuda``, ``mps``, or ``auto``: CUDA where there is one.
        precision: Lightning's name of the precision to compute in; without it that of the validation, unless this CPU
            would only emulate it, which is said; so is a checkpoint that holds no temperature.

    Raises:
        UserError: If the file is no checkpoint of a classifier of this project, or device or precision are not there.
    """
    import torch

    from data.files.preprocess import stored_preprocessing
    from theory.finite import not_finite
    from trainer.contract import load_class
    from trainer.device import answering_precision, check_device, computing, precision_name, weight_type
    from trainer.safe_file import load_checkpoint

    device = check_device(device)
    precision = None if precision is None else precision_name(str(precision))
    path = find_checkpoint(os.fspath(path))
    checkpoint = load_checkpoint(path)
    house, state = checkpoint.get("house", {}), checkpoint["state_dict"]
    name = str(house.get("model"))
    if name not in MODELS:
        raise UserError(f"{path} is no checkpoint of this project: it names no model of {', '.join(MODELS)}")
    task_class: Any = load_class(MODELS[name])
    if not offered(task_class, "classifies") or "preprocessing" not in house:
        raise UserError(
            f"{path} holds the model {name!r} on {house.get('data')}: predict.py needs a classifier, of --model cnn"
        )
    bad = not_finite(state)
    if bad:
        raise UserError(f"{path} cannot predict: its weights are not finite ({', '.join(bad[:3])})")
    options = dict(checkpoint.get("hyper_parameters", {}))
    began_with = offered(task_class, "weights_file")
    inherits = began_with is not None and began_with(options) is not None
    if "weights" in options:  # the checkpoint holds them
        options["weights"] = "none"
    try:
        note = ""
        if precision is None:
            precision, note = answering_precision(str(house.get("precision", "32-true")), device)
        with computing("32-true"), torch.device("cpu"):  # not as the program around may have set them
            task: Any = task_class(**options).to(weight_type(precision))
            task.load_state_dict(state)
        settings = stored_preprocessing(house["preprocessing"])
        temperature = float(house.get("temperature") or 1.0)
        if not 0 < temperature < math.inf:
            raise ValueError(f"its temperature is {temperature}")
        mirrors, pictures = bool(house.get("mirrors")), dict(house.get("pictures") or {})
        lineage = dict(house.get("lineage") or {}) if inherits else None
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        # of another version, or altered
        reason = str(error).splitlines() or [type(error).__name__]
        raise UserError(f"{path} does not fit the model {name!r}: {reason[min(1, len(reason) - 1)].strip()}") from error
    for line in (note, uncalibrated(path, house)):
        if line:
            notice(line)
    return Classifier(
        task.eval().to(device),
        preprocessing=settings,
        temperature=temperature,
        precision=precision,
        mirrors=mirrors,
        pictures=pictures,
        lineage=lineage,
    )
