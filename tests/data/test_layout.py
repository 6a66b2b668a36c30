from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.files.gather import decide_splits
from data.files.layout import Entry, LayoutError, class_names, list_folder
from data.files.partition import assign_splits, hold_out
from data.files.split_rule import SplitRule
from data.files.units import units
from tests.data.pictures import folder, write


def labels(root: Path) -> set[tuple[str | None, str, str]]:
    return {(entry.split, entry.label, entry.name) for entry in list_folder(root).entries}


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_split_folders(tmp_path: Path, val: str) -> None:
    folder(tmp_path, {"train/a": 1, "train/b": 1, f"{val}/a": 1, "test/b": 1, "extra/a": 1})
    listing = list_folder(tmp_path)
    assert labels(tmp_path) == {
        ("train", "a", "train/a/0.png"),
        ("train", "b", "train/b/0.png"),
        ("val", "a", f"{val}/a/0.png"),
        ("test", "b", "test/b/0.png"),
    }
    assert any("extra/" in note for note in listing.notes)


def test_flat_folder(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 1, "b": 1})
    write(tmp_path / "loose.png")
    assert labels(tmp_path) == {(None, "a", "a/0.png"), (None, "b", "b/0.png")}
    assert list_folder(tmp_path).notes == ["ignored, in no class folder: loose.png"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    folder(tmp_path, {"train": 2, "tram": 1})
    assert {label for _, label, _ in labels(tmp_path)} == {"train", "tram"}


def test_both_val_and_valid_is_an_error(tmp_path: Path) -> None:
    folder(tmp_path, {"train/a": 1, "val/a": 1, "valid/a": 1})
    with pytest.raises(LayoutError, match=r"has both val/ and valid/; keep one folder for val"):
        list_folder(tmp_path)


@pytest.mark.parametrize("counts", [{"val/a": 1, "test/a": 1}, {"val/a": 1}, {"train": 1, "val/a": 1}, {".": 2}])
def test_another_layout_is_drawn(tmp_path: Path, counts: dict[str, int]) -> None:
    root = folder(tmp_path / "photos", counts)
    with pytest.raises(LayoutError, match="photos") as caught:
        list_folder(root)
    assert "expected one of\n  photos/train/cat/a.jpg" in str(caught.value)


@pytest.mark.parametrize("counts", [{"val/a": 1, "test/a": 1}, {"test/a": 1, "test/b": 2}, {"train": 0, "test/a": 1}])
def test_splits_without_train_are_listed_where_nothing_is_trained(tmp_path: Path, counts: dict[str, int]) -> None:
    found = list_folder(folder(tmp_path, counts), needs_train=False).entries
    assert Counter((f"{entry.split}/{entry.label}") for entry in found) == Counter(
        {name: count for name, count in counts.items() if count}
    )


def test_without_train_a_folder_of_pictures_is_a_class_whatever_it_is_called(tmp_path: Path) -> None:
    folder(tmp_path, {"test": 2, "val": 1})
    found = list_folder(tmp_path, needs_train=False).entries
    assert [(entry.split, entry.label) for entry in found] == [(None, "test"), (None, "test"), (None, "val")]
    folder(tmp_path / "more", {"test/cat": 1, "dog": 1})
    found = list_folder(tmp_path / "more", needs_train=False).entries
    assert {(entry.split, entry.label) for entry in found} == {(None, "test"), (None, "dog")}


def test_nested_folders_count_for_the_class_above(tmp_path: Path) -> None:
    folder(tmp_path, {"a/x": 2, "a/y/z": 1, "b/x": 1})
    listing = list_folder(tmp_path)
    assert Counter(entry.label for entry in listing.entries) == {"a": 3, "b": 1}
    assert any("a/x, a/y/z, b/x" in note for note in listing.notes)


def test_placeholders_of_web_sites_are_left_out_with_a_note(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 1, "b": 1})
    write(tmp_path / "a" / "imageNotFound.gif")
    listing = list_folder(tmp_path)
    assert len(listing.entries) == 2
    assert listing.notes == ["left out, placeholders by their names: a/imageNotFound.gif"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    folder(tmp_path / "elsewhere", {"x": 2})
    folder(tmp_path / "data", {"a": 1, "b": 1})
    (tmp_path / "data" / "c").symlink_to(tmp_path / "elsewhere" / "x")
    (tmp_path / "data" / "a" / "again.png").symlink_to("0.png")
    (tmp_path / "data" / "b" / "self").symlink_to("self")
    (tmp_path / "data" / "b" / "up").symlink_to("../..")
    listing = list_folder(tmp_path / "data")
    assert Counter(entry.label for entry in listing.entries) == {"a": 1, "b": 2, "c": 2}  # "self" is listed, and bad
    assert any("b/up" in warning for warning in listing.warnings)
    assert any("a/again.png" in note for note in listing.notes)


def test_a_group_that_the_split_tears_apart_is_refused_by_name() -> None:
    given = [("train", "p1"), ("train", "p1"), ("train", "p2"), ("val", "p2"), ("val", ""), ("train", "")]
    rows = [Entry(f"{n}", f"{n}", "ab"[n % 2], split, group) for n, (split, group) in enumerate(given)]
    with pytest.raises(ValueError, match=r"list\.csv: the group 'p2' is in train and in val; --data\.group_column"):
        decide_splits(rows, list("abcdef"), SplitRule(), "list.csv")
    assert len(decide_splits(rows[:2] + rows[4:], list("abcd"), SplitRule(), "list.csv")) == 4


def entry(label: str, split: str) -> Entry:
    return Entry("x", "x", label, split)


def test_class_map_comes_from_train_alone() -> None:
    rows = [entry("c", "train"), entry("a", "train"), entry("b", "train"), entry("c", "val")]
    assert class_names(rows, "data") == ["a", "b", "c"]
    with pytest.raises(LayoutError, match="class d is in val but has no usable picture in train; train has a, b, c"):
        class_names([*rows, entry("d", "val")], "data")
    with pytest.raises(
        LayoutError, match=r"data has only the class 'a' to train on \(b: no usable picture\)"
    ) as caught:
        class_names([entry("a", "train")], "data", [(None, "b")])
    assert "\n" not in str(caught.value)
    with pytest.raises(LayoutError, match=r"2 are needed, as in the rows a\.jpg,cat and b\.jpg,dog"):
        class_names([entry("a", "train")], "list.csv")


# Partition: N files, C classes.

SETS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "", "", "g", "h"]), st.integers(0, 40)),
    min_size=1,
    max_size=60,
)


def names_of(rows: list[tuple[str, str, int]]) -> tuple[list[str], list[str], list[str], list[str]]:
    return (
        [f"{index}.png" for index in range(len(rows))],
        [row[0] for row in rows],
        [row[1] for row in rows],
        [str(row[2]) for row in rows],
    )


@given(SETS, st.integers(0, 3), st.sampled_from([0.0, 0.2, 0.5]))
def test_no_group_and_no_duplicate_is_torn_apart_and_every_class_stays_in_train(
    rows: list[tuple[str, str, int]], seed: int, test_fraction: float
) -> None:
    names, classes, groups, digests = names_of(rows)
    parts = assign_splits(names, classes, groups, digests, val_fraction=0.3, test_fraction=test_fraction, seed=seed)
    for keys in (groups, digests):
        for key in set(keys) - {""}:
            assert len({part for part, other in zip(parts, keys, strict=True) if other == key}) == 1
    assert {label for label, part in zip(classes, parts, strict=True) if part == "train"} == set(classes)
    assert parts == assign_splits(
        names, classes, groups, digests, val_fraction=0.3, test_fraction=test_fraction, seed=seed
    )


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=80), st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
def test_single_files_are_stratified_to_the_last_one(classes: list[str], fraction: float, seed: int) -> None:
    names = [f"{index}" for index in range(len(classes))]
    parts = assign_splits(names, classes, [""] * len(names), names, val_fraction=fraction, seed=seed)
    held = Counter(label for label, part in zip(classes, parts, strict=True) if part == "val")
    for label, size in Counter(classes).items():
        wanted = min(max(1, round(fraction * size)), size - 1)
        assert held[label] == wanted


def test_seeds_differ_order_does_not_matter_and_one_more_file_changes_little() -> None:
    names, classes = [f"{index}" for index in range(100)], ["a", "b"] * 50

    def val(names: list[str], classes: list[str], seed: int) -> set[str]:
        parts = assign_splits(names, classes, [""] * len(names), [""] * len(names), val_fraction=0.2, seed=seed)
        return {name for name, part in zip(names, parts, strict=True) if part == "val"}

    assert val(names, classes, 0) != val(names, classes, 1)
    assert val(names[::-1], classes[::-1], 0) == val(names, classes, 0)
    more = val([*names, "new"], [*classes, "a"], 0)
    assert len(more ^ val(names, classes, 0)) <= 2


def test_val_fraction_zero_holds_nothing_out() -> None:
    parts = assign_splits(list("abcd"), list("xxyy"), [""] * 4, list("abcd"), val_fraction=0.0)
    assert parts == ["train"] * 4


def test_large_groups_go_over_whole() -> None:
    # One class of three patients with 10 files each: a fifth would be 6, so the smallest possible unit is taken.
    groups = [f"{index // 10}" for index in range(30)]
    parts = assign_splits([f"{i}" for i in range(30)], ["a"] * 30, groups, [""] * 30, val_fraction=0.2)
    assert parts.count("val") == 10


@given(SETS, st.integers(2, 5))
def test_folds_cover_every_file_once_and_share_classes_out(rows: list[tuple[str, str, int]], num_folds: int) -> None:
    names, classes, groups, digests = names_of(rows)
    options = {"val_fraction": 0.2, "num_folds": num_folds}
    parts = [assign_splits(names, classes, groups, digests, fold=fold, **options) for fold in range(num_folds)]
    for position in range(len(rows)):
        assert [part[position] for part in parts].count("val") == 1


def test_folds_of_single_files_differ_by_at_most_one_a_class() -> None:
    classes = ["a"] * 23 + ["b"] * 11
    names = [f"{index}" for index in range(34)]
    for label in "ab":
        sizes = []
        for fold in range(4):
            parts = assign_splits(names, classes, [""] * 34, names, val_fraction=0.2, num_folds=4, fold=fold)
            sizes.append(sum(part == "val" and own == label for part, own in zip(parts, classes, strict=True)))
        assert max(sizes) - min(sizes) <= 1


def test_units_are_connected_components() -> None:
    # 0-1 by group, 1-2 by content, 3 alone.
    assert sorted(map(sorted, units(["g", "g", "", ""], ["p", "q", "q", "r"]))) == [[0, 1, 2], [3]]
    assert hold_out([[0]], ["a"], 0.5) == set()  # never the only unit of a class
