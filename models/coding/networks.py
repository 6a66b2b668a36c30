"""Two autoencoders: fully connected (with free or tied weights) and convolutional; `models.coding.linear` is a third.

Each maps a picture to a code of few numbers and back, x̂ = g(f(x - m)), with m the mean picture of the training set.
The code itself is linear: nothing squeezes it, so that codes can be added and interpolated. What comes out is squashed
to 0..1, the range of a pixel, by the logistic function, or is left as it is and cut at the test.

Letters: N batch, C channels, H height, W width, D = C·H·W, K size of the code.

Source:
    Hinton, Salakhutdinov (2006), Reducing the dimensionality of data with neural networks.
    He et al. (2015), Delving deep into rectifiers; Glorot, Bengio (2010), Understanding the difficulty of training deep
    feedforward neural networks (gains of the weights).
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["silu", "gelu", "elu", "relu", "tanh", "sigmoid", "none"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu, "gelu": F.gelu, "elu": F.elu, "relu": F.relu,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "none": lambda x: x,
}  # fmt: skip
# What keeps the variance of a layer: √2 for units that are silent for one half of their inputs, 1 over the slope at 0
# for the others. The logistic function has slope 1/4; with a gain of 1 a deep stack of it passes nothing on.
GAINS = {"silu": math.sqrt(2), "gelu": math.sqrt(2), "elu": math.sqrt(2), "relu": math.sqrt(2)}
GAINS |= {"tanh": 1.0, "sigmoid": 4.0, "none": 1.0}


class Dense(nn.Module):
    """A fully connected autoencoder, symmetric about its code.

    Args:
        pixels: D.
        sizes: Widths from the first hidden layer to the code, such as [1000, 500, 250, 30].
        activation: Of the hidden layers.
        tied: The decoder's weights are the encoder's, transposed; its biases are its own.
    """

    def __init__(self, pixels: int, sizes: list[int], activation: Activation, tied: bool = False) -> None:
        super().__init__()
        widths = [pixels, *sizes]
        self.activation = activation
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(nn.Linear(low, high) for low, high in pairs)
        self.decoder = nn.ModuleList(nn.Linear(high, low, bias=not tied) for low, high in reversed(pairs))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(low)) for low, _ in reversed(pairs)) if tied else None
        if tied:
            for layer in self.decoder:
                del layer.weight
        gain = GAINS[activation]
        for chain in (self.encoder, self.decoder):
            for place, layer in enumerate(chain):
                start(layer, gain if place + 1 < len(chain) else 1.0)

    def activate(self, x: Tensor) -> Tensor:
        """The activation of the hidden layers, elementwise."""
        return ACTIVATIONS[self.activation](x)

    def up(self, place: int, x: Tensor) -> Tensor:
        """Layer ``place`` of the encoder, from 0, before the activation. Args: x (N, in). Returns: (N, out)."""
        value: Tensor = self.encoder[place](x)
        return value

    def down(self, place: int, x: Tensor) -> Tensor:
        """Layer ``place`` of the decoder, counted as its partner in the encoder, before the activation."""
        mirror = len(self.decoder) - 1 - place
        if self.biases is not None:
            partner: Any = self.encoder[place]
            return F.linear(x, partner.weight.T, self.biases[mirror])
        value: Tensor = self.decoder[mirror](x)
        return value

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, K) of centred pictures (N, C, H, W)."""
        x = x.flatten(1)  # (N, D)
        last = len(self.encoder) - 1
        for place in range(last):
            x = self.activate(self.up(place, x))
        return self.up(last, x)

    def decode(self, code: Tensor) -> Tensor:
        """Pictures before the output function (N, D) of codes (N, K)."""
        x = code
        for place in range(len(self.encoder) - 1, 0, -1):
            x = self.activate(self.down(place, x))
        return self.down(0, x)

    def output_bias(self) -> Tensor:
        """The bias of the last layer, shape (D,)."""
        last: Any = self.decoder[-1]
        bias: Tensor = last.bias if self.biases is None else self.biases[-1]
        return bias


class Convolutional(nn.Module):
    """A convolutional autoencoder: each stage halves the picture, a linear layer makes the code.

    Args:
        in_channels: C.
        image_size: [H, W].
        sizes: Channels of each stage, then the size of the code, such as [32, 64, 30].
        activation: Of the hidden layers.
    """

    def __init__(self, in_channels: int, image_size: list[int], sizes: list[int], activation: Activation) -> None:
        super().__init__()
        *channels, code = sizes
        self.activation = activation
        self.shapes = [(in_channels, *image_size)]  # of the picture, then after each stage
        for width in channels:
            _, height, across = self.shapes[-1]
            if max(height, across) < 2:
                raise ValueError(f"{len(channels)} stages are too many for pictures of {image_size[0]}×{image_size[1]}")
            self.shapes.append((width, -(-height // 2), -(-across // 2)))
        flat = math.prod(self.shapes[-1])
        widths = [shape[0] for shape in self.shapes]
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList(nn.Conv2d(low, high, 3, stride=2, padding=1) for low, high in pairs)
        self.to_code, self.from_code = nn.Linear(flat, code), nn.Linear(code, flat)
        # Enlarging and then convolving leaves no chessboard pattern, as a transposed convolution does.
        self.decoder = nn.ModuleList(nn.Conv2d(high, low, 3, padding=1) for low, high in reversed(pairs))
        gain = GAINS[activation]
        for layer in (*self.encoder, self.from_code, *self.decoder[:-1]):
            start(layer, gain)
        for layer in (self.to_code, self.decoder[-1]):
            start(layer, 1.0)
        # A convolution's bias is one number a channel; the mean picture has one a pixel.
        self.bias = nn.Parameter(torch.zeros(math.prod(self.shapes[0])))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, K) of centred pictures (N, C, H, W)."""
        act = ACTIVATIONS[self.activation]
        for layer in self.encoder:
            x = act(layer(x))
        code: Tensor = self.to_code(x.flatten(1))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Pictures before the output function (N, D) of codes (N, K)."""
        act = ACTIVATIONS[self.activation]
        x = self.from_code(code).view(-1, *self.shapes[-1])
        for layer, (_, height, width) in zip(self.decoder, reversed(self.shapes[:-1]), strict=True):
            x = layer(F.interpolate(act(x), size=(height, width), mode="nearest"))
        return x.flatten(1) + self.bias

    def output_bias(self) -> Tensor:
        """The bias of the output, shape (D,)."""
        return self.bias


def start(layer: nn.Module, gain: float) -> None:
    """Normal weights of variance gain² / inputs and no bias; a tied layer has no weights of its own."""
    weight = getattr(layer, "weight", None)
    if weight is not None:
        nn.init.normal_(weight, std=gain / math.sqrt(weight[0].numel()))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class Autoencoder(nn.Module):
    """Mean picture, network and output function: pictures in, pictures out.

    Args:
        network: A `Dense` or `Convolutional` network.
        image_shape: (C, H, W).
        output: ``sigmoid`` squashes to 0..1; ``linear`` adds the mean picture and is cut to 0..1 in evaluation.
    """

    mean: Tensor

    def __init__(
        self, network: Dense | Convolutional, image_shape: tuple[int, int, int], output: Literal["sigmoid", "linear"]
    ) -> None:
        super().__init__()
        self.network, self.image_shape, self.output = network, image_shape, output
        self.register_buffer("mean", torch.zeros(image_shape))

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Takes over the mean picture of the training set; a network that says nothing then answers with it.

        Args:
            mean: In 0..1, shape (D,).
        """
        self.mean.copy_(mean.view(self.image_shape))
        if self.output == "sigmoid":
            # A pixel that is constant would ask for an infinite bias.
            self.network.output_bias().copy_(torch.logit(mean.clamp(0.01, 0.99)))

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, K) of pictures in 0..1, (N, C, H, W)."""
        return self.network.encode(x - self.mean)

    def decode(self, code: Tensor) -> Tensor:
        """Pictures (N, C, H, W) of codes (N, K)."""
        return self.output_of(self.network.decode(code))

    def output_of(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) of what the last layer gives, (N, D)."""
        x = x.view(-1, *self.image_shape)
        if self.output == "sigmoid":
            return x.sigmoid()
        x = x + self.mean
        return x if self.training else x.clamp(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions of pictures in 0..1, both (N, C, H, W)."""
        return self.decode(self.encode(x))
