"""Features of a frozen body, computed once: an epoch of the head then costs milliseconds.

A frozen body in ``eval()`` gives a picture the same features in every epoch. As long as no augmentation is drawn, a
head trained on stored features is therefore the same as one trained through the body, at a cost that falls from one
pass per epoch to one pass in all.

Source:
    Donahue et al. (2014), DeCAF; Sharif Razavian et al. (2014), CNN features off-the-shelf.
"""
# N batch, C channels, H height, W width, D features

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from models.finetune.backbones import Backbone
from models.finetune.folding import folded_if_equal
from models.pixels import normalise

CPU_PART = 8  # pictures at a time on a CPU: the maps of EfficientNet-Lite0 then stay in its caches

PRECISIONS: dict[str, torch.dtype | None] = {
    "32": None,
    "32-true": None,
    "bf16": torch.bfloat16,
    "bf16-mixed": torch.bfloat16,
    "16": torch.float16,
    "16-mixed": torch.float16,
}


def _fastest_body(backbone: Backbone, x: Tensor) -> nn.Module:
    """The body with its normalisation folded, when two pictures confirm in full precision that it computes the same."""
    backbone.features(x[:1])  # refuses pictures of a size that the network cannot read
    with torch.autocast(x.device.type, enabled=False):
        return folded_if_equal(backbone.body, x[:2].to(next(backbone.parameters()).dtype))


class _Sparing:
    """Features of a batch, as many pictures at a time as the memory holds.

    Args:
        backbone: The network, on the device.
        prepare: Normalises pictures on the device.
        dtype: Of the network's weights.
        memory_format: Order of the pictures in memory.
        device: Where to compute.
        shrunk: Called with the number of pictures at a time from now on, when memory ran out.
    """

    def __init__(
        self,
        backbone: Backbone,
        prepare: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
        memory_format: torch.memory_format,
        device: torch.device,
        shrunk: Callable[[int], None] | None,
    ) -> None:
        self.backbone, self.prepare, self.dtype, self.memory_format = backbone, prepare, dtype, memory_format
        self.device, self.shrunk = device, shrunk
        self.body: nn.Module | None = None
        self.most = CPU_PART if device.type == "cpu" else sys.maxsize  # pictures at a time

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Features of pictures (N, C, H, W) in parts of (n, D), float32, on the CPU.

        Raises:
            torch.OutOfMemoryError: If a single picture does not fit.
        """
        parts = []
        while len(images):
            part = images[: self.most]
            try:
                parts.append(self._of(part))
                images = images[len(part) :]
                continue
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.most = -(-len(part) // 2)
            # Outside the handler, whose traceback holds on to the tensors that did not fit.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if self.shrunk is not None:
                self.shrunk(self.most)
        return parts

    def _of(self, part: Tensor) -> Tensor:
        x = self.prepare(part.to(self.device, non_blocking=True)).to(self.dtype)
        x = x.contiguous(memory_format=self.memory_format)
        if self.body is None:
            self.body = _fastest_body(self.backbone, x)
        return self.backbone.described(self.body(x)).float().cpu()


def in_parts(compute: Callable[[Tensor], list[Tensor]], images: Tensor) -> list[Tensor]:
    """Tensors of a batch whose pictures do not depend on each other: on a CPU, of a few at a time.

    Args:
        compute: Gives tensors with one row a picture, without gradients, of a body in ``eval()``.
        images: Shape (N, C, H, W).

    Returns:
        What ``compute`` gives for all of them.
    """
    parts = [compute(part) for part in images.split(CPU_PART if images.device.type == "cpu" else len(images))]
    return [torch.cat(rows) for rows in zip(*parts, strict=True)]


def extract_features(
    backbone: Backbone,
    loader: Iterable[tuple[Tensor, Tensor]],
    device: torch.device | str = "cpu",
    precision: str = "32-true",
    progress: Callable[[int], None] | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
    shrunk: Callable[[int], None] | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> tuple[Tensor, Tensor]:
    """Features and labels of all pictures of a loader, in its order.

    Args:
        backbone: The network; it is moved to ``device``, used in ``eval()`` and given back in the mode it had, its
            weights in the given order of memory.
        loader: Batches of pictures, uint8 in 0..255 or floating point in 0..1, shape (N, C, H, W), and labels (N,).
        device: Where to compute.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``, as for Lightning's Trainer.
        progress: Called after each batch with the number of pictures done so far.
        prepare: What normalises a batch on the device; by default `normalise` with the backbone's own numbers.
        shrunk: Called with the number of pictures that go through at a time from now on, when memory ran out.
        memory_format: Order of weights and pictures in memory; by default the one that convolutions are fastest in.

    Returns:
        Features, float32, shape (number of pictures, D), and labels, both on the CPU and usable in training.

    Raises:
        torch.OutOfMemoryError: If a single picture does not fit.
        ValueError: If the precision is unknown or the loader is empty.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    device = torch.device(device)
    dtype, own = PRECISIONS[precision], next(backbone.parameters()).dtype  # other than float32 in true 16 or 64 bits
    mean, std = (torch.tensor(backbone.preprocessing[key], device=device) for key in ("mean", "std"))
    prepare = prepare or (lambda images: normalise(images, mean, std))
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.to(device).to(memory_format=memory_format).eval()
    compute = _Sparing(backbone, prepare, own, memory_format, device, shrunk)
    features: list[Tensor] = []
    labels: list[Tensor] = []
    done = 0
    try:
        with torch.inference_mode(), nullcontext() if dtype is None else torch.autocast(device.type, dtype):
            for images, targets in loader:
                features += compute(images)
                labels.append(targets.cpu())
                done += len(targets)
                if progress is not None:
                    progress(done)
    finally:
        for module, training in modes:
            module.training = training
    if not features:
        raise ValueError("no pictures to compute features of: the loader is empty")
    # Outside inference mode, so that a head can be trained on the result.
    return torch.cat(features), torch.cat(labels).clone()


class FeatureCache:
    """Features of resident pictures, kept as long as a frozen body makes the same of them.

    A batch is known by where it lies in memory: loaders slice resident tensors, so the same batch is the same memory.
    The pictures are held too, so that nothing else can come to lie there.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], tuple[Tensor, list[Tensor]]] = {}

    def get(self, images: Tensor, views: str, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Features of a batch and its views, computed at the first call.

        Args:
            images: A slice of a resident tensor.
            views: Which views are averaged.
            compute: Gives the features.
        """
        key = (images.data_ptr(), images.shape, images.stride(), images.dtype, views)
        if key not in self.kept:
            self.kept[key] = images, compute()
        return self.kept[key][1]
