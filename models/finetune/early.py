"""What is known of a backbone by its name alone, before anything is built: whether it exists, and what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.finetune.architectures import LITE0, check_name
from models.finetune.idle import check_untouched
from models.finetune.pretrained import hub_file
from models.finetune.weights import given_file, read_weights, state_dict_of
from models.limits import check_within

RANGES = {"mixup": (0, 100), "cutmix": (0, 100), "mix_off_epochs": (0, 10**6), "head_views": (0, 1000)}


def check_early(options: Mapping[str, Any]) -> None:
    """Refuses what is wrong with a task's options for a backbone, whatever the pictures are; fetches its weights.

    A file of weights is read for that and dropped again: a look at a large folder of pictures costs more.

    Raises:
        ValueError: Naming the option, or the weights that are not there or cannot be read.
    """
    check_within(options, RANGES)
    check_untouched(options)
    name, weights = options["backbone"], options["weights"]
    check_names(name, weights)
    if weights == "default" and name != LITE0 and not name.startswith("timm/"):
        from torchvision import models

        hub_file(models.get_model_weights(name).DEFAULT.url, name)
    elif weights not in ("default", "none"):
        path, digest = given_file(weights)
        state_dict_of(read_weights(path, digest), path)


def check_names(name: str, weights: str) -> None:
    """Refuses a network that no library has, and a weights file that is not there.

    Args:
        name: As `models.finetune.backbones.build_backbone` takes it.
        weights: ``default``, ``none`` or a file, also as ``FILE#sha256=HEX``.

    Raises:
        ValueError: Naming the nearest network, or what weights may be.
    """
    check_name(name)
    if weights not in ("default", "none"):
        given_file(weights)


def picture_settings(name: str) -> dict[str, Any]:
    """How pictures are to be prepared for the weights of a backbone: those of the evaluation that its library did.

    Args:
        name: Of a backbone that exists, see `check_names`.

    Returns:
        ``image_size`` (side in pixels), ``crop`` (its share of the shorter side after resizing) and ``interpolation``.
    """
    if name == LITE0:
        # Trained at 224 pixels with random crops, which enlarge: at test time it sees things at that scale at 288
        # (Touvron et al. 2019, Fixing the train-test resolution discrepancy), as folds of training pictures confirmed.
        return {"image_size": 288, "crop": 0.9, "interpolation": "bicubic"}
    if name.startswith("timm/"):
        import timm

        settings = timm.get_pretrained_cfg(name.removeprefix("timm/"), allow_unregistered=True)
        if settings is None:
            return {}
        how = {"image_size": int(settings.input_size[-1]), "crop": float(settings.crop_pct)}
        return how | {"interpolation": str(settings.interpolation)}
    from torchvision import models

    transform = models.get_model_weights(name).DEFAULT.transforms()
    size = int(transform.crop_size[0])
    return {
        "image_size": size,
        "crop": size / int(transform.resize_size[0]),
        "interpolation": str(transform.interpolation.value),
    }
