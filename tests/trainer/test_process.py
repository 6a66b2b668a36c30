"""The fast start: what is left out of one import, and that it is found again afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

from trainer.errors import UserError
from trainer.process import keep_pages, mismatched_pair

PROJECT = Path(__file__).parent.parent.parent


def test_lightning_is_imported_without_what_it_does_not_need_and_finds_it_later() -> None:
    code = """
import sys
from trainer.process import import_lightning
import_lightning()
assert "lightning.pytorch" in sys.modules
assert not {"torchvision", "scipy.signal", "matplotlib.pyplot"} & set(sys.modules), "imported for nothing"
from torchmetrics.utilities.imports import _MATPLOTLIB_AVAILABLE, _SCIPY_AVAILABLE, _TORCHVISION_AVAILABLE
assert _SCIPY_AVAILABLE and _TORCHVISION_AVAILABLE and _MATPLOTLIB_AVAILABLE, "still hidden"
import torch, torchmetrics
assert float(torchmetrics.Accuracy("binary")(torch.tensor([1, 0]), torch.tensor([1, 1]))) == 0.5
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_are_kept_where_the_allocator_is_glibc() -> None:
    assert keep_pages() is (sys.platform.startswith("linux") and "glibc" in " ".join(__import__("platform").libc_ver()))


def test_a_mismatched_pair_is_explained_and_other_errors_are_not_touched() -> None:
    explained = mismatched_pair(RuntimeError("operator torchvision::nms does not exist"))
    assert isinstance(explained, UserError)
    assert "pip install --force-reinstall torchvision" in str(explained)
    other = RuntimeError("something else")
    assert mismatched_pair(other) is other
    with pytest.raises(RuntimeError, match="something else"):
        raise mismatched_pair(other)
