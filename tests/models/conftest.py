"""Shared by the tests of models: one folder of tiny pictures, one of invented faces."""

from pathlib import Path

import pytest
import torch

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
