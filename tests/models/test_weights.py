"""Weight files: a local one comes first, nothing in it is executed, and every failure names the file."""

import hashlib
import io
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision

from models.finetune.backbones import build_backbone
from models.finetune.weights import in_order, read_weights, rename, split_reference, state_dict_of
from tests.models.same_features import same_features


def test_a_head_of_another_shape_is_new_and_that_is_said(resnet, caplog):
    whole, file = resnet
    backbone = build_backbone("resnet18", 7, weights=str(file))
    assert same_features(backbone, whole)
    assert backbone.head.weight.shape == (7, 512)
    assert "is for 1,000 classes: a new one for 7 classes is trained from the start" in caplog.text
    assert backbone.notes == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("wrapping", ["state_dict", "module", "compiled", "ours", "model_ema", "safetensors"])
def test_files_of_other_training_scripts_and_of_ours_are_understood(wrapping, resnet, tmp_path):
    whole, _ = resnet
    state = whole.state_dict()
    backbone = build_backbone("resnet18", 1000, weights=str(resnet[1]))
    contents = {
        "state_dict": {"state_dict": dict(state), "epoch": 3},
        "module": {f"module.{name}": tensor for name, tensor in state.items()},
        "compiled": {"model": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}},
        "model_ema": {"model_ema": {f"module.{name}": tensor for name, tensor in state.items()}},
        "ours": {
            "state_dict": {
                "mean_of_epoch": torch.zeros(2),
                **{f"network.{name}": tensor for name, tensor in backbone.state_dict().items()},
            },
            "hyper_parameters": {"class_names": ["ants", "bees"]},
        },
    }
    if wrapping == "safetensors":
        from safetensors.torch import save_file

        file = tmp_path / "weights.safetensors"
        save_file(dict(state), file)
    else:
        file = tmp_path / "weights.ckpt"
        torch.save(contents[wrapping], file)
    loaded = build_backbone("resnet18", 1000, weights=str(file))
    assert loaded.notes == []
    assert same_features(loaded, whole)
    assert torch.equal(loaded.head.weight, whole.fc.weight)
    assert torch.equal(loaded.head.bias, whole.fc.bias)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_mnasnet_which_asks_for_its_version_loads_from_any_file(kind, tmp_path):
    whole = torchvision.models.mnasnet0_5(weights=None)
    file = tmp_path / f"weights.{kind}"
    if kind == "pth":
        torch.save(whole.state_dict(), file)
    else:
        from safetensors.torch import save_file

        save_file(whole.state_dict(), file)
    backbone = build_backbone("mnasnet0_5", 1000, weights=str(file))
    assert torch.equal(backbone.body.layers[0].weight, whole.layers[0].weight)
    assert torch.equal(backbone.head.weight, whole.classifier[1].weight)


def test_the_names_of_published_densenet_and_vit_files_are_read(tmp_path):
    """Their files are older than their networks: ``norm.1`` for norm1, ``mlp.linear_1`` for mlp.0."""
    whole = torchvision.models.densenet121(weights=None, num_classes=3)
    old = {name.replace("norm1", "norm.1").replace("conv2", "conv.2"): t for name, t in whole.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    wanted = whole.state_dict()
    assert rename(old, wanted, "classifier").keys() == wanted.keys()

    from torchvision.models.vision_transformer import VisionTransformer

    small = VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3)
    old = {
        n.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): t for n, t in small.state_dict().items()
    }
    fresh = VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3)
    fresh.load_state_dict(rename(old, fresh.state_dict(), "heads.head"))
    assert all(torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), small.state_dict().values(), strict=True))


def test_weights_of_another_network_are_refused(resnet, tmp_path):
    whole, file = resnet
    for name in ("mobilenet_v3_small", "resnet50"):
        with pytest.raises(ValueError, match=rf"resnet18\.pth holds other weights than those of {name}"):
            build_backbone(name, 2, weights=str(file))
    with pytest.raises(ValueError, match=r"do not fit resnet34: .* missing, the first is 'layer1\.2\."):
        build_backbone("resnet34", 2, weights=str(file))
    torch.save(whole.state_dict() | {"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"do not fit resnet18: size mismatch for layer1\.0\.conv1\.weight"):
        build_backbone("resnet18", 2, weights=str(tmp_path / "other.pth"))


def test_tensors_that_are_not_used_are_said(resnet, tmp_path, caplog):
    torch.save(resnet[0].state_dict() | {"layer9.weight": torch.zeros(1)}, tmp_path / "more.pth")
    build_backbone("resnet18", 1000, weights=str(tmp_path / "more.pth"))
    assert "1 tensors of" in caplog.text
    assert "'layer9.weight'" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [("defualt", "did you mean 'default'"), ("/no/such.pth", "no weights '/no/such.pth'; allowed")],
)
def test_a_file_that_is_not_there_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        build_backbone("resnet18", 2, weights=given)


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder; allowed"):
        build_backbone("resnet18", 2, weights=str(tmp_path))


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize(
    ("kind", "said"),
    [("torch.save", r"refused to read .*evil\.pth: .*code"), ("pickle", r"evil\.pth .* is no weights file")],
)
def test_a_malicious_pickle_is_refused_and_not_executed(kind, said, tmp_path):
    target, file = tmp_path / "PWNED", tmp_path / "evil.pth"
    content = {"state_dict": {"conv1.weight": torch.zeros(1)}, "hook": Evil(target)}
    if kind == "torch.save":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=rf"{said}.*nothing was executed"):
        build_backbone("resnet18", 2, weights=str(file))
    assert not target.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kept", [0, 9, 0.5, 0.99])
def test_a_truncated_file_is_named_with_its_size(suffix, kept, tmp_path):
    from safetensors.torch import save

    buffer = io.BytesIO()
    state = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save(state, buffer)
    content = buffer.getvalue() if suffix == "pth" else save(state)
    size = kept if isinstance(kept, int) else int(kept * len(content))
    file = tmp_path / f"half.{suffix}"
    file.write_bytes(content[:size])
    due = rf"half\.{suffix} \({size} bytes\) is no weights file, or a truncated one[^.]*$"  # one sentence
    with pytest.raises(ValueError, match=due):
        read_weights(file)


@pytest.mark.parametrize("text", ["import os\n", "hello all\n"])
def test_a_text_is_no_weights_file_and_no_attack(text, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"notes\.txt \(10 bytes\) is no weights file, .*; nothing was executed$"):
        read_weights(file)


@pytest.mark.parametrize("content", [b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon", bytes(range(256))])
def test_any_bytes_that_are_no_weights_are_refused(content, tmp_path):
    """torch's reader takes the first byte for an instruction and fails at it in its own way."""
    file = tmp_path / "passwd"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"passwd \(\d+ bytes\) is no weights file, or a truncated one"):
        read_weights(file)


def test_weights_that_are_not_finite_are_refused(resnet, tmp_path):
    torch.save(resnet[0].state_dict() | {"bn1.running_mean": torch.full((64,), torch.nan)}, tmp_path / "nan.pth")
    with pytest.raises(ValueError, match=r"nan\.pth: its weights are not finite \(bn1\.running_mean\)"):
        build_backbone("resnet18", 2, weights=str(tmp_path / "nan.pth"))


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {1: torch.zeros(2)}])
def test_a_file_without_a_state_dict_is_refused(content):
    with pytest.raises(ValueError, match=r"x\.pth holds no state dict"):
        state_dict_of(content, Path("x.pth"))


def test_a_given_sha256_is_compared(resnet):
    _, file = resnet
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for given in (digest, digest[:8].upper()):
        build_backbone("resnet18", 1000, weights=f"{file}#sha256={given}")
    with pytest.raises(ValueError, match=rf"begins with {digest[:8]}, expected 00000000"):
        build_backbone("resnet18", 2, weights=f"{file}#sha256=00000000")
    with pytest.raises(ValueError, match="8 to 64 hexadecimal digits, got 'xyz'"):
        split_reference(f"{file}#sha256=xyz")


def test_tensors_are_paired_in_order_only_when_all_shapes_agree():
    own = {"a": torch.zeros(2, 3), "b": torch.zeros(4), "head.w": torch.zeros(10, 4), "head.b": torch.zeros(10)}
    other = dict(zip("wxyz", (torch.ones(2, 3), torch.ones(4), torch.ones(5, 4), torch.ones(5)), strict=True))
    assert list(in_order(other, own) or {}) == list(own)
    assert in_order(other | {"x": torch.ones(5)}, own) is None
    assert in_order({"w": torch.ones(2, 3)}, own) is None
