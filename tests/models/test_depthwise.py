"""Depthwise convolutions answer in bfloat16 and learn from float32 gradients; nothing else changes."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import models.finetune.depthwise
import models.finetune.policy
import train
from models.finetune.backbones import build_backbone
from models.finetune.depthwise import float32_depthwise
from tests.models.small_folder import words


def gradients(layer: nn.Conv2d, x: Tensor, by: Tensor, fast: bool) -> tuple[Tensor, list[Tensor]]:
    """Output under autocast, and the gradients of picture, weight and bias, for a given gradient of the output."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), float32_depthwise("cpu") if fast else nullcontext():
        y = layer(x)
    wanted = [x, *layer.parameters()]
    return y, list(torch.autograd.grad(y, wanted, by.to(y.dtype)))


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "bias": False}, {"kernel_size": 5, "padding": 2}, {"double": 1}],
    ids=str,
)
def test_gradients_are_those_of_float32_and_the_answer_is_the_same(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    given = {"kernel_size": 3, **options}
    twice = 2 if given.pop("double", 0) else 1  # two outputs of each channel
    layer = nn.Conv2d(8, 8 * twice, groups=8, **given)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.bfloat16())  # rounding of what goes in is not what is compared
    x = torch.randn(4, 8, 12, 12).bfloat16().float().contiguous(memory_format=torch.channels_last)
    by = torch.randn_like(layer(x)).bfloat16().float()
    y, found = gradients(layer, x, by, fast=True)
    plain, rounded = gradients(layer, x, by, fast=False)
    assert torch.equal(y, plain)
    inputs = [x.double().requires_grad_(), *(value.detach().double().requires_grad_() for value in layer.parameters())]
    exact_y = F.conv2d(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None, layer.stride, layer.padding,
                       layer.dilation, 8)  # fmt: skip
    for one, other, exact in zip(found, rounded, torch.autograd.grad(exact_y, inputs, by.double()), strict=True):
        scale = exact.abs().max()
        assert one.dtype == torch.float32
        assert (one - exact).abs().max() < 1e-6 * scale
        assert (other - exact).abs().max() < 1e-2 * scale
    assert max((other - one).abs().max() for one, other in zip(found, rounded, strict=True)) > 1e-4  # they do differ


def test_a_mobile_network_learns_as_in_float32_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    kind = models.finetune.depthwise._Depthwise
    plain = kind.forward
    monkeypatch.setattr(kind, "forward", staticmethod(lambda *words: (seen.append(words[7]), plain(*words))[1]))
    torch.manual_seed(0)
    network = build_backbone("efficientnet_lite0", 2).eval()
    x = torch.randn(8, 3, 64, 64)

    def learnt(mixed: bool) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed), float32_depthwise("cpu"):
            loss = F.cross_entropy(network(x).float(), torch.arange(8) % 2)
        return loss.detach(), list(torch.autograd.grad(loss, list(network.parameters())))

    loss, found = learnt(mixed=True)
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1]
    assert len(seen) == len(depthwise) == 16
    due, exact = learnt(mixed=False)
    assert len(seen) == 16
    torch.testing.assert_close(loss, due, rtol=0.02, atol=0)
    ours, theirs = (torch.cat([part.flatten() for part in parts]) for parts in (found, exact))
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.9


def test_only_a_cpu_in_bfloat16_needs_it() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert not isinstance(float32_depthwise("cpu"), nullcontext)
        assert isinstance(float32_depthwise("cuda"), nullcontext)
    with torch.autocast("cpu", torch.float16):
        assert isinstance(float32_depthwise("cpu"), nullcontext)
    assert isinstance(float32_depthwise("cpu"), nullcontext)


def test_without_gradients_and_with_padding_by_name_convolutions_are_left_alone() -> None:
    layer = nn.Conv2d(4, 4, 3, groups=4, padding="same")
    x = torch.randn(2, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16), float32_depthwise("cpu"):
        assert "Depthwise" not in str(layer(x).grad_fn)
        layer.padding = (1, 1)
        assert "Depthwise" in str(layer(x).grad_fn)
        with torch.no_grad():
            assert layer(x).grad_fn is None


@pytest.mark.parametrize(
    ("options", "learns"),
    [
        (["--trainer.precision", "bf16-mixed"], True),
        (["--trainer.precision", "bf16-mixed", "--lr", "auto"], True),
        (["--trainer.precision", "32-true"], False),
    ],
    ids=["bf16", "and a rate found in it", "float32"],
)
def test_a_run_in_bfloat16_learns_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], learns: bool
) -> None:
    used = Counter[bool]()
    kind = models.finetune.depthwise._Depthwise
    plain = kind.forward
    searching = models.finetune.policy.find_lr

    def counted(*given: Any) -> Tensor:
        used[bool(hunting)] += 1
        return plain(*given)

    def hunt(*given: Any) -> Any:
        hunting.append(1)
        try:
            return searching(*given)
        finally:
            hunting.clear()

    hunting: list[int] = []
    monkeypatch.setattr(kind, "forward", staticmethod(counted))
    monkeypatch.setattr(models.finetune.policy, "find_lr", hunt)
    assert train.main(words(pictures, tmp_path, *options, epochs=1)) == 0
    steps = 3 * 19 if learns else 0  # three batches, 19 depthwise convolutions
    assert used[False] == steps
    assert (used[True] > 0) is ("auto" in options)
