"""The networks under attack: a trained one from a checkpoint, one trained here, and a linear one beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.convnet import CNN
from models.stored import build, read_stored


class Victim(nn.Module):
    """A classifier of pixels in 0..1: normalisation and network in one, as an adversary sees it.

    Args:
        network: Takes normalised pictures.
        mean: Mean of the training pictures per channel, in 0..1.
        std: Standard deviation per channel, in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).clamp_min(1e-3).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (N, K). Args: pixels in 0..1, shape (N, C, H, W)."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


class Linear(nn.Linear):
    """Logits W x + b of all pixels: the model for which every worst case is a closed form."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (N, K). Args: images (N, C, H, W)."""
        return super().forward(images.flatten(1))


def on_pixels(victim: Victim) -> tuple[Tensor, Tensor]:
    """W, shape (K, D), and b, shape (K,), of a linear victim, acting on pixels that are not normalised, in float64."""
    layer = victim.network
    assert isinstance(layer, Linear)
    mean, std = victim.mean.double().flatten(), victim.std.double().flatten()
    channels = layer.weight.double().unflatten(1, (len(mean), -1))  # (K, C, H W)
    weight = (channels / std[:, None]).flatten(1)
    bias = layer.bias.double() - ((channels * (mean / std)[:, None]).sum((1, 2)))
    return weight, bias


def load_victim(checkpoint: str, class_names: list[str], in_channels: int, image_size: list[int]) -> Victim:
    """The network in a checkpoint of ``--model cnn``.

    Args:
        checkpoint: A run folder (its ``best.ckpt``, else ``last.ckpt``) or a file.
        class_names: Those of the data that is attacked.
        in_channels: Channels of that data.
        image_size: [H, W] of that data.

    Raises:
        ValueError: If there is no such file, or it does not hold such a network for such data.
    """
    stored = read_stored(checkpoint, ("best.ckpt", "last.ckpt"))
    file = stored.file
    if stored.model != "cnn":
        raise ValueError(f"--model.checkpoint {file} holds the model {stored.model!r}; allowed: cnn")
    task = build(stored, weights="none")
    found = (list(task.hparams["class_names"]), task.hparams["in_channels"], list(task.hparams["image_size"]))
    if found != (class_names, in_channels, image_size):
        known, given = (
            f"{len(names)} classes of {channels}×{height}×{width}"
            for names, channels, (height, width) in (found, (class_names, in_channels, image_size))
        )
        if known == given:
            pairs = [(own, due) for own, due in zip(found[0], class_names, strict=True) if own != due]
            listed = ", ".join(f"{own!r} for {due!r}" for own, due in pairs[:3]) + ", …" * (len(pairs) > 3)
            raise ValueError(f"--model.checkpoint {file}: its classes are other ones than those of this data, {listed}")
        raise ValueError(f"--model.checkpoint {file} was trained on {known}, this data has {given}")
    return Victim(task.network, task.mean.flatten().tolist(), task.std.flatten().tolist())


def new_victim(
    in_channels: int, num_classes: int, image_size: list[int], widths: list[int], mean: list[float], std: list[float]
) -> Victim:
    """A small convolutional network, to be trained here.

    Raises:
        ValueError: If the pictures are too small for so many stages.
    """
    try:
        network = CNN(in_channels, num_classes, image_size, widths)
    except ValueError as error:
        raise ValueError(f"--model.widths {widths}: {error}") from error
    return Victim(network, mean, std)


def linear_victim(
    num_classes: int, in_channels: int, image_size: list[int], mean: list[float], std: list[float]
) -> Victim:
    """Softmax regression on the pixels."""
    return Victim(Linear(in_channels * image_size[0] * image_size[1], num_classes), mean, std)
