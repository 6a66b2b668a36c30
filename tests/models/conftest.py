"""Shared by the tests of models: folders of tiny pictures and of invented faces, and networks with their weights."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from models.finetune.backbones import Backbone, build_backbone
from tests.models.face_pictures import make_faces, write_faces
from tests.models.small_folder import make_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `make_pictures`."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def faces_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented people as a folder; see `tests.models.face_pictures.make_faces`."""
    return write_faces(tmp_path_factory.mktemp("faces"), make_faces())


@pytest.fixture
def backbone() -> Backbone:
    """A residual network that tells 3 classes, always with the same first weights."""
    torch.manual_seed(0)
    return build_backbone("resnet18", 3, weights="none")


@pytest.fixture(scope="session")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """torchvision's ResNet-18 with 1,000 classes and its file."""
    torch.manual_seed(1)
    whole = torchvision.models.resnet18(weights=None).eval()
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(whole.state_dict(), file)
    return whole, file
