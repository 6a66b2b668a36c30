"""Decoded pictures of a folder are kept between runs, on disk or in memory, and never outlive their files."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from data.files.preprocess import preprocess
from data.files.scan import Scanned, scan
from data.files.store import PixelStore, reserve
from data.folder import Folder
from tests.data.pictures import Make, write


def test_each_file_is_decoded_once_and_by_the_next_run_never(make: Make, flat: Path) -> None:
    first = make(flat)
    first.setup()
    assert first.collection.decoded == 15
    for epoch in range(2):
        loader = first.train_dataloader()
        loader.sampler.set_epoch(epoch)
        list(loader)
    assert first.collection.decoded == 15
    list(first.val_dataloader())  # the validation pictures of an automatic split: once more, in their own form
    assert first.collection.decoded == 15 + 3
    second = make(flat)
    assert torch.equal(next(iter(second.train_dataloader()))[0], next(iter(first.train_dataloader()))[0])
    assert torch.equal(next(iter(second.val_dataloader()))[0], next(iter(first.val_dataloader()))[0])
    assert second.collection.decoded == 0


def test_the_bytes_of_an_array_are_on_the_disk_before_its_name_is(
    make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()  # numbers of files
    fsync, rename, named = os.fsync, os.replace, list[bool]()

    def noted_sync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def noted_rename(old: Any, new: Any) -> None:
        if str(new).endswith(".npy"):
            named.append(os.stat(old).st_ino in synced)
        rename(old, new)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    list(make(flat).train_dataloader())
    assert named
    assert all(named)


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_of_the_cache_are_for_whom_the_umask_says(make: Make, flat: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = make(flat)
        made.setup()
    finally:
        os.umask(before)
    found = {file.suffix: file.stat().st_mode & 0o777 for file in made.cache.iterdir()}
    assert found == {".npy": 0o666 & ~umask, ".json": 0o666 & ~umask}


def test_arrays_of_somebody_else_who_shares_the_cache_are_used(
    make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(flat).setup()

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    second = make(flat)
    second.setup()
    assert second.collection.decoded == 0


def test_a_file_that_cannot_be_opened_does_not_make_the_next_run_decode_the_others(make: Make, flat: Path) -> None:
    link = flat / "cat" / "dangling.png"
    link.symlink_to("nowhere.png")
    first, second = make(flat), make(flat)
    first.setup()
    second.setup()
    assert (first.collection.decoded, second.collection.decoded) == (15, 0)
    assert torch.equal(second.plain("val"), first.plain("val"))
    link.unlink()
    write(link, 99)  # now it is a picture
    third, fourth = make(flat, val_fraction=0.5), make(flat, val_fraction=0.5, cache_dir=str(flat.parent / "other"))
    assert torch.equal(third.plain("val"), fourth.plain("val"))
    assert str(link) in {*third.paths("train"), *third.paths("val")}
    fifth = make(flat, val_fraction=0.5)
    fifth.plain("val")
    assert fifth.collection.decoded == 0


def test_a_changed_picture_is_read_again(make: Make, flat: Path) -> None:
    before = make(flat, aug="none")
    before.setup()
    write(flat / "cat" / "0.png", 500)
    after = make(flat, aug="none")
    assert torch.equal(
        after.plain("train"), torch.stack([preprocess(p, after.preprocessing()) for p in after.paths("train")])
    )


def test_a_file_replaced_between_two_passes_is_refused_and_spoils_nothing(make: Make, flat: Path) -> None:
    first = make(flat)
    first.setup()
    file = Path(first.paths("val")[0])
    before, stamp = file.read_bytes(), file.stat().st_mtime_ns
    write(file, 999)
    with pytest.raises(ValueError, match=rf"^{file} changed while it was being read$"):
        first.plain("val")
    assert not list(first.cache.glob(".array.*"))
    file.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=rf"^{file} changed while it was being read: is no picture"):
        first.plain("val")
    file.write_bytes(before)
    os.utime(file, ns=(stamp, stamp))
    later = make(flat)
    expected = torch.stack([preprocess(path, later.preprocessing()) for path in later.paths("val")])
    assert torch.equal(later.plain("val"), expected)


@pytest.mark.parametrize("struck_pass", [1, 2])
def test_an_interrupted_pass_leaves_no_file_behind(
    make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch, struck_pass: int
) -> None:
    data, passes = make(flat), list[int]()

    def struck(*given: Any, **options: Any) -> list[Scanned]:
        found = scan(*given, **options)
        passes.append(len(list(data.cache.glob(".array.*"))))
        if len(passes) == struck_pass:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr("data.files.collect.scan", struck)
    with pytest.raises(KeyboardInterrupt):
        data.plain("val")
    assert passes == [1] * struck_pass, "there was one to leave behind"
    assert not list(data.cache.glob(".array.*"))
    assert torch.equal(data.plain("val"), make(flat, cache_dir=str(flat.parent / "other")).plain("val"))


def test_a_damaged_array_in_the_cache_is_made_again(make: Make, flat: Path, tmp_path: Path) -> None:
    first = make(flat, aug="none")
    expected = first.plain("train").clone()
    for file in (tmp_path / "cache").glob("*.npy"):
        file.write_bytes(file.read_bytes()[:200])
    assert torch.equal(make(flat, aug="none").plain("train"), expected)


def test_without_a_writable_cache_it_works_and_says_so(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("data.root.DEFAULT_ROOT", str(tmp_path / "file"))
    data = Folder(str(flat), image_size=16)
    data.setup()
    assert data.summary()["splits"] == {"train": 12, "val": 3, "test": 0}
    assert any("cannot be written" in warning for warning in data.summary()["warnings"])
    assert len(next(iter(data.val_dataloader()))[0]) == 3


def test_a_cache_that_was_named_must_be_writable(flat: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^cache_dir .*file/cache cannot be written to: Not a directory"):
        Folder(str(flat), cache_dir=str(tmp_path / "file" / "cache"))


def test_arrays_beyond_memory_lie_in_a_file(make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = make(flat)
    monkeypatch.setattr("data.files.store.memory_limit", lambda: 100)
    for cache in ("mapped", "mapped"):  # made, then found
        data = make(flat, cache_dir=str(Path(reference.cache).parent / cache))
        assert torch.equal(next(iter(data.train_dataloader()))[0], next(iter(reference.train_dataloader()))[0])
        assert torch.equal(data.plain("val"), reference.plain("val"))
    assert not list((Path(reference.cache).parent / "mapped").glob("*.tmp"))


def test_what_neither_disk_nor_memory_can_hold_is_refused(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("data.root.DEFAULT_ROOT", str(tmp_path / "file"))
    monkeypatch.setattr("data.files.store.memory_limit", lambda: 100)
    with pytest.raises(ValueError, match=r"15 pictures need 0\.0 GiB.* choose another --data\.cache_dir"):
        Folder(str(flat), image_size=16).setup()


def test_a_full_disk_falls_back_to_memory(make: Make, flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    data = make(flat)
    assert len(next(iter(data.train_dataloader()))[0]) == 12
    assert not list(data.cache.glob(".array.*"))


def test_what_the_disk_cannot_hold_is_not_reserved_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reservation that fails takes all free space for a moment, and others fail for it."""
    monkeypatch.setattr("os.posix_fallocate", lambda *_: pytest.fail("reserved"))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3 * 4 * 4 * 5 - 1))
    store = PixelStore(tmp_path, {"channels": 3, "image_size": [4, 4]}, 5, limit=10)
    with pytest.raises(ValueError, match=r"cannot hold them: \[Errno 28\] No space left on device; choose another"):
        store.allocate("plain", 5)
    assert not list(tmp_path.iterdir())


def test_room_is_reserved_where_the_system_has_no_call_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows: the bytes are written, and the file is the same."""
    reserve(str(tmp_path / "linux"), (3, 5))
    monkeypatch.delattr("os.posix_fallocate")
    monkeypatch.setattr("data.files.store._WRITTEN_AT_ONCE", 4)
    reserve(str(tmp_path / "other"), (3, 5))
    assert (tmp_path / "other").read_bytes() == (tmp_path / "linux").read_bytes()
    assert np.load(tmp_path / "other").tolist() == [[0] * 5] * 3
