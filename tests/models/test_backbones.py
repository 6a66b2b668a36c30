"""Every torchvision network is cut at its last layer, adapted to other channels, and split into stages."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from models.finetune.backbones import Backbone, build_backbone
from models.finetune.channels import adapt_channels, channel_values
from models.finetune.features import extract_features
from models.pixels import normalise

REGISTRY = torchvision.models.list_models(module=torchvision.models)
# One of each family runs in every test run; all of them run among the slow tests.
FAMILIES = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_128gf", "resnet18",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_16", "vit_h_14",
    "wide_resnet50_2",
)  # fmt: skip


@pytest.fixture
def meta(monkeypatch):
    """Builds a network without memory: on the meta device, and without the cost of drawing weights."""
    from torchvision.models.regnet import BlockParams

    original = BlockParams.from_init_params.__func__

    def on_cpu(cls, *args, **kwargs):
        with torch.device("cpu"):  # RegNet computes its widths with tensors
            return original(cls, *args, **kwargs)

    monkeypatch.setattr(BlockParams, "from_init_params", classmethod(on_cpu))
    for name in ("kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "normal_", "uniform_", "xavier_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)

    def build(name: str, **options) -> Backbone:
        with torch.device("meta"), torch.no_grad():
            return build_backbone(name, num_classes=7, weights="none", **options).eval()

    return build


def run(backbone: Backbone) -> None:
    """A pass on the meta device: shapes of the features, the logits and the map."""
    height, width = backbone.preprocessing["image_size"]
    channels = backbone.in_channels
    maps: dict[str, torch.Size] = {}
    if backbone._last_map:
        module = backbone.body.get_submodule(backbone._last_map)
        module.register_forward_hook(lambda _module, _inputs, output: maps.update(shape=output.shape))
    with torch.no_grad():
        features = backbone.features(torch.empty(2, channels, height, width, device="meta"))
    assert features.shape == (2, backbone.num_features)
    assert backbone.head(features).shape == (2, 7)
    if backbone.name.startswith("vit_"):
        assert not maps
    else:
        n, maps_c, maps_h, maps_w = maps["shape"]
        assert n == 2
        assert maps_c >= 256
        assert 5 <= maps_h == maps_w <= 20


def test_the_registry_is_the_one_the_families_come_from():
    assert len(REGISTRY) >= 80
    assert set(FAMILIES) <= set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_any_torchvision_network_loses_its_last_layer_and_splits_into_stages(name, meta):
    backbone = meta(name)
    layers = [module for module in backbone.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert not [layer for layer in layers if 1000 in layer.weight.shape[:1]]
    assert layers[-1] is backbone.head
    assert backbone.head.weight.shape == (7, backbone.num_features)

    stages = backbone.stages()
    in_stages = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert sorted(in_stages) == sorted(map(id, backbone.parameters()))
    assert len(stages) >= 5
    assert len({label for label, _ in stages}) == len(stages)
    assert stages[0][0] == "stem"
    assert stages[-1] == ("head", backbone.head)

    first = next(module for module in backbone.body.modules() if isinstance(module, nn.Conv2d))
    assert any(first.weight is parameter for parameter in stages[0][1].parameters())
    assert backbone.preprocessing.keys() == {"image_size", "mean", "std", "interpolation", "crop_fraction"}
    assert 0.7 < backbone.preprocessing["crop_fraction"] <= 1


@pytest.mark.parametrize("name", FAMILIES)
def test_one_of_each_family_gives_features_and_a_map(name, meta):
    run(meta(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY)
def test_every_torchvision_network_gives_features_and_a_map(name, meta):
    run(meta(name))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "googlenet", "swin_t"])
def test_the_cut_network_computes_what_the_whole_one_computed(name, tmp_path):
    """The same tensors, read from a file with torchvision's names, give torchvision's logits."""
    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    whole = torchvision.models.get_model(name, weights=None, num_classes=5, **options).eval()
    file = tmp_path / f"{name}.pth"
    torch.save(whole.state_dict(), file)
    backbone = build_backbone(name, num_classes=5, weights=str(file)).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(x), whole(x))
        torch.testing.assert_close(backbone.head(backbone.features(x)), backbone(x), rtol=0, atol=0)
    assert backbone.notes == []


def test_inception_and_googlenet_see_what_their_own_input_transform_would_give():
    """Their weights want mean and deviation 1/2; torchvision gets there from ImageNet's normalisation."""
    picture = torch.rand(2, 3, 32, 32)
    imagenet = normalise(picture, torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))
    network = torchvision.models.googlenet(weights=None, aux_logits=False, transform_input=True, init_weights=False)
    ours = build_backbone("googlenet", 2, weights="none")
    assert ours.body.transform_input is False
    mean, std = (torch.tensor(ours.preprocessing[key]) for key in ("mean", "std"))
    torch.testing.assert_close(normalise(picture, mean, std), network._transform_input(imagenet))


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 6, 7])
def test_adapted_channels_leave_a_grey_picture_unchanged(in_channels):
    weight = torch.randn(8, 3, 3, 3, dtype=torch.float64)
    grey = torch.randn(2, 1, 9, 9, dtype=torch.float64)
    expected = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    adapted = adapt_channels(weight, in_channels)
    assert adapted.shape == (8, in_channels, 3, 3)
    torch.testing.assert_close(nn.functional.conv2d(grey.expand(-1, in_channels, -1, -1), adapted), expected)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "timm/resnet10t"])
@pytest.mark.parametrize("in_channels", [1, 4])
def test_a_network_for_other_channels_equals_the_rgb_one_on_grey_pictures(name, in_channels, tmp_path):
    torch.manual_seed(0)
    colour = build_backbone(name, 3, weights="none").eval()
    torch.save(colour.state_dict(), tmp_path / "rgb.pth")
    other = build_backbone(name, 3, in_channels, weights=str(tmp_path / "rgb.pth")).eval()
    grey = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        expected = colour(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(other(grey.expand(-1, in_channels, -1, -1)), expected, rtol=1e-4, atol=1e-4)
    assert len(other.preprocessing["mean"]) == len(other.preprocessing["std"]) == in_channels
    # A file made with these channels is taken as it is.
    torch.save(other.state_dict(), tmp_path / "other.pth")
    again = build_backbone(name, 3, in_channels, weights=str(tmp_path / "other.pth")).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(grey.expand(-1, in_channels, -1, -1)), expected, rtol=1e-4, atol=1e-4)


def test_a_file_for_another_number_of_channels_is_refused_by_that_number(tmp_path):
    file = tmp_path / "five.pth"
    torch.save(build_backbone("squeezenet1_1", 3, 5, weights="none").body.state_dict(), file)
    for channels in (3, 4):
        message = rf"five\.pth are weights for pictures of 5 channels; here pictures have {channels} "
        with pytest.raises(ValueError, match=message):
            build_backbone("squeezenet1_1", 3, channels, weights=str(file))
    assert build_backbone("squeezenet1_1", 3, 5, weights=str(file)).in_channels == 5


def test_mean_and_deviation_follow_the_channels():
    assert channel_values([0.3, 0.6, 0.9], 1) == pytest.approx([0.6])
    assert channel_values([0.3, 0.6, 0.9], 5) == [0.3, 0.6, 0.9, 0.3, 0.6]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "did you mean 'resnet18'"),
        ("efficientnet_lite1", "did you mean 'timm/efficientnet_lite1'"),
        ("timm/resnet19", "did you mean 'timm/resnet18'"),
        ("timm/resnet18.nonsense", "tv_in1k"),
        ("xyzzy", "allowed: efficientnet_lite0"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(name, 2)


@pytest.mark.parametrize(("num_classes", "in_channels"), [(0, 3), (2, 0)])
def test_numbers_below_one_are_refused(num_classes, in_channels):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        build_backbone("resnet18", num_classes, in_channels, weights="none")


def test_a_transformer_names_the_size_it_reads(meta):
    with pytest.raises(ValueError, match="vit_b_16 reads pictures of 224×224 only, got 64×64"):
        meta("vit_b_16").features(torch.empty(1, 3, 64, 64, device="meta"))


@pytest.mark.parametrize(
    ("name", "map_name"),
    [("timm/resnet10t", "layer4"), ("timm/vit_tiny_patch16_224", None), ("timm/swin_tiny_patch4_window7_224", None),
     ("timm/convnext_atto", "stages.3"), ("timm/mobilenetv3_small_050", "blocks.5"), ("efficientnet_lite0", "bn2"),
     ("timm/hgnetv2_b0", "stages.3"), ("resnet18", "layer4"), ("vit_b_16", None)],
)  # fmt: skip
def test_timm_networks_split_into_stages_and_know_their_map(name, map_name, meta):
    backbone = meta(name)
    stages = backbone.stages()
    in_stages = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert sorted(in_stages) == sorted(map(id, backbone.parameters()))
    assert len(stages) >= 5
    module = backbone.last_spatial()
    assert module is (None if map_name is None else backbone.body.get_submodule(map_name))
    run_shape = backbone.features(torch.empty(2, 3, 224, 224, device="meta")).shape
    assert run_shape == (2, backbone.num_features)


def test_looking_for_the_map_leaves_the_modes_alone():
    backbone = build_backbone("resnet18", 2, weights="none")
    backbone.body.layer1.eval()
    before = [module.training for module in backbone.modules()]
    mean = backbone.body.bn1.running_mean.clone()
    assert backbone.last_spatial() is backbone.body.layer4
    assert [module.training for module in backbone.modules()] == before
    assert torch.equal(backbone.body.bn1.running_mean, mean)


def test_efficientnet_lite0_knows_imagenet_offline():
    """Weights from the package: with 1,000 classes the network still is the ImageNet classifier it was."""
    backbone = build_backbone("efficientnet_lite0", 1000).eval()
    assert len(backbone.state_dict()) == 296
    assert backbone.preprocessing["mean"] == [127 / 255] * 3
    assert backbone.preprocessing["std"] == [128 / 255] * 3
    assert {m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert backbone.head.weight.std() > 0.05 > nn.Linear(1280, 1000).weight.std()
    # Trained weights keep the scale of the activations: the features of a noisy grey picture are neither 0 nor huge.
    features = backbone.features(torch.randn(2, 3, 224, 224) * 0.1)
    assert 0.05 < features.mean() < 2


@pytest.mark.slow
def test_a_linear_head_on_efficientnet_lite0_tells_ants_from_bees():
    root = os.environ.get("DATA_ROOT")
    if not root:
        pytest.skip("DATA_ROOT is not set; the photographs lie in DATA_ROOT/hymenoptera_data")
    from PIL import Image
    from sklearn.linear_model import LogisticRegression

    torch.manual_seed(0)
    backbone = build_backbone("efficientnet_lite0", 2)
    features = {}
    for split in ("train", "val"):
        images, labels = [], []
        for label, folder in enumerate(("ants", "bees")):
            for file in sorted(Path(root, "hymenoptera_data", split, folder).glob("*.jp*g")):
                picture = Image.open(file).convert("RGB")
                scale = 256 / min(picture.size)
                picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
                left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
                images.append(np.asarray(picture.crop((left, top, left + 224, top + 224))))
                labels.append(label)
        pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (N, 3, 224, 224)
        batches = list(zip(pictures.split(32), torch.tensor(labels).split(32), strict=True))
        start = time.perf_counter()
        features[split] = extract_features(backbone, batches)
        print(f"{split}: {len(labels)} pictures, features in {time.perf_counter() - start:.1f} s")
    assert [len(features[split][1]) for split in ("train", "val")] == [244, 153]
    head = LogisticRegression(max_iter=1000, C=0.1).fit(*(part.numpy() for part in features["train"]))
    accuracy = head.score(*(part.numpy() for part in features["val"]))
    print(f"accuracy on 153 pictures {accuracy:.4f}")
    assert accuracy >= 0.92
