"""What is known of a backbone by its name alone, before anything is built: whether it exists, and what it wants."""

from __future__ import annotations

import difflib
from typing import Any

from models.finetune.architectures import LITE0, suggestion
from models.finetune.weights import split_reference


def check_names(name: str, weights: str) -> None:
    """Refuses a network that no library has, and a weights file that is not there.

    Args:
        name: As `models.finetune.backbones.build_backbone` takes it.
        weights: ``default``, ``none`` or a file, also as ``FILE#sha256=HEX``.

    Raises:
        ValueError: Naming the nearest network, or what weights may be.
    """
    if name.startswith("timm/"):
        import timm

        model = name.removeprefix("timm/")
        if not timm.is_model(model):
            raise ValueError(f"no backbone named {name!r}{suggestion(model, timm.list_models(), 'timm/')}")
    elif name != LITE0:
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            raise ValueError(f"no backbone named {name!r}{suggestion(name, names)}")
    if weights in ("default", "none"):
        return
    path, _ = split_reference(weights)
    if not path.exists():
        near = difflib.get_close_matches(weights, ["default", "none"], n=1)
        hint = f", did you mean {near[0]!r}? Allowed" if near and not path.suffix else "; allowed"
        raise ValueError(f"no weights {weights!r}{hint}: 'default', 'none' or a file")
    if not path.is_file():
        raise ValueError(f"the weights file {path} is a folder; allowed: 'default', 'none' or a file")


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
