"""Folders of pictures with one fault each, and what a loader should make of them.

Each case makes a sound folder (three classes, three pictures in ``train`` and two in ``val``) and breaks one thing.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("a", "b", "c")
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "D3 zero bytes": lambda jpeg: b"",
    "D4 half a JPEG": lambda jpeg: jpeg[: len(jpeg) // 2],
    "D5 a text file named .jpg": lambda jpeg: b"not an image",
}


class WrongError(Exception):
    """What a tool gave without an error is not what the folder holds."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        provoke: Breaks the folder.
        expect: Looks at what was read, the parts "train" and "val"; raises `WrongError`.
        names: Words of which an error must have one to count as clear.
        told: Whether something had to be left out or is suspect, so that silence is wrong.
        tools: Those that can meet it; empty for all.
    """

    provoke: Callable[[Path], None]
    expect: Callable[[dict[str, Read]], None]
    names: tuple[str, ...]
    told: bool = False
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """One part as a tool gave it: classes by label, and pixels (H, W, 3) with label of each picture."""

    classes: list[str]
    pictures: list[tuple[np.ndarray, int]]


def smooth(seed: int, height: int = 24, width: int = 32) -> Image.Image:
    """A smooth picture that no other seed has."""
    noise = (np.random.default_rng(seed).random((4, 5, 3)) * 255).astype(np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def sound(root: Path) -> None:
    """Three classes with three pictures to train and two to validate."""
    for part, count, seed in (("train", 3, 0), ("val", 2, 50)):
        for position, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                smooth(seed + 10 * position + index).save(root / part / name / f"{index}.png")


def same_classes(parts: dict[str, Read], classes: tuple[str, ...] = CLASSES) -> None:
    """Training has these classes, and validation gives its labels by the same list."""
    if parts["train"].classes != list(classes):
        raise WrongError(f"classes {', '.join(parts['train'].classes)}, due {', '.join(classes)}")
    if parts["val"].classes != list(classes):
        raise WrongError(f"val counts its labels by {', '.join(parts['val'].classes)}")


def refused(parts: dict[str, Read]) -> None:
    """Nothing that could be read is right."""
    raise WrongError(f"accepted: {len(parts['train'].classes)} class, {len(parts['train'].pictures)} pictures")


def counted(train: int, val: int) -> Callable[[dict[str, Read]], None]:
    """Classes are a, b, c and the parts have so many pictures."""

    def expect(parts: dict[str, Read]) -> None:
        same_classes(parts)
        found = tuple(len(parts[part].pictures) for part in ("train", "val"))
        if found != (train, val):
            raise WrongError(f"{found[0]} and {found[1]} pictures, due {train} and {val}")

    return expect


def looks(name: str, due: np.ndarray, tolerance: float = 0.01) -> Callable[[dict[str, Read]], None]:
    """The picture that was added to train/a, as ``name``, has these pixels to within a share of 255, in the mean."""

    def expect(parts: dict[str, Read]) -> None:
        same_classes(parts)
        if len(parts["train"].pictures) != 10:
            raise WrongError(f"{name}: {len(parts['train'].pictures)} pictures, due 10")
        pixels = parts["train"].pictures[3][0]  # after 0.png, 1.png, 2.png
        off = float(np.abs(pixels.astype(float) - due).mean() / 255) if pixels.shape == due.shape else 1.0
        if off > tolerance:
            raise WrongError(f"{name}: pixels {100 * off:.0f} % of the range away")

    return expect


def jpeg() -> bytes:
    """A sound JPEG of 200×200 pixels."""
    buffer = io.BytesIO()
    smooth(99, 200, 200).save(buffer, "JPEG")
    return buffer.getvalue()


def content(data: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A file in train/a made from the bytes of a JPEG."""

    def provoke(root: Path) -> None:
        (root / "train" / "a" / "bad.jpg").write_bytes(data(jpeg()))

    return provoke


def picture(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A picture added to train/a."""

    def provoke(root: Path) -> None:
        make(root / "train" / "a" / name)

    return provoke


def oriented(value: int) -> Case:
    """A picture stored turned, with the EXIF tag that turns it upright."""
    stored = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 2: Image.Transpose.FLIP_LEFT_RIGHT}[value]
    upright = smooth(99, 32, 32)
    exif = Image.Exif()
    exif[0x0112] = value
    return Case(
        picture("x.png", lambda path: upright.transpose(stored).save(path, exif=exif)),
        looks(f"orientation {value}", np.asarray(upright)),
        ("x.png",),
    )


def cases() -> dict[str, list[Case]]:
    """Faults by their number; a fault with several forms counts by its worst."""
    plain = smooth(99)
    grey, pixels = np.asarray(plain.convert("L")), np.asarray(plain)
    as_rgb = np.repeat(grey[:, :, None], 3, axis=2)
    out = counted(9, 6)
    modes: dict[str, tuple[Callable[[Path], object], np.ndarray]] = {
        "cmyk.tif": (lambda path: plain.convert("CMYK").save(path), pixels),
        "la.png": (lambda path: plain.convert("LA").save(path), as_rgb),
        "bilevel.png": (lambda path: plain.convert("1").save(path), np.asarray(plain.convert("1").convert("RGB"))),
        "float.tif": (lambda path: Image.fromarray(grey.astype(np.float32) / 255).save(path), as_rgb),
    }

    def tall(path: Path) -> None:
        smooth(99, 3000, 10).save(path)

    def without(root: Path, part: str, *names: str) -> None:
        for name in names:
            shutil.rmtree(root / part / name)

    def one_class(root: Path) -> None:
        for part in ("train", "val"):
            without(root, part, "b", "c")

    def hidden(root: Path) -> None:
        for name in (".ipynb_checkpoints", "__MACOSX"):
            (root / "train" / name).mkdir()
            smooth(70).save(root / "train" / name / "x.png")

    def other_formats(root: Path) -> None:
        for part in ("train", "val"):
            for file in (root / part / "a").iterdir():
                Image.open(file).save(file.with_suffix(".webp" if file.stem == "0" else ".tif"), lossless=True)
                file.unlink()

    def nested(root: Path) -> None:
        for part in ("train", "val"):
            for name in CLASSES:
                (root / part / name / "x").mkdir()
                (root / part / name / "0.png").rename(root / part / name / "x" / "0.png")

    def odd_names(root: Path) -> None:
        for name in ("ünï 😀.png", "two words.png", "loud.PNG"):
            smooth(99).save(root / "train" / "a" / name)

    def only_val(root: Path) -> None:
        shutil.move(root / "val" / "a", root / "val" / "d")

    return {
        "D1 a class missing in val": [Case(lambda root: without(root, "val", "b"), counted(9, 4), ("class b", "'b'"))],
        "D2 a class only in val": [Case(only_val, out, ("class d", "'d'"))],
        **{name: [Case(content(data), out, ("bad.jpg",), told=True)] for name, data in BROKEN.items()},
        "D6 hidden folders": [Case(hidden, out, (".ipynb_checkpoints",))],
        "D7 an empty class folder": [Case(lambda root: (root / "train" / "empty").mkdir(), out, ("empty",), told=True)],
        "D8 16-bit grey": [
            Case(
                picture("x.png", lambda path: Image.fromarray(grey.astype(np.uint16) * 257).save(path)),
                looks("16 bits", as_rgb),
                ("x.png",),
            )
        ],
        "D9 other pixel formats": [
            Case(picture(f"x-{name}", make), looks(name, due, 0.02), (name,)) for name, (make, due) in modes.items()
        ],
        "D10 EXIF orientation": [oriented(value) for value in (2, 3, 6)],
        "D11 tiny, tall, huge": [
            Case(picture("x.png", lambda path: smooth(99, 1, 1).save(path)), counted(10, 6), ("x.png",)),
            Case(picture("x.png", tall), counted(10, 6), ("x.png",)),
            Case(picture("x.png", lambda path: Image.new("L", (14000, 14000)).save(path)), out, ("x.png",), told=True),
        ],
        "D12 a link to itself": [
            Case(lambda root: os.symlink("..", root / "train" / "a" / "loop"), out, ("loop",)),
        ],
        "D13 odd names": [Case(odd_names, counted(12, 6), ("a/",))],
        "D14 WebP and TIFF": [Case(other_formats, out, ("class a", "'a'"))],
        "D15 the same name under two classes": [Case(nested, out, ("a/x",))],
        "D16 no classes, no folder": [
            Case(lambda root: without(root, "train", *CLASSES), out, ("train",)),
            Case(shutil.rmtree, out, ("train",)),
            Case(one_class, refused, ("class 'a'",)),
        ],
    }
