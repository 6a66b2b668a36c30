"""Pictures to predict: which files a folder stands for."""

from pathlib import Path

import pytest

from data.files.find import find_pictures


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def test_a_folder_gives_its_files_by_name_without_those_of_systems(tmp_path: Path) -> None:
    seen = [tmp_path / "a.png", tmp_path / "b" / "c.png", tmp_path / "d.png"]
    touch(*seen, tmp_path / ".hidden.png", tmp_path / ".dir" / "e.png", tmp_path / "Thumbs.db")
    touch(tmp_path / "b" / "desktop.ini", tmp_path / "__MACOSX" / "a.png")
    assert find_pictures([str(tmp_path)]) == seen
    assert find_pictures([str(tmp_path / "d.png"), str(tmp_path / "b")]) == [seen[2], seen[1]]


def test_links_are_followed_but_in_no_circle(tmp_path: Path) -> None:
    touch(tmp_path / "far" / "inner" / "a.png", tmp_path / "far" / "b.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "one").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "inner" / "back").symlink_to(root)
    (root / "gone.png").symlink_to(tmp_path / "nothing")
    names = [file.relative_to(root).as_posix() for file in find_pictures([str(root)])]
    assert names == ["gone.png", "one/b.png", "one/inner/a.png", "one/inner/back"]  # the last two will be told


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.png", tmp_path / "locked" / "b.png")
    listed = Path.iterdir

    def refusing(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(ValueError, match=r"locked: Permission denied$"):
        find_pictures([str(tmp_path)])
