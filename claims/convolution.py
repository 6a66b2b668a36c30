"""Statements about convolutional networks: their arithmetic, their symmetry, what pooling does."""

import math

import numpy as np
import scipy.signal
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from claims.registry import IMPRECISE, RIGHT, WRONG, Numbers, at_least, claim, equals
from theory.convolution import (
    convolution_input_gradient,
    convolution_matrix,
    convolution_multiply_adds,
    convolution_parameters,
    dense_multiply_adds,
    dense_parameters,
    fft_convolution,
    flip,
    output_size,
    same_padding,
)
from theory.pooling import convolution_costs, shift_commutator, smallest_shift_difference
from theory.receptive_field import Window, receptive_field
from theory.winograd import winograd_convolution


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@claim(
    "003-04",
    "knowledge cannot be injected into a network",
    WRONG,
    "symmetry can be built in: a layer of one kernel in all four orientations commutes with quarter turns",
    "Cohen, Welling 2016",
)
def built_in_symmetry() -> Numbers:
    pictures, kernels = _draw(2, 1, 12, 12).float(), _draw(4, 1, 3, 3, seed=1).float()

    def layer(x: Tensor, weight: Tensor) -> Tensor:
        """Answers (N, orientations, 4, H, W) of four kernels (orientations, 4, 1, 3, 3)."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), "circular"), weight.flatten(0, 1)).relu().unflatten(1, weight.shape[:2])

    def defect(weight: Tensor) -> Tensor:
        """‖L(turned picture) − turned L(picture)‖ / ‖L‖, largest element; a turn also moves on the orientations."""
        answers, due = layer(pictures.rot90(1, (2, 3)), weight), layer(pictures, weight).rot90(1, (3, 4)).roll(1, 1)
        return (answers - due).abs().max() / due.abs().max()

    turned = torch.stack([kernels.rot90(turn, (2, 3)) for turn in range(4)])  # (4, 4, 1, 3, 3)
    yield at_least(
        "kernels as they are: a quarter turn, then the layer, less the other way round", defect(kernels[None]), 0.1
    )
    yield equals("the same with the symmetry built in (float32)", defect(turned), 0, 1e-6, counterexample=True)
    first, second = layer(pictures, turned)
    yield at_least(
        "its answers to two pictures differ, relative", (first - second).abs().max() / first.abs().max(), 0.1
    )


@claim(
    "004-02",
    "in a dense network every unit is joined to every unit of the next layer",
    RIGHT,
    "n units on m inputs have n(m + 1) parameters",
    "Goodfellow, Bengio, Courville 2016, section 6.1",
)
def dense_layers() -> Numbers:
    for inputs, units in ((3, 4), (784, 100)):
        yield equals(
            f"{units} units on {inputs} inputs", _size(nn.Linear(inputs, units)), dense_parameters(inputs, units)
        )
    dense, sparse = nn.Linear(5, 7).double(), nn.Conv1d(1, 1, 3, padding=1).double()
    with torch.no_grad():
        dense.weight.copy_(_draw(7, 5))
        sparse.weight.copy_(_draw(1, 1, 3))
        moved = dense(_draw(5) + torch.eye(5, dtype=torch.float64)) - dense(_draw(5))  # input i by 1 in row i
        beside = sparse((_draw(5) + torch.eye(5, dtype=torch.float64))[:, None]) - sparse(_draw(1, 5))
    yield equals("units, of 7, that one of 5 inputs moves, fewest", (moved.abs() > 1e-9).sum(1).min(), 7)
    yield equals("beside it, outputs of a convolution of 3, of 5, most", (beside.abs() > 1e-9).sum(2).max(), 3)


@claim(
    "004-03",
    "a photo of a phone needs tens or hundreds of millions of neurons",
    IMPRECISE,
    "those are its inputs; the explosion is in the weights of a dense layer, and a convolution has none of it",
    "Dumoulin, Visin 2016",
)
def photo() -> Numbers:
    inputs = torch.empty(3, 3024, 4032, device="meta").numel()  # shapes without memory
    dense = nn.Linear(inputs, 1000, device="meta")
    yield equals("inputs, millions", round(inputs / 1e6, 1), 36.6)
    yield equals("weights of one dense layer of 1000", dense.weight.numel(), dense_multiply_adds(inputs, 1000),
                 counterexample=True)  # fmt: skip
    conv = nn.Conv2d(3, 64, 3)
    yield equals("parameters of 64 kernels of 3×3 on colours", _size(conv), 1792, counterexample=True)
    yield equals("the same by formula", convolution_parameters(3, 64, 3), 1792)
    kernel, picture = _draw(3, 3, seed=2), _draw(9, 8)
    matrix = convolution_matrix(kernel.numpy(), 9, 8, stride=2, padding=1)
    due = F.conv2d(picture[None, None], kernel[None, None], stride=2, padding=1).flatten()
    gap = np.abs(matrix @ picture.numpy().ravel() - due.numpy()).max()
    yield equals("convolution − its sparse matrix times the picture", gap, 0, 1e-12)


@claim(
    "004-04",
    "downscaling loses information",
    RIGHT,
    "what lies above half the new sampling rate folds onto a lower frequency",
    "Shannon 1949",
)
def aliasing() -> Numbers:
    fine = torch.arange(64, dtype=torch.float64) / 64
    for frequency in (20, 27):  # every second sample: 32, so that 16 is the highest frequency left
        wave, alias = (torch.cos(2 * math.pi * f * fine) for f in (frequency, 32 - frequency))
        yield equals(
            f"{frequency} and {32 - frequency} periods, every 2nd sample",
            (wave[::2] - alias[::2]).abs().max(),
            0,
            1e-12,
        )
        yield at_least("the same before", (wave - alias).abs().max(), 1)


@claim(
    "004-05",
    "convolution saves computation and parameters",
    RIGHT,
    "and its fast forms give the same result: direct, Fourier, Winograd",
    "Winograd 1980; Lavin, Gray 2016",
)
def savings() -> Numbers:
    dense, conv = dense_multiply_adds(28 * 28, 26 * 26), convolution_multiply_adds(1, 1, 3, 26)
    yield equals(
        "multiply-adds of a 3×3 kernel over those of a dense layer, 28×28: 9/784", conv / dense, 9 / 784, 1e-15
    )
    picture, kernel = _draw(3, 28, 28), _draw(3, 3, seed=1)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        x, k = picture.to(dtype), kernel.to(dtype)
        direct = F.conv2d(x[:, None], k[None, None])[:, 0]
        for name, fast in (("Fourier", fft_convolution(x, k)), ("Winograd", winograd_convolution(x, k))):
            gap = (fast - direct).abs().max() / direct.abs().max()
            yield equals(f"{name} − direct, relative, {str(dtype).removeprefix('torch.')}", gap, 0, tolerance)
    # F(2×2, 3×3): 4 · 4 products of tile and kernel for 4 outputs, which take 4 · 9 directly
    with CountedProducts() as counted:
        winograd_convolution(picture, kernel)
    with FlopCounterMode(display=False) as direct_count:
        F.conv2d(picture[:, None], kernel[None, None])
    share = counted.products / (direct_count.get_total_flops() / 2)  # a flop is a product or a sum
    yield equals("products counted while it runs: Winograd / direct, 16/36", share, 16 / 36)


class CountedProducts(TorchDispatchMode):
    """Counts products of two data while torch works; taking 0, ±½ or ±1 times a number is none."""

    products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten.mul:
            self.products += result.numel()
        elif func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.bmm):
            simple = any(bool((2 * factor.abs() % 1 == 0).all()) and factor.abs().max() <= 1 for factor in args)
            self.products += 0 if simple else result.numel() * args[0].shape[-1]
        return result


@claim(
    "004-06",
    "a convolutional network: shared weights, pooling, a two-dimensional convolution",
    IMPRECISE,
    "frameworks compute the cross-correlation; either way it commutes with (circular) shifts",
    "Goodfellow, Bengio, Courville 2016, section 9.1",
)
def cross_correlation() -> Numbers:
    picture, kernel = _draw(1, 1, 10, 10), _draw(3, 3, seed=1)
    due = scipy.signal.convolve(picture[0, 0].numpy(), kernel.numpy(), mode="valid")
    ours = F.conv2d(picture, kernel[None, None])[0, 0].numpy()
    flipped = F.conv2d(picture, flip(kernel)[None, None])[0, 0].numpy()
    yield at_least("conv2d − convolution", np.abs(ours - due).max(), 1, counterexample=True)
    yield equals("conv2d with the kernel turned − convolution", np.abs(flipped - due).max(), 0, 1e-12)
    circular = lambda x: F.conv2d(F.pad(x, (1, 1, 1, 1), "circular"), kernel[None, None])
    yield equals("shift, then convolve − convolve, then shift", shift_commutator(circular, picture, 3, 3), 0, 1e-12)


@claim(
    "004-07",
    "pooling downsamples; relative position matters more than exact position",
    IMPRECISE,
    "it commutes with shifts by multiples of the stride only",
    "Zhang 2019; Azulay, Weiss 2019",
)
def pooling_and_shifts() -> Numbers:
    pool, picture = (lambda x: F.max_pool2d(x, 2)), _draw(1, 2, 12, 12)
    yield equals("shift by the stride: change beyond a shift", shift_commutator(pool, picture, 2, 1), 0)
    off = smallest_shift_difference(pool, picture, 1)
    yield at_least("shift by one pixel: least change over all shifts of the output", off, 0.1, counterexample=True)


@claim(
    "004-08",
    "pooling reduces the number of parameters",
    IMPRECISE,
    "of the dense layers behind it, and the computation; a convolution's weights do not notice",
    "Springenberg et al. 2015",
)
def pooling_and_parameters() -> Numbers:
    without, pooled = convolution_costs(28, 1, 16, 3, 10), convolution_costs(28, 1, 16, 3, 10, pool=2)

    def convolutions(pool: int) -> tuple[int, int]:
        first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        maps = second(F.max_pool2d(first(torch.zeros(1, 1, 28, 28)), pool))
        return _size(first) + _size(second), _size(nn.Linear(maps.numel(), 10))

    found = {"without": convolutions(1), "with": convolutions(2)}
    for name, costs in (("without", without), ("with", pooled)):
        due = costs.first_convolution + costs.second_convolution
        yield equals(f"{name} pooling: parameters of the convolutions", found[name][0], due, counterexample=True)
        yield equals(f"{name} pooling: of the dense layer", found[name][1], costs.dense)
    yield equals("convolution parameters that pooling saves", found["without"][0] - found["with"][0], 0)
    yield equals("dense weights with pooling over without", (found["with"][1] - 10) / (found["without"][1] - 10), 0.25)


@claim(
    "004-09",
    "max pooling takes the maximum of its window",
    RIGHT,
    "and its gradient goes to the place of the maximum alone",
    "LeCun et al. 1998; Scherer, Müller, Behnke 2010",
)
def max_pooling() -> Numbers:
    picture = _draw(1, 1, 8, 8).requires_grad_()
    pooled = F.max_pool2d(picture, 2)
    windows = picture.detach().unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)  # (1, 1, 4, 4, 4)
    yield equals("output − maximum of the window", (pooled - windows.amax(4)).detach().abs().max(), 0)
    (gradient,) = torch.autograd.grad(pooled.sum(), picture)
    one_hot = F.one_hot(windows.argmax(4), 4).double()
    spread = gradient.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    yield equals("gradient − one-hot of the argmax", (spread - one_hot).abs().max(), 0)


@claim(
    "004-10",
    "(the formulas that are missing)",
    RIGHT,
    "⌊(n+2p−f)/s⌋+1 outputs; “same” p = (f−1)/2; backward is a full convolution; field 1+Σ(kᵢ−1)Π_{j<i} sⱼ",
    "Dumoulin, Visin 2016",
)
def arithmetic() -> Numbers:
    wrong = cases = 0
    for n in range(1, 33):
        line = torch.zeros(1, 1, n)
        for f in range(1, 8):
            for p in range(4):
                for s in (1, 2, 3):
                    if f <= n + 2 * p:
                        found = F.conv1d(line, torch.zeros(1, 1, f), stride=s, padding=p).shape[2]
                        cases, wrong = cases + 1, wrong + (found != output_size(n, f, s, p))
    yield at_least("shapes of torch compared", cases, 2500)
    yield equals("of them wrong", wrong, 0)
    for f in (3, 5):
        yield equals(f"f = {f}, “same”: size of 11", output_size(11, f, padding=same_padding(f)), 11)
    x, weight = _draw(1, 2, 9, 9).requires_grad_(), _draw(3, 2, 3, 3, seed=1)
    out = F.conv2d(x, weight, stride=2, padding=1)
    seed = _draw(*out.shape, seed=2)
    (gradient,) = torch.autograd.grad(out, x, seed)
    ours = convolution_input_gradient(seed, weight, (9, 9), stride=2, padding=1)
    yield equals("autograd − full convolution with the turned kernel", (gradient - ours).abs().max(), 0, 1e-12)
    chain = [Window(3, 2), Window(5, 1), Window(2, 2), Window(3, 1)]
    line = torch.ones(1, 1, 64, dtype=torch.float64, requires_grad=True)
    y = line
    for window in chain:
        y = F.conv1d(y, torch.ones(1, 1, window.kernel, dtype=torch.float64), stride=window.stride)
    (seen,) = torch.autograd.grad(y[0, 0, 2], line)
    yield equals("pixels that one unit sees, by its gradient", int((seen != 0).sum()), receptive_field(chain).size)
