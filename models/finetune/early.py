"""What can be said against a backbone and its weights before anything is built or read."""

from __future__ import annotations

import difflib

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
        hint = f", did you mean {near[0]!r}?" if near and not path.suffix else ";"
        raise ValueError(f"no weights {weights!r}{hint} Allowed: 'default', 'none' or a file")
    if not path.is_file():
        raise ValueError(f"the weights file {path} is a folder; allowed: 'default', 'none' or a file")
