"""Foreign classification networks and where their parts are: last layer, last map, preprocessing.

torchvision and timm hold some 1,300 networks, and each family has its own names for the same parts. The names are known
here and in `models.finetune.stages` only; `models.finetune.backbones` sees an `Architecture`.

Source:
    torchvision.models (`get_model`, `get_model_weights`); timm (`create_model`, `resolve_model_data_config`).
"""

from __future__ import annotations

import difflib
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from torch import nn

from models.finetune.pretrained import impatient_hub

LITE0 = "efficientnet_lite0"
# Module with the last map, by an attribute that only its family has; the first that exists counts.
LAST_MAPS = ("layer4", "trunk_output", "Mixed_7c", "inception5b", "conv5", "permute", "layers", "features")


@dataclass
class Architecture:
    """A network as its library builds it, and where its parts are.

    Attributes:
        name: Name as the user gave it.
        network: The network, with its own last layer.
        head_name: Name of the last layer in the network; empty when the network ends in features already.
        num_features: D, numbers that reach the last layer.
        preprocessing: What the weights expect, see `models.finetune.backbones.Backbone`.
        last_map: Name of the module with the last map; empty when there is none, as in a ViT.
        fixed_size: Whether only pictures of ``preprocessing["image_size"]`` can be read.
        url: Address of torchvision's weights; empty for timm.
    """

    name: str
    network: nn.Module
    head_name: str
    num_features: int
    preprocessing: dict[str, Any]
    last_map: str = ""
    fixed_size: bool = False
    url: str = ""


def check_name(name: str) -> None:
    """Refuses a network that no library has.

    Raises:
        ValueError: Naming the nearest one.
    """
    if name.startswith("timm/"):
        import timm

        model = name.removeprefix("timm/")
        if not timm.is_model(model):
            near = suggestion(model, timm.list_models(), "timm/")
            raise ValueError(f"backbone {name!r} is no network of timm{near}")
    elif name != LITE0:
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            raise ValueError(f"backbone {name!r} is no network of torchvision{suggestion(name, names)}")


def build_architecture(name: str, pretrained_timm: bool = False) -> Architecture:
    """The network of that name.

    Args:
        name: ``efficientnet_lite0``, a torchvision classification model, or ``timm/NAME``.
        pretrained_timm: Whether timm loads its own weights, from its cache or the network.

    Returns:
        Its architecture.

    Raises:
        ValueError: If no network has that name; the nearest one is named.
    """
    check_name(name)
    if name == LITE0:
        # The weights were trained with the epsilon of the TensorFlow original; with timm's 1e-5 they lose 3 points.
        architecture = timm_architecture(name, LITE0, pretrained=False, bn_eps=1e-3)
        mean, std = [127 / 255] * 3, [128 / 255] * 3
        architecture.preprocessing |= {"mean": mean, "std": std, "interpolation": "bicubic", "crop_fraction": 0.875}
        return architecture
    if name.startswith("timm/"):
        return timm_architecture(name, name.removeprefix("timm/"), pretrained_timm)
    return torchvision_architecture(name)


def torchvision_architecture(name: str) -> Architecture:
    """One of `torchvision.models`, which exists."""
    from torchvision import models

    best = models.get_model_weights(name).DEFAULT
    transform = best.transforms()
    size = int(transform.crop_size[0])
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # without the auxiliary heads
        options = {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_"):
        options = {"image_size": size}
    network = models.get_model(name, weights=None, **options)
    head_name = _last_layer(network)
    head = network.get_submodule(head_name)
    mean, std = list(transform.mean), list(transform.std)
    if name in ("googlenet", "inception_v3"):
        # Their weights want mean 1/2 and deviation 1/2; `transform_input` would get there by way of ImageNet's.
        mean, std = [0.5] * 3, [0.5] * 3
    last_map = next((part for part in LAST_MAPS if hasattr(network, part)), "")
    if name.startswith("maxvit"):
        last_map = f"blocks.{len(network.blocks) - 1}"
    return Architecture(
        name=name,
        network=network,
        head_name=head_name,
        num_features=head.in_channels if isinstance(head, nn.Conv2d) else head.in_features,
        preprocessing={
            "image_size": [size, size],
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "interpolation": str(transform.interpolation.value),
            "crop_fraction": size / int(transform.resize_size[0]),
        },
        last_map=last_map,
        fixed_size=name.startswith(("vit_", "maxvit")),
        url=str(best.url),
    )


def _last_layer(network: nn.Module) -> str:
    """Name of the layer that makes the logits: the last linear layer or convolution under the family's head."""
    for part in ("fc", "classifier", "heads", "head"):
        if hasattr(network, part):
            layers = [
                f"{part}.{name}".rstrip(".")
                for name, module in network.get_submodule(part).named_modules()
                if isinstance(module, nn.Linear | nn.Conv2d)
            ]
            return layers[-1]
    raise ValueError(f"{type(network).__name__} has no last layer named fc, classifier, heads or head")


def timm_architecture(name: str, model: str, pretrained: bool, **options: Any) -> Architecture:
    """One of timm's networks.

    Args:
        name: Name as the user gave it.
        model: Name as timm knows it, with or without a tag (``resnet18.a1_in1k``); it exists.
        pretrained: Whether timm loads its weights.
        options: Further arguments of `timm.create_model`.

    Returns:
        Its architecture.

    Raises:
        ValueError: If timm has no such tag, or its weights cannot be had.
    """
    import timm

    if "." in model and model not in timm.list_pretrained():
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model.partition('.')[0]}.*")]
        raise ValueError(f"no weights named {name!r}; tags allowed after the dot: {', '.join(tags)}")
    with warnings.catch_warnings(), impatient_hub() if pretrained else nullcontext():
        warnings.simplefilter("ignore")  # renamed models, missing tokens: notices for timm's own users
        try:
            network: Any = timm.create_model(model, pretrained=pretrained, **options)
        except (OSError, RuntimeError, ValueError) as error:
            if not pretrained:
                raise
            raise ValueError(timm_advice(name, model, error)) from None
    classifier = network.get_classifier()
    head_name = next((path for path, module in network.named_modules() if module is classifier), "")
    if not isinstance(classifier, nn.Linear):
        network.reset_classifier(0)
        head_name = ""
    settings = timm.data.resolve_model_data_config(network)
    layers = getattr(network, "feature_info", None)
    last_map = layers[-1]["module"] if isinstance(layers, list) and layers else ""
    if type(network).__name__ == "EfficientNet":
        last_map = "bn2"  # the convolution after the last block, with its activation
    width = classifier.in_features if head_name else getattr(network, "head_hidden_size", 0) or network.num_features
    return Architecture(
        name=name,
        network=network,
        head_name=head_name,
        num_features=int(width),
        preprocessing={
            "image_size": [int(side) for side in settings["input_size"][1:]],
            "mean": [float(value) for value in settings["mean"]],
            "std": [float(value) for value in settings["std"]],
            "interpolation": str(settings["interpolation"]),
            "crop_fraction": float(settings["crop_pct"]),
        },
        last_map=last_map,
        fixed_size=bool(network.pretrained_cfg.get("fixed_input_size", False)),
    )


def timm_advice(name: str, model: str, error: Exception) -> str:
    """What to do when timm's weights cannot be had; one line."""
    import timm

    settings = timm.get_pretrained_cfg(model, allow_unregistered=True)
    where = f"https://huggingface.co/{settings.hf_hub_id}" if settings and settings.hf_hub_id else "timm's model page"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"no pretrained weights for {name}: they cannot be had from {where} ({type(error).__name__}: {reason}). "
        "Fetch model.safetensors from there on another machine and give it as --model.weights FILE, "
        "or use --model.weights none"
    )


def suggestion(name: str, names: list[str], prefix: str = "") -> str:
    """``, did you mean 'resnet18'?`` for the nearest name; names of timm are suggested with their prefix."""
    if not prefix:
        import timm

        names = [*names, LITE0]
        if timm.is_model(name):
            return f", did you mean 'timm/{name}'?"
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if not near:
        return "; allowed: efficientnet_lite0, a torchvision classification model such as resnet18, or timm/NAME"
    return f", did you mean '{prefix}{near[0]}'?"
