"""The networks of another run, as arrays whose regions can be counted."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.depth.stack import Stack, sequential_layers
from models.stored import build, read_stored
from theory.regions.network import Layer


def given_networks(path: str, inputs: int) -> dict[str, list[Layer]]:
    """Networks of a checkpoint by name: all of a deep-vs-wide or mlp run, or the one Sequential of another.

    Args:
        path: A run folder, its checkpoints folder, or a checkpoint.
        inputs: Inputs that the network must take.

    Raises:
        ValueError: If there is no readable checkpoint, or its network has a layer that is not Linear, ReLU or LeakyReLU
            (which is named), or takes another number of inputs.
    """
    stored = read_stored(path, ("last.ckpt", "best.ckpt"))
    task = build(stored, checkpoint=None, weights="none")
    try:
        networks = networks_of(task, f"{stored.model} of {stored.file.parent.parent.name}")
    except ValueError as error:
        raise ValueError(f"--model.checkpoint {path}: {error}") from error
    for name, layers in networks.items():
        if layers[0].weight.shape[1] != inputs:
            raise ValueError(
                f"--model.checkpoint {path}: {name} takes {layers[0].weight.shape[1]} inputs, the data has {inputs}: "
                "choose --data with as many (depth-targets has one)"
            )
    return networks


def networks_of(task: Any, name: str) -> dict[str, list[Layer]]:
    """Networks of a task as arrays: those it names as its own, its stacks, or the first Sequential with a Linear.

    Raises:
        ValueError: If there is none, or it has a layer that cannot be counted.
    """
    if hasattr(task, "saved_networks"):
        try:
            return {f"{name}, {key}": sequential_layers(net, key) for key, net in task.saved_networks().items()}
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    stacks = [module for module in task.modules() if isinstance(module, Stack)]
    if stacks:
        return {f"{name}, depth {len(stack.weights) - 1}, network 0": stack.layers(0) for stack in stacks}
    if not list(task.children()):
        raise ValueError(f"{name} has no layers; regions are counted for Linear, ReLU and LeakyReLU")
    for key, module in task.named_modules():
        leaf = not list(module.children())
        if leaf and list(module.parameters()) and not isinstance(module, nn.Linear):
            raise ValueError(
                f"{key} of {name} is {type(module).__name__}; regions are counted for Linear, ReLU and LeakyReLU only"
            )
    for key, module in task.named_modules():
        if isinstance(module, nn.Sequential) and any(isinstance(part, nn.Linear) for part in module.modules()):
            return {name: sequential_layers(module, key)}
    kinds = ", ".join(sorted({type(module).__name__ for module in task.modules() if not list(module.children())}))
    raise ValueError(f"{name} has no nn.Sequential of Linear, ReLU and LeakyReLU; it has {kinds}")
