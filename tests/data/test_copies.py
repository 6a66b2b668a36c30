"""Pictures that are in several files: as other formats, with other metadata, and what is no copy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data.files.scan
from data.files.copies import contents, jpeg_digest, pixel_digest, whole_wanted
from data.files.decode import MAX_PIXELS, read_picture
from data.files.scan import Scanned, read_cache, scan, write_cache
from data.folder import Folder
from tests.data.pictures import encoded, folder, noise


def smooth(seed: int, height: int = 40, width: int = 48) -> Image.Image:
    return Image.fromarray(noise(4, 5, seed)).resize((width, height), Image.Resampling.BICUBIC)


def made(path: Path, **options: object) -> Folder:
    built = Folder(str(path), **{"image_size": 16, "cache_dir": str(path.parent / "cache")} | options)  # type: ignore[arg-type]
    built.setup()
    return built


def sides(found: Folder) -> dict[str, set[str | None]]:
    """The splits in which the files of each stem are."""
    splits: dict[str, set[str | None]] = {}
    for entry in found.entries:
        splits.setdefault(Path(entry.path).stem, set()).add(entry.split)
    return splits


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """The same JPEG with one segment more, after its first two bytes."""
    return jpeg[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content + jpeg[2:]


def names_of(paths: list[Path], **options: object) -> list[str]:
    return contents(scan([str(path) for path in paths], max_pixels=MAX_PIXELS, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "RGBA"])
def test_a_picture_in_two_formats_stays_on_one_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    root = tmp_path / "p"
    for number in range(40):
        place = root / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        smooth(number).convert(mode).save(place / f"{number}.png")
        smooth(number).convert(mode).convert("RGB").save(place / f"{number}.bmp")
    found = made(root)
    assert all(len(splits) == 1 for splits in sides(found).values())
    assert {entry.split for entry in found.entries} == {"train", "val"}
    said = capsys.readouterr().err
    assert (
        "note: pictures in several files of one class and split (40, 40 of them in unlike files with the same pix"
        in said
    )
    assert "leak report: no two splits share" in said


def test_the_leak_report_tells_equal_pixels_from_equal_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "p", {"train/a": 3, "train/b": 2, "val/a": 1, "val/b": 1})
    Image.open(root / "train/a/0.png").save(root / "val/a/other.bmp")
    (root / "val/a/same.png").write_bytes((root / "train/a/1.png").read_bytes())
    Image.open(root / "train/a/2.png").save(root / "train/b/other.tif")
    made(root)
    said = capsys.readouterr().err
    assert (
        "warning: leak: the same content is in several splits (2, 1 of them in unlike files with the same pix" in said
    )
    assert "warning: the same content has several labels (1, 1 of them in unlike files with the same pix" in said
    assert "leak report" not in said


def test_a_jpeg_with_other_metadata_is_the_same_picture_unless_it_is_turned(tmp_path: Path) -> None:
    jpeg = encoded(smooth(0), "JPEG")
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    named = with_segment(jpeg, 0xE1, exif.tobytes())
    exif[0x0112] = 6
    turned = with_segment(jpeg, 0xE1, exif.tobytes())
    commented, other = with_segment(jpeg, 0xFE, b"hello"), encoded(smooth(1), "JPEG")
    paths = [tmp_path / f"{number}.jpg" for number in range(5)]
    for path, content in zip(paths, (jpeg, commented, named, turned, other), strict=True):
        path.write_bytes(content)
    a, b, c, d, e = names_of(paths)
    assert a == b == c
    assert len({a, d, e}) == 3


@pytest.mark.parametrize(
    "content", [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe0\x00\x00" * 9]
)
def test_a_damaged_jpeg_has_a_digest_too(content: bytes) -> None:
    assert len(jpeg_digest(content, 1)) == 32


@pytest.mark.parametrize("image_size", [16, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_jpeg_and_its_png_stay_together_at_any_size_and_are_read_in_full_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_size: int, channels: int
) -> None:
    root = tmp_path / "p"
    for number in range(20):
        place = root / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(encoded(smooth(number, 240, 320), "JPEG"))
        Image.fromarray(read_picture(place / f"{number}.jpg").pixels).save(place / f"{number}.png")
    wide = {"image_size": image_size, "channels": channels, "aug": "none"}
    first = made(root, **wide)
    assert all(len(splits) == 1 for splits in sides(first).values())
    split = [(entry.path, entry.split) for entry in first.entries]
    read: list[str] = []
    decode = data.files.scan.read_picture

    def counted(*arguments: object, **options: object) -> object:
        read.append(str(options["name"]))
        return decode(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("data.files.scan.read_picture", counted)
    assert [(entry.path, entry.split) for entry in made(root, **wide).entries] == split
    assert read == []
    again = made(root, **wide | {"image_size": 48})  # all of them once, in another size
    assert [(entry.path, entry.split) for entry in again.entries] == split
    assert len(read) == 40


def test_jpegs_alone_are_read_once(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.jpg")
        smooth(number).save(paths[-1])
    found = scan([str(path) for path in paths], max_pixels=MAX_PIXELS)
    assert whole_wanted(found) == []
    assert [one.pixels for one in found] == [""] * 6


def test_what_belongs_together_does_not_depend_on_which_jpegs_were_read_in_full() -> None:
    plain = Scanned("a.jpg", digest="1", jpeg="x")
    again = Scanned("b.jpg", digest="2", jpeg="y")
    whole = [Scanned("a.jpg", digest="1", jpeg="x", pixels="p"), Scanned("b.jpg", digest="2", jpeg="y", pixels="p")]
    assert contents([plain, again]) == contents(whole) == ["1", "2"]
    assert contents([*whole, Scanned("c.png", digest="3", pixels="p")]) == ["1", "1", "1"]


def test_what_the_network_may_not_tell_apart_is_no_copy(tmp_path: Path) -> None:
    """Shapes in transparency over one colour, and 16-bit pictures so dark that 8 bits lose them."""
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"alpha{number}.png")
        white = np.full((20, 20, 4), 255, dtype=np.uint8)
        white[..., 3] = noise(20, 20, number)[..., 0]
        Image.fromarray(white).save(paths[-1])
        paths.append(tmp_path / f"deep{number}.png")
        Image.fromarray((noise(20, 20, number)[..., 0] // 4).astype(np.uint16)).save(paths[-1])
    found = scan([str(path) for path in paths], max_pixels=MAX_PIXELS)
    assert contents(found) == [one.digest for one in found]
    assert len(set(contents(found))) == 6


def test_upright_pixels_are_compared(tmp_path: Path) -> None:
    picture, exif = smooth(0), Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    picture.save(tmp_path / "upright.bmp")
    picture.save(tmp_path / "plain.tif")
    paths = [tmp_path / "turned.png", tmp_path / "upright.bmp", tmp_path / "plain.tif"]
    assert len(set(names_of(paths))) == 1


def test_channels_of_a_measurement_are_compared_as_they_are_read(tmp_path: Path) -> None:
    picture = smooth(0).convert("RGBA")
    picture.putalpha(Image.fromarray(noise(40, 48, 1)[..., 0]))
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.tif")
    smooth(0).convert("RGBA").save(tmp_path / "c.png")
    a, b, c = names_of([tmp_path / "a.png", tmp_path / "b.tif", tmp_path / "c.png"], channels=4)
    assert a == b != c


def test_frames_of_sixteen_bits_are_compared_before_they_become_eight(tmp_path: Path) -> None:
    """Values below 128 of 65,535 are all 0 in eight bits."""
    generator = np.random.default_rng(0)
    for name in "ab":
        first, second = (Image.fromarray(generator.integers(0, 100, (9, 8)).astype("uint16")) for _ in range(2))
        for copy in ("", "2"):
            first.save(
                tmp_path / f"{name}{copy}.tif",
                save_all=True,
                append_images=[second],
                compression=[None, "tiff_lzw"][bool(copy)],
            )
    a, again, b, _ = names_of([tmp_path / f"{name}.tif" for name in ("a", "a2", "b", "b2")], channels=2)
    assert a == again != b


def test_size_and_type_are_part_of_the_digest() -> None:
    grey = np.zeros((6, 4), dtype=np.uint8)
    found = {pixel_digest(grey), pixel_digest(grey.reshape(4, 6)), pixel_digest(grey.reshape(4, 3, 2))}
    assert len(found | {pixel_digest(np.zeros((6, 2), dtype=np.uint16))}) == 4
    assert pixel_digest(grey.T) == pixel_digest(grey.reshape(4, 6))


def test_a_cached_scan_of_an_older_version_is_read_anew(tmp_path: Path) -> None:
    root, cache = folder(tmp_path / "p", {"a": 3, "b": 3}), tmp_path / "cache"
    made(root)
    (file,) = cache.glob("scan-*.json")
    stored = json.loads(file.read_text())
    stored["heading"]["version"] = 2
    for row in stored["files"]:
        del row["pixels"], row["jpeg"]
        row["digest"] = "of another time"
    file.write_text(json.dumps(stored))
    assert len(made(root).entries) == 6
    assert all(len(one.digest) == 64 and one.pixels for one in read_cache(file, MAX_PIXELS).values())


def test_a_cached_scan_keeps_the_digests(tmp_path: Path) -> None:
    smooth(0).save(tmp_path / "a.jpg")
    found = scan([str(tmp_path / "a.jpg")], max_pixels=MAX_PIXELS, whole=True)
    assert found[0].pixels
    assert found[0].jpeg
    assert write_cache(tmp_path / "scan.json", MAX_PIXELS, found)
    known = read_cache(tmp_path / "scan.json", MAX_PIXELS)
    assert scan([found[0].path], max_pixels=MAX_PIXELS, known=known, wanted=[0]) == found
