"""Grad-CAM: which places of a picture speak for a class.

For the map A of one layer, (C, h, w), and the logit z_k of a class k:

    a_c = mean_{i,j} dz_k / dA[c, i, j]          how much channel c speaks for the class
    L   = relu(sum_c a_c A[c])                   where those channels are active, (h, w)

For a network whose head averages each channel and is linear this is exactly the class activation map, since then
a_c = w_kc / (h w).

Source:
    Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017), Grad-CAM, equations 1 and 2.
"""
# N pictures, C channels, h, w size of the map, H, W size of the picture, K classes

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dashboard.heat import save_explanation


def explains(task: Any) -> bool:
    """Whether a task has a map of places to explain by: its ``network.last_spatial()`` names the layer."""
    layer = getattr(getattr(task, "network", None), "last_spatial", None)
    return layer is not None and layer() is not None


def grad_cam(network: nn.Module, layer: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Heat maps of the evidence for one class per picture.

    Args:
        network: Gives logits (N, K).
        layer: Module inside it whose output is a map (N, C, h, w).
        x: Pictures as the network takes them, shape (N, C, H, W).
        classes: Class to explain for each picture, shape (N,).

    Returns:
        Evidence in [0, 1], each picture's largest value 1 (all 0 where nothing speaks for the class), shape (N, H, W).

    Raises:
        ValueError: If the layer's output is no map.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        kept.append(output if output.requires_grad else output.requires_grad_())
        return kept[-1].clone()  # a copy, because the next layer may work in place

    handle = layer.register_forward_hook(keep)
    was_training = network.training
    try:
        with torch.inference_mode(False), torch.enable_grad():
            logits = network.eval()(x.detach().clone())  # (N, K)
            if kept[0].ndim != 4:
                raise ValueError(f"Grad-CAM needs a map (N, C, h, w), the layer gives {tuple(kept[0].shape)}")
            chosen = logits.gather(1, classes.clone()[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, kept[0])  # (N, C, h, w)
    finally:
        handle.remove()
        network.train(was_training)
    weight = gradient.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    heat = F.relu((weight * kept[0].detach()).sum(1, keepdim=True)).float()  # (N, 1, h, w)
    heat = F.interpolate(heat, size=x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]  # (N, H, W)
    peak = heat.amax((1, 2), keepdim=True)
    return heat / torch.where(peak > 0, peak, torch.ones_like(peak))


def save_heats(
    task: Any, images: Tensor, names: Mapping[Path, str], guesses: Sequence[tuple[str, float]], folder: Path
) -> None:
    """Writes each picture beside its heat: where it speaks for the class that was guessed.

    Args:
        task: The classifier, whose network has a map of places.
        images: uint8, shape (N, C, H, W).
        names: File of each picture and the name of what is written for it, N of them.
        guesses: Class and probability of each.
        folder: Made when it is missing.

    Raises:
        OSError: If the folder cannot be written.
    """
    known = task.hparams["class_names"]
    classes = torch.tensor([known.index(name) for name, _ in guesses], device=task.device)
    x = task.normalise(images.to(task.device))
    heat = grad_cam(task.network, task.network.last_spatial(), x, classes).cpu().numpy()  # (N, H, W)
    folder.mkdir(parents=True, exist_ok=True)
    for image, one, file, (name, share) in zip(images.numpy(), heat, names, guesses, strict=True):
        save_explanation(image, one, f"{file.name}: {name}, {100 * share:.1f} %", folder / names[file])
