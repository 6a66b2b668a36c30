"""Every model on a device that refuses tensors of two devices, as a GPU does: trained, judged and drawn there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models import MODELS
from tests.models.face_pictures import make_faces, write_faces
from tests.models.small_folder import make_pictures
from tests.test_contract import words

PROJECT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("c++", "ninja"))), reason="needs a C++ compiler and ninja"),
]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device, compiled: half a minute."""
    build = tmp_path_factory.mktemp("second_device")
    source = PROJECT / "tests/second_device/device.cpp"
    compiled = (
        "from torch.utils.cpp_extension import load\n"
        f"load('second_device', [{str(source)!r}], build_directory={str(build)!r}, extra_cflags=['-O1'])"
    )
    made = subprocess.run([sys.executable, "-c", compiled], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return build / "second_device.so"


def run(library: Path, *given: str) -> str:
    """What a program says whose ``--device cuda`` is the second device."""
    command = [sys.executable, "-m", "tests.second_device.program", str(library), *given]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tensors_of_two_devices_are_refused(library: Path) -> None:
    command = [sys.executable, "-m", "tests.second_device.refused", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all("device" in line for line in lines)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_a_model_learns_and_is_judged_on_another_device(model: str, library: Path, tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "people", make_faces())
    root = tmp_path / "runs"
    said = run(library, "train", *words(model, root, faces, report="full", device="cuda"))
    assert "second" in next(line for line in said.splitlines() if line.startswith("device"))
    (metrics,) = root.glob("*/*/metrics.json")
    assert json.loads(metrics.read_text())["model"] == model


@pytest.mark.parametrize("tune", ["head", "all"])
def test_a_folder_is_learnt_and_predicted_on_another_device(tune: str, library: Path, tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "pictures", {"train": (12, 12), "val": (4, 4)})
    given = ["--data.image_size", "64", "--data.cache_dir", str(tmp_path / "cache"), "--report", "none"]
    if tune == "all":
        given += ["--epochs", "2", "--model.freeze_epochs", "1", "--model.ema_decay", "0.9", "--model.mixup", "0.2"]
    run(library, "train", "--model", "cnn", "--data", str(pictures), "--model.tune", tune, "--device", "cuda", *given,
        "--root", str(tmp_path / "runs"))  # fmt: skip
    (folder,) = (tmp_path / "runs").glob("*/*")
    answers = []
    for device in ("cuda", "cpu"):
        out = tmp_path / f"{device}.csv"
        run(library, "predict", str(folder), str(pictures / "val"), "--device", device, "--out", str(out))
        answers.append([line.split(",")[1:3] for line in out.read_text().splitlines()[1:]])
    assert [label for label, _ in answers[0]] == [label for label, _ in answers[1]]
    assert [float(sure) for _, sure in answers[0]] == pytest.approx([float(sure) for _, sure in answers[1]], abs=0.02)
