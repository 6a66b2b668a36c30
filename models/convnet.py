"""A small convolutional network, written so that its sizes can be read off the formulas of convolution.

A convolution layer slides one small kernel over the picture; every position shares its weights:

    y[o, i, j] = b[o] + sum_c sum_u sum_v  w[o, c, u, v] * x[c, s*i + u - p, s*j + v - p]

(frameworks leave the kernel unflipped: this is cross-correlation; flipping w gives the convolution of the textbooks).
Its consequences are exact, and `theory.convolution` states them as functions that the tests compare with this network:

    output size          floor((n + 2p - f) / s) + 1
    parameters           f*f*C*O + O, whatever the picture's size (a dense layer needs n*n*C*m + m)
    receptive field      1 + sum_i (k_i - 1) * prod_{j<i} s_j
    equivariance         conv(shift(x)) = shift(conv(x)); pooling keeps this only for multiples of its stride

Source:
    LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition, section II.
    Ioffe, Szegedy (2015), Batch normalization; Dumoulin, Visin (2016), A guide to convolution arithmetic.
"""
# N batch, C channels, H height, W width, D features, K classes

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.columns import Opinions
from theory.receptive_field import Window, chain_sizes, receptive_field


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return x * self.factor


def _per_stage(name: str, values: list[int] | None, default: int, allowed: Sequence[int], stages: int) -> list[int]:
    """One number for each stage; the default for all of them without ``values``."""
    values = [default] * stages if values is None else values
    if len(values) != stages or any(value not in allowed for value in values):
        raise ValueError(f"{name} must be {allowed[0]} to {allowed[-1]} for each of the {stages} stages, got {values}")
    return values


class CNN(nn.Module):
    """Stages of convolutions, a stage ending in a maximum over small squares, then one linear layer.

    A convolution is 3x3 without bias, followed by batch normalisation and ReLU. In the last convolution of a stage the
    maximum comes first, so that both touch a quarter of the values. With fixed statistics and positive gains they are
    increasing, and the order would not matter; in training the statistics are those of the maxima.

    With ``columns`` several such networks stand side by side and look at the same picture, see `models.columns`: every
    convolution but the first is split into that many groups, which share nothing.

    Args:
        in_channels: C, 1 for grey, 3 for colour.
        num_classes: K, at least 2.
        image_size: [H, W] of the pictures.
        widths: Channels of each stage.
        padding: Padding of the convolutions of each stage, 0 or 1; 1 keeps the size, 0 loses a border and is cheaper.
            All 1 by default.
        depths: Convolutions of each stage, 2 by default.
        pools: Side of the squares of the maximum that ends each stage, 2 by default; 1 takes none.
        patch: Space-to-depth factor: p x p pixels become p*p channels before the first convolution, which is p*p
            times cheaper and, with one input channel, far better suited to matrix hardware.
        dropout: Probability with which a feature is dropped before the linear layer.
        logit_scale: Factor on the logits; below 1 it slows the growth of the linear layer.
        norm_momentum: Weight of the newest batch in the running mean of batch normalisation.
        columns: G, networks of these widths side by side.

    Raises:
        ValueError: If the picture is too small for the number of stages, or a number is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: list[int],
        widths: list[int],
        padding: list[int] | None = None,
        depths: list[int] | None = None,
        pools: list[int] | None = None,
        patch: int = 1,
        dropout: float = 0.0,
        logit_scale: float = 1.0,
        norm_momentum: float = 0.1,
        columns: int = 1,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise ValueError(f"widths must be at least 1, one for each stage, got {widths}")
        if patch < 1:
            raise ValueError(f"patch must be at least 1, got {patch}")
        padding = _per_stage("padding", padding, 1, (0, 1), len(widths))
        depths = _per_stage("depths", depths, 2, range(1, 17), len(widths))
        pools = _per_stage("pools", pools, 2, range(1, 9), len(widths))
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}")
        if columns < 1:
            raise ValueError(f"columns must be at least 1, got {columns}")
        self.patch = patch
        channels, groups = in_channels * patch**2, 1  # of the picture, which all columns see
        windows = [Window(patch, patch)]
        self.stages = nn.Sequential()
        for width, pad, depth, pool in zip(widths, padding, depths, pools, strict=True):
            stage = nn.Sequential()
            for place in range(depth):
                stage.append(nn.Conv2d(channels, columns * width, 3, padding=pad, bias=False, groups=groups))
                channels, groups = columns * width, columns
                windows.append(Window(3, 1, pad))
                if place == depth - 1 and pool > 1:
                    stage.append(nn.MaxPool2d(pool))
                    windows.append(Window(pool, pool))
                stage.append(nn.BatchNorm2d(channels, momentum=norm_momentum))
                stage.append(nn.ReLU(inplace=True))
            self.stages.append(stage)
        padded = [math.ceil(side / patch) * patch for side in image_size]
        try:
            rows, cols = (chain_sizes(side, windows)[-1] for side in padded)
        except ValueError as error:
            raise ValueError(
                f"{len(widths)} stages are too many for pictures of {image_size[0]}×{image_size[1]}: {error}"
            ) from None
        num_features = widths[-1] * rows * cols
        last = nn.Linear(num_features, num_classes) if columns == 1 else Opinions(columns, num_features, num_classes)
        self.head = nn.Sequential(nn.Dropout(dropout), last, Scale(logit_scale))
        self.columns = columns
        self.receptive_field = receptive_field(windows)

    def feature_map(self, x: Tensor) -> Tensor:
        """The last stage's map. Args: x of shape (N, C, H, W), normalised. Returns: shape (N, C', H', W')."""
        if self.patch > 1:
            height, width = x.shape[-2:]
            x = F.pad(x, (0, -width % self.patch, 0, -height % self.patch))
            x = F.pixel_unshuffle(x, self.patch)  # (N, C p^2, H/p, W/p)
        maps: Tensor = self.stages(x)
        return maps

    def features(self, x: Tensor) -> Tensor:
        """What the linear layer sees. Args: x of shape (N, C, H, W), normalised. Returns: shape (N, D)."""
        return self.feature_map(x).flatten(1)

    def opinions(self, features: Tensor) -> Tensor:
        """The logits of each column. Args: features of shape (N, D). Returns: shape (G, N, K)."""
        _, last, scale = self.head
        each: Tensor = scale(last.each(features) if isinstance(last, Opinions) else last(features)[None])
        return each

    def forward(self, x: Tensor, each: bool = False) -> Tensor:
        """Logits (N, K) of x, normalised, (N, C, H, W); with ``each`` those of every column, (G, N, K)."""
        features = self.features(x)
        if each:
            return self.opinions(self.head[0](features))
        logits: Tensor = self.head(features)
        return logits

    def last_spatial(self) -> nn.Module:
        """The module whose map explains a decision (Grad-CAM): the last stage, of whose map the logits are linear."""
        return self.stages[-1]
