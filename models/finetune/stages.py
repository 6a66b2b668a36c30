"""A network cut into stages from the picture to the features, for layer-wise rates and gradual unfreezing.

Early stages hold edges and textures that serve any picture; late ones hold parts of ImageNet's classes. What is to
change little or late therefore comes first. timm's networks name their stages themselves; torchvision's are walked.

Source:
    Zeiler, Fergus (2014), Visualizing and understanding convolutional networks; timm (`group_matcher`).
"""

from __future__ import annotations

from typing import Any

from torch import nn

# Containers whose children, not they themselves, are the steps from the picture to the features.
CONTAINERS = ("features", "layers", "trunk_output", "blocks", "encoder", "encoder.layers")


def stage_numbers(network: Any) -> dict[str, int]:
    """Number of the stage that each parameter belongs to, from 0 at the picture; the last layer must be gone.

    timm's networks say it themselves (`group_matcher`). Others are walked in order: each child of the containers is a
    stage, except that a normalisation layer, and a convolution or linear layer that follows without pooling, join the
    stage before, a transition (one weight between two stages) joins the stage after, and bare parameters (class token,
    positions) join the first.

    Args:
        network: The network without its last layer.

    Returns:
        Stage by parameter name; the numbers have no gaps.
    """
    if hasattr(network, "group_matcher"):
        from timm.models import group_parameters

        numbers: dict[str, int] = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    else:
        numbers = {}
        stage, pooled, transition = 0, False, False
        for name, part in _steps(network, ""):
            names = [f"{name}.{inner}".rstrip(".") for inner, _ in part.named_parameters()]
            if not names:
                pooled = pooled or "Pool" in type(part).__name__
                continue
            weights = sum(parameter.ndim > 1 for parameter in part.parameters())
            leaf = not list(part.children())
            if numbers and weights and not transition and not (leaf and not pooled):
                stage += 1
            transition = bool(numbers) and not leaf and weights == 1
            pooled = False
            numbers |= dict.fromkeys(names, stage)
        numbers |= {name: 0 for name, _ in network.named_parameters() if name not in numbers}
    kept = sorted({numbers[name] for name, _ in network.named_parameters()})
    return {name: kept.index(numbers[name]) for name, _ in network.named_parameters()}


def _steps(network: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    """Children in order, with those of `CONTAINERS` in place of the container."""
    steps: list[tuple[str, nn.Module]] = []
    for name, child in network.named_children():
        path = f"{prefix}{name}"
        steps += _steps(child, f"{path}.") if path in CONTAINERS else [(path, child)]
    return steps


def split_stages(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The network cut into stages from the picture to the features; every parameter is in exactly one.

    Args:
        network: The network without its last layer.

    Returns:
        Name and module of each stage. The module only holds (a list of modules and parameters); it cannot be called.
    """
    numbers = stage_numbers(network)
    parts: dict[int, list[tuple[str, nn.Module]]] = {number: [] for number in sorted(set(numbers.values()))}

    def collect(module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters(recurse=False):
            parts[numbers[f"{prefix}{name}"]].append((f"{prefix}{name}", nn.ParameterList([parameter])))
        for name, child in module.named_children():
            inner = {numbers[f"{prefix}{name}.{path}"] for path, _ in child.named_parameters()}
            if len(inner) == 1:
                parts[inner.pop()].append((f"{prefix}{name}", child))
            elif inner:
                collect(child, f"{prefix}{name}.")

    collect(network, "")
    return [
        ("stem" if number == 0 else units[0][0], nn.ModuleList([unit for _, unit in units]))
        for number, units in parts.items()
    ]
