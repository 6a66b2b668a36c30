"""Olivetti: both forms from made files, both protocols, faults; the real set when DATA_ROOT has it."""

import os
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from PIL import Image

from data.files.decode import read_picture
from data.olivetti import Olivetti, read_cache, read_people


def write_people(folder: Path, people: int = 12, pictures: int = 4, suffix: str = "pgm") -> Path:
    """People s1..., the pictures of person p are of grey level p; hidden folders and other files lie about."""
    for person in range(1, people + 1):
        (folder / f"s{person}").mkdir(parents=True)
        for picture in range(1, pictures + 1):
            pixels = np.full((6, 5), person, dtype=np.uint8)
            pixels[0, 0] = picture
            Image.fromarray(pixels).save(folder / f"s{person}" / f"{picture}.{suffix}")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "1.pgm").write_bytes(b"")
    (folder / "s1" / "README").write_text("notes")
    (folder / "empty").mkdir()
    return folder


def write_cache(root: Path) -> tuple[Path, np.ndarray]:
    """A file like scikit-learn's, with random bytes that include 0 and 255."""
    faces = np.random.default_rng(0).integers(0, 256, (400, 4096), dtype=np.uint8)
    path = root / "scikit_learn_data" / "olivetti_py3.pkz"
    path.parent.mkdir(parents=True)
    joblib.dump(faces, path, compress=6)
    return path, faces


def test_cache_equals_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import fetch_olivetti_faces

    path, _ = write_cache(tmp_path)
    images, people, names = read_cache(path)
    reference = fetch_olivetti_faces(data_home=str(path.parent), download_if_missing=False)
    np.testing.assert_array_equal(images[:, 0].numpy(), np.rint(reference.images * 255))
    np.testing.assert_array_equal(people.numpy(), reference.target)
    assert len(names) == 40


def test_people_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    images, people, names = read_people(write_people(tmp_path))
    assert names == [f"s{number}" for number in range(1, 13)]  # s2 before s10, no hidden or empty folder
    assert images.shape == (48, 1, 6, 5)
    assert torch.equal(images[:, 0, 3, 3].long(), people + 1)
    assert images[:4, 0, 0, 0].tolist() == [1, 2, 3, 4]


def test_auto_finds_each_form(tmp_path: Path) -> None:
    write_people(tmp_path / "both" / "att_faces")
    assert Olivetti(str(tmp_path / "both")).locate() == tmp_path / "both" / "att_faces"
    cache, _ = write_cache(tmp_path / "both")
    assert Olivetti(str(tmp_path / "both")).locate() == cache
    assert Olivetti(str(tmp_path / "both"), form="sklearn").locate() == cache
    assert Olivetti(str(tmp_path / "both"), form="att").locate() == tmp_path / "both" / "att_faces"
    direct = tmp_path / "both" / "att_faces"
    assert Olivetti(str(direct)).locate() == direct
    assert Olivetti(str(tmp_path)).locate() is None


def test_identification(tmp_path: Path) -> None:
    data = Olivetti(str(write_people(tmp_path)), per_person_train=3, val_fraction=1 / 3)
    assert data.summary()["splits"] == {"train": 24, "val": 12, "test": 12}
    assert data.summary()["people"] == {"train": 12, "val": 12, "test": 12}
    assert data.facts()["class_names"] == [f"s{number}" for number in range(1, 13)]
    assert data.facts()["image_size"] == [6, 5]
    indices = data.split_indices()
    assert torch.equal(torch.cat(list(indices.values())).sort().values, torch.arange(48))


def test_verification_people_are_disjoint_by_content(tmp_path: Path) -> None:
    root = str(write_people(tmp_path))
    data = Olivetti(root, protocol="verification", train_people=6, val_people=3, test_people=3, split_seed=4)
    greys = {part: set(data.part(part).images[:, 0, 3, 3].tolist()) for part in ("train", "val", "test")}
    assert [len(group) for group in greys.values()] == [6, 3, 3]
    assert len(set.union(*greys.values())) == 12
    assert data.summary()["splits"] == {"train": 24, "val": 12, "test": 12}
    for part in greys:  # labels are the people's numbers
        assert torch.equal(data.part(part).labels + 1, data.part(part).images[:, 0, 3, 3].long())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "mat"}, "form must be 'auto', 'sklearn' or 'att', got 'mat'"),
        ({"protocol": "x"}, "protocol must be 'identification' or 'verification', got 'x'"),
        ({"protocol": "verification", "val_fraction": 0.1}, "val_people; got 0.1"),
        ({"per_person_train": 4}, r"must be in 1\.\.3, got 4"),
        ({"per_person_train": 1, "val_fraction": 0.5}, "val_fraction 0.5 does not fit olivetti"),
        ({"protocol": "verification"}, "together at most 12; got 20 train"),
    ],
)
def test_refuses(tmp_path: Path, options: dict, message: str) -> None:
    root = str(write_people(tmp_path))
    with pytest.raises(ValueError, match=message):
        Olivetti(root, **options).setup()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x04junk", None])
def test_damaged_cache_is_named(tmp_path: Path, content: bytes | None) -> None:
    path, _ = write_cache(tmp_path)
    path.write_bytes(path.read_bytes()[:50_000] if content is None else content)
    with pytest.raises(ValueError, match=f"{path} is corrupt"):
        Olivetti(str(tmp_path)).setup()


def test_cache_of_another_set_is_refused(tmp_path: Path) -> None:
    path, faces = write_cache(tmp_path)
    for array in (faces[:399], faces.astype(np.float32) / 255, {"a": 1}):
        joblib.dump(array, path)
        with pytest.raises(ValueError, match=f"{path} is corrupt: expected an array of 400×4096"):
            read_cache(path)


def test_damaged_and_odd_pictures_are_named(tmp_path: Path) -> None:
    folder = write_people(tmp_path)
    path = folder / "s3" / "2.pgm"
    good = path.read_bytes()
    for content in (b"", b"not an image", good[:15]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} is no readable picture"):
            read_people(folder)
    Image.new("L", (4, 6)).save(path)
    with pytest.raises(ValueError, match=rf"{path} has \(6, 4\) pixels"):
        read_people(folder)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_upright_as_prediction_sees_them(tmp_path: Path, turn: int) -> None:
    upright = np.random.default_rng(turn).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    stored_as = {  # what a turned camera stores: the inverse of the turn that the EXIF tag asks for
        2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE",
        8: "ROTATE_270",
    }  # fmt: skip
    seen = Image.fromarray(upright)
    stored = seen.transpose(Image.Transpose[stored_as[turn]]) if turn > 1 else seen
    (tmp_path / "s1").mkdir()
    stored.save(tmp_path / "s1" / "1.png", exif=exif)
    images, _, _ = read_people(tmp_path)
    assert images.shape == (1, 1, 5, 4)
    assert np.array_equal(images[0, 0].numpy(), np.asarray(seen.convert("L")))
    assert np.array_equal(images[0, 0].numpy(), read_picture(tmp_path / "s1" / "1.png", channels=1).pixels[..., 0])


@pytest.mark.parametrize(("mode", "suffix"), [("I;16", "png"), ("F", "bmp")])
def test_more_than_8_bits_are_refused(tmp_path: Path, mode: str, suffix: str) -> None:
    path = write_people(tmp_path) / "s2" / f"9.{suffix}"
    Image.new(mode, (5, 6)).save(path, format="TIFF")
    with pytest.raises(ValueError, match=rf"^{path} is no readable picture: more than 8 bits a pixel$"):
        read_people(tmp_path)


@pytest.mark.parametrize("form", ["auto", "sklearn", "att"])
@pytest.mark.usefixtures("no_network")
def test_missing_without_network_is_one_line_with_the_files(tmp_path: Path, form) -> None:
    data = Olivetti(str(tmp_path), form=form)
    with pytest.raises(FileNotFoundError) as caught:
        data.prepare_data()
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path / "att_faces") in message
    assert form == "att" or f"olivetti_py3.pkz into {tmp_path / 'scikit_learn_data'}" in message
    with pytest.raises(FileNotFoundError, match=f"not in {tmp_path}"):
        data.setup()


@pytest.mark.skipif("DATA_ROOT" not in os.environ, reason="DATA_ROOT is not set: real Olivetti faces not tested")
@pytest.mark.parametrize(("form", "size"), [("sklearn", [64, 64]), ("att", [112, 92])])
def test_real_olivetti(form, size: list[int]) -> None:
    data = Olivetti(form=form)
    if data.locate() is None:
        pytest.skip(f"no Olivetti faces of the form {form} in {data.root}")
    assert data.summary()["splits"] == {"train": 200, "val": 0, "test": 200}
    assert data.facts()["image_size"] == size
    images, people, names = data.pictures()
    assert len(images) == len(people) == 400
    assert torch.bincount(people).tolist() == [10] * 40
    # No two of the 400 pictures are the same, so nothing leaks by content either.
    assert len({image.numpy().tobytes() for image in images}) == 400
    assert len(set(names)) == 40
