"""Shared by the tests of fine-tuning: one folder of tiny pictures."""

from pathlib import Path

import pytest

from tests.models.small_folder import make_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `make_pictures`."""
    return make_pictures(tmp_path_factory.mktemp("pictures"))
