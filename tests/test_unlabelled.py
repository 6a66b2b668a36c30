"""Models that read no labels: one class, or no class folder at all, is enough; something to measure on is needed."""

import shutil
from pathlib import Path

import pytest

import train
from data.files.layout import LayoutError, class_names, list_folder
from tests.data.test_layout import entry
from tests.models.small_folder import make_pictures


def test_an_autoencoder_without_a_test_or_validation_set_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = make_pictures(tmp_path / "pictures")
    shutil.rmtree(pictures / "val")
    words = ["--data", str(pictures / "train"), "--data.val_fraction", "0", "--data.test_fraction", "0"]
    words += ["--data.cache_dir", str(tmp_path / "cache")]
    assert train.main(["--model", "autoencoder", *words, "--root", str(tmp_path / "runs")]) == 2
    says = f"--model autoencoder measures on test or validation pictures, and {pictures / 'train'} has neither: put"
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("model", ["autoencoder", "rbm", "cnn"])
def test_one_class_is_enough_for_who_reads_no_labels(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = next((make_pictures(tmp_path / "pictures") / "train").iterdir())
    words = ["--data", str(pictures), "--data.test_fraction", "0.3", "--data.cache_dir", str(tmp_path / "cache")]
    words += ["--report", "none", "--root", str(tmp_path / "runs")]
    if model != "cnn":
        words += ["--data.channels", "1", "--data.image_size", "8", "--epochs", "1"]
    more = ["--model.hidden", "4", "--model.ais_temperatures", "20", "--model.burn_in", "5"] if model == "rbm" else []
    assert train.main(["--model", model, *words, *more]) == (2 if model == "cnn" else 0)
    assert ("but no class folders" in capsys.readouterr().err) == (model == "cnn")


def test_one_class_and_loose_files_do_where_nobody_reads_labels(tmp_path: Path) -> None:
    assert class_names([entry("a", "train")], "data", least=1) == ["a"]
    with pytest.raises(LayoutError, match="data has no class to train on; 1 is needed"):
        class_names([], "data", least=1)
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    found = list_folder(tmp_path, flat=True).entries
    assert [(one.name, one.label, one.split) for one in found] == [(n, tmp_path.name, None) for n in ("a.png", "b.png")]
    with pytest.raises(LayoutError, match="2 files, but no class folders"):
        list_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "c.png").touch()
    listing = list_folder(tmp_path, flat=True)
    assert [one.name for one in listing.entries] == ["cat/c.png"]
    assert listing.notes == ["ignored, in no class folder: a.png, b.png"]
