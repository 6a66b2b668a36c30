from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files.copies import duplicates
from data.files.decode import MAX_PIXELS, Picture, read_bytes
from data.files.report import class_table
from data.files.scan import Scanned, read_cache, scan, unchanged, write_cache
from tests.data.pictures import write


def files(tmp_path: Path) -> list[str]:
    paths = [str(write(tmp_path / f"{index}.png", index, 10 + index, 20)) for index in range(4)]
    (tmp_path / "zero.jpg").write_bytes(b"")
    return [*paths, str(tmp_path / "zero.jpg"), str(tmp_path / "gone.jpg")]


def test_scan_says_what_each_file_is(tmp_path: Path) -> None:
    paths = files(tmp_path)
    found = scan(paths, max_pixels=MAX_PIXELS, num_workers=2)
    assert [one.path for one in found] == paths
    assert [(one.width, one.height) for one in found[:4]] == [(20, 10), (20, 11), (20, 12), (20, 13)]
    assert {one.mode for one in found[:4]} == {"RGB"}
    assert {one.format for one in found[:4]} == {"PNG"}
    assert [one.cause for one in found] == [None] * 4 + ["is empty (0 bytes)", "no such file"]
    assert len({one.digest for one in found[:4]}) == 4


@pytest.mark.parametrize(
    ("terminal", "progress", "shown"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_a_terminal_sees_how_far_the_reading_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, progress: bool, shown: bool
) -> None:
    said = io.StringIO()
    said.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setenv("TERM", "xterm")
    paths = files(tmp_path)
    assert [one.path for one in scan(paths, max_pixels=MAX_PIXELS, progress=progress)] == paths
    assert ("reading pictures" in said.getvalue()) == shown
    assert bool(said.getvalue()) == shown


def test_every_good_picture_reaches_the_sink_once(tmp_path: Path) -> None:
    paths, seen = files(tmp_path), []

    def sink(index: int, picture: Picture) -> None:
        seen.append((index, picture.pixels.shape))

    scan(paths, max_pixels=MAX_PIXELS, sink=sink, num_workers=3)
    assert sorted(seen) == [(0, (10, 20, 3)), (1, (11, 20, 3)), (2, (12, 20, 3)), (3, (13, 20, 3))]


def test_cache_saves_reading_and_notices_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, cache = files(tmp_path), tmp_path / "cache" / "scan.json"
    first = scan(paths, max_pixels=MAX_PIXELS)
    assert write_cache(cache, MAX_PIXELS, first)
    known = read_cache(cache, MAX_PIXELS)
    assert list(known.values()) == first
    assert read_cache(cache, MAX_PIXELS - 1) == {}  # another limit: the causes may differ
    read: list[str] = []

    def counting(path: str) -> bytes:
        read.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr("data.files.scan.read_bytes", counting)
    assert scan(paths[:5], max_pixels=MAX_PIXELS, known=known) == first[:5]
    assert read == []
    write(Path(paths[1]), 99, 15, 20)
    os.utime(paths[2], ns=(1, 1))
    again = scan(paths[:5], max_pixels=MAX_PIXELS, known=known)
    assert sorted(read) == [paths[1], paths[2]]
    assert again[1].height == 15
    assert again[2].digest == first[2].digest
    read.clear()
    scan(paths[:5], max_pixels=MAX_PIXELS, known=known, wanted=[0, 4])
    assert sorted(read) == [paths[0], paths[1], paths[2]]  # wanted: 0 is read again; 4 is known to be bad


@pytest.mark.parametrize("how", ["contents", "folders"])
def test_files_of_equal_size_and_time_that_change_places_are_read_again(how: str, tmp_path: Path) -> None:
    """As sets unpacked from archives with fixed times are: a cache of the old ones would train on wrong labels."""
    names = ["red", "green"]
    for value, name in enumerate(names):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8), 100 * value).save(tmp_path / name / "a.bmp")
        os.utime(tmp_path / name / "a.bmp", ns=(10**18, 10**18))
    paths = [str(tmp_path / name / "a.bmp") for name in names]
    before = scan(paths, max_pixels=MAX_PIXELS)
    assert before[0].size == before[1].size
    if how == "contents":
        contents = [Path(path).read_bytes() for path in paths]
        for path, content in zip(paths, reversed(contents), strict=True):
            Path(path).write_bytes(content)
            os.utime(path, ns=(10**18, 10**18))
    else:
        for old, new in (("red", "other"), ("green", "red"), ("other", "green")):
            (tmp_path / old).rename(tmp_path / new)
    after = scan(paths, max_pixels=MAX_PIXELS, known=dict(zip(paths, before, strict=True)))
    assert [one.digest for one in after] == [one.digest for one in reversed(before)]


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    path = str(tmp_path / "late.png")
    known = {path: scan([path], max_pixels=MAX_PIXELS)[0]}
    assert unchanged([path], known) == [None]
    write(Path(path))
    assert scan([path], max_pixels=MAX_PIXELS, known=known)[0].cause is None


def test_a_picture_that_did_not_fit_into_memory_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = str(write(tmp_path / "large.png")), tmp_path / "scan.json"

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("data.files.decode._decode", full)
        (found,) = scan([path], max_pixels=MAX_PIXELS)
    assert found.cause == "does not fit into memory"
    assert write_cache(cache, MAX_PIXELS, [found])
    assert scan([path], max_pixels=MAX_PIXELS, known=read_cache(cache, MAX_PIXELS))[0].cause is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"heading": {}, "files": []}', b"\xff\xfe"])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "scan.json"
    cache.write_bytes(content)
    assert read_cache(cache, MAX_PIXELS) == {}


def test_an_unwritable_cache_is_reported_not_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert not write_cache(tmp_path / "file" / "scan.json", MAX_PIXELS, [Scanned("x")])


def test_names_that_are_not_utf_8_survive_the_cache(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(write(tmp_path / "x.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = scan([str(tmp_path / name)], max_pixels=MAX_PIXELS)
    assert found[0].cause is None
    assert write_cache(tmp_path / "scan.json", MAX_PIXELS, found)
    assert read_cache(tmp_path / "scan.json", MAX_PIXELS)[str(tmp_path / name)] == found[0]


def test_duplicates_across_splits_and_classes() -> None:
    found = duplicates(
        ["x", "y", "x", "y", "z", "", ""], list("aabacaa"), ["train", "train", "train", "val", None, None, None]
    )
    assert [(one.positions, one.across_splits, one.across_classes) for one in found] == [
        ((0, 2), False, True),
        ((1, 3), True, False),
    ]


def test_class_table_counts_sizes_modes_and_bad_files() -> None:
    scanned = [
        Scanned("1", width=10, height=30, mode="RGB"),
        Scanned("2", width=30, height=10, mode="RGB"),
        Scanned("3", width=20, height=20, mode="L"),
        Scanned("4", cause="is empty"),
        Scanned("5", cause="is empty"),
    ]
    table = class_table(scanned, ["a", "a", "a", "a", "b"])
    assert table[0] == "a: 3 pictures, width×height 10×10 to 30×30 (median 20×20), modes RGB 2, L 1, 1 bad"
    assert table[1] == "b: 0 pictures, 1 bad"


def test_threads_give_the_same_result_as_one(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / f"{index}.jpg", index)) for index in range(12)]
    sums = np.zeros((2, 12))

    def sink(row: int) -> object:
        def keep(index: int, picture: Picture) -> None:
            sums[row, index] = picture.pixels.astype(float).sum()

        return keep

    one = scan(paths, max_pixels=MAX_PIXELS, sink=sink(0), num_workers=1)  # type: ignore[arg-type]
    assert scan(paths, max_pixels=MAX_PIXELS, sink=sink(1), num_workers=4) == one  # type: ignore[arg-type]
    assert np.array_equal(sums[0], sums[1])


def test_an_interrupt_begins_no_further_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def slow(path: str) -> bytes:
        begun.append(path)
        time.sleep(0.05)
        return read_bytes(path)

    def gone(index: int, picture: Picture) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data.files.scan.read_bytes", slow)
    paths = [str(write(tmp_path / f"{number}.png", number)) for number in range(64)]
    with pytest.raises(KeyboardInterrupt):
        scan(paths, max_pixels=MAX_PIXELS, sink=gone, num_workers=2, progress=False)
    assert len(begun) < 8
