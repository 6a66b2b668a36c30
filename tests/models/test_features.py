"""Stored features equal those computed on the way, whatever mode, loader or precision."""

import pytest
import torch
from torch import nn

from models.finetune.backbones import build_backbone
from models.finetune.features import CPU_PART, extract_features, in_parts
from models.finetune.folding import fold_normalisation, folded_if_equal
from models.pixels import normalise


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (7, 3, 40, 40), dtype=torch.uint8, generator=generator), torch.arange(7) % 3


def batches(images, labels, size=3):
    return list(zip(images.split(size), labels.split(size), strict=True))


def test_features_equal_a_pass_in_float64(backbone, pictures):
    images, labels = pictures
    features, found = extract_features(backbone, batches(*pictures))
    mean = torch.tensor(backbone.preprocessing["mean"], dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor(backbone.preprocessing["std"], dtype=torch.float64).view(3, 1, 1)
    reference = build_backbone("resnet18", 3, weights="none").double().eval()
    reference.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        expected = reference.features((images.double() / 255 - mean) / std)
    torch.testing.assert_close(features.double(), expected, rtol=1e-4, atol=1e-4)
    assert features.dtype == torch.float32
    assert torch.equal(found, labels)


def test_pictures_as_bytes_and_as_numbers_are_the_same(pictures):
    images, _ = pictures
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    expected = torch.stack([(images[:, c].double() / 255 - mean[c]) / std[c] for c in range(3)], 1)
    for given in (images, images.float() / 255):
        assert normalise(given, mean, std).dtype == torch.float32
        torch.testing.assert_close(normalise(given, mean, std).double(), expected, rtol=1e-5, atol=1e-5)


def test_a_head_can_be_trained_on_the_features(backbone, pictures):
    features, labels = extract_features(backbone, batches(*pictures))
    head = nn.Linear(512, 3)
    nn.functional.cross_entropy(head(features), labels).backward()
    assert head.weight.grad is not None
    assert head.weight.grad.abs().sum() > 0


def test_the_network_is_given_back_as_it_was(backbone, pictures):
    backbone.train()
    backbone.body.layer1.eval()
    before = [module.training for module in backbone.modules()]
    statistics = backbone.body.bn1.running_mean.clone()
    extract_features(backbone, batches(*pictures))
    assert [module.training for module in backbone.modules()] == before
    assert torch.equal(backbone.body.bn1.running_mean, statistics)
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def test_progress_and_an_own_preparation_are_called(backbone, pictures):
    done: list[int] = []
    features, _ = extract_features(
        backbone, batches(*pictures), progress=done.append, prepare=lambda x: torch.zeros_like(x, dtype=torch.float32)
    )
    assert done == [3, 6, 7]
    torch.testing.assert_close(features, features[:1].expand_as(features))


def test_bfloat16_is_close(backbone, pictures):
    exact, _ = extract_features(backbone, batches(*pictures))
    rough, _ = extract_features(backbone, batches(pictures[0][:2], pictures[1][:2]), precision="bf16-mixed")
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact[:2])
    assert (rough - exact[:2]).abs().max() < 0.05 * exact.abs().max()


def test_an_unknown_precision_and_an_empty_loader_are_refused(backbone):
    with pytest.raises(ValueError, match=r"precision must be one of .*, got '8-true'"):
        extract_features(backbone, [], precision="8-true")
    with pytest.raises(ValueError, match="the loader is empty"):
        extract_features(backbone, [])


def draw_statistics(network: nn.Module) -> None:
    """Normalisation that does something: a fresh one only divides by 1."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


@pytest.mark.parametrize(("name", "left"), [("resnet18", 0), ("efficientnet_lite0", 0), ("densenet121", 62)])
def test_folded_normalisation_computes_the_same(name, left):
    """Densenet normalises before most convolutions: there it stays."""
    torch.manual_seed(0)
    body = build_backbone(name, 2, weights="none").double().eval().body
    draw_statistics(body)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    state = {key: tensor.clone() for key, tensor in body.state_dict().items()}
    folded = fold_normalisation(body)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), body(x), rtol=1e-9, atol=1e-9)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == left
    assert all(torch.equal(tensor, state[key]) for key, tensor in body.state_dict().items())
    assert folded_if_equal(body, x) is not body


def test_a_network_that_normalises_something_else_is_not_folded():
    class Elsewhere(nn.Module):
        """Its normalisation is registered after the convolution but reads the picture."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 1)
            self.normalisation = nn.BatchNorm2d(3)

        def forward(self, x):
            return self.convolution(self.normalisation(x).relu())

    torch.manual_seed(0)
    network = Elsewhere().eval()
    draw_statistics(network)
    assert folded_if_equal(network, torch.randn(2, 3, 8, 8)) is network


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalising_is_the_formula_in_either_order_of_memory(channels, memory_format):
    generator = torch.Generator().manual_seed(channels)
    mean, std = torch.rand((2, channels), generator=generator) + 0.1
    for images in (torch.randint(0, 256, (2, channels, 5, 7), dtype=torch.uint8), torch.rand(2, channels, 5, 7)):
        given = images.contiguous(memory_format=memory_format)
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        expected = (pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
        found = normalise(given, mean, std)
        if channels == 1 or memory_format == torch.contiguous_format:
            assert torch.equal(found, expected)  # to the last bit
        assert torch.allclose(found, expected, rtol=0, atol=3e-6)
        assert found.stride() == given.stride()
        assert torch.equal(given, images), "the pictures given were changed"


def test_a_batch_goes_through_a_few_pictures_at_a_time_and_comes_back_whole():
    images, sizes = torch.arange(2 * CPU_PART + 3.0).view(-1, 1, 1, 1), []

    def compute(part):
        sizes.append(len(part))
        return [part.flatten(1), 2 * part.flatten(1)]

    one, two = in_parts(compute, images)
    assert torch.equal(one, images.flatten(1))
    assert torch.equal(two, 2 * one)
    assert sizes == [CPU_PART, CPU_PART, 3]
